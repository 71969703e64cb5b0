"""Streams of both clients over a real server that is cut off, killed, stopped and started again under them."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.client import Client, Inspection, Retry, UnavailableError
from support.clients import KINDS, classify, inspect
from support.cutting_proxy import cutting_proxy
from support.serving import running_server
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from miwake.client import Answer
    from support.serving import ServerProcess, SmallStation

N_CUTS = 12
PATIENCE_S = 60.0
QUICK = Retry(first_s=0.01, longest_s=0.05, within_s=PATIENCE_S)


def inspections(station: SmallStation) -> Iterator[Inspection]:
    """Yield vectors without end, named by their position."""
    n_queries = len(station.queries)
    return (Inspection(vector=station.queries[row % n_queries], id=str(row)) for row in count())


def labels_of(answers: list[Answer]) -> list[int | None]:
    return [None if answer.verdict is None else answer.verdict.label for answer in answers]


def assert_whole(answers: list[Answer], expected: list[int | None]) -> None:
    """Check that nothing is missing, doubled or out of order, and that each answer is that to its own vector."""
    assert [answer.sequence for answer in answers] == list(range(len(answers)))
    assert [answer.id for answer in answers] == [str(row) for row in range(len(answers))]
    assert labels_of(answers) == [expected[row % len(expected)] for row in range(len(answers))]


@pytest.fixture(scope="module")
def expected(server: ServerProcess, small_station: SmallStation) -> list[int | None]:
    with Client(server.address) as client:
        return labels_of(client.classify(small_station.queries))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_cuts_at_any_byte_are_not_seen_in_the_answers(
    kind: str, seed: int, server: ServerProcess, small_station: SmallStation, expected: list[int | None]
) -> None:
    shares = np.exp(np.random.default_rng(seed).uniform(np.log(1e2), np.log(1e6), N_CUTS)).astype(int)

    with cutting_proxy(server.address, shares.tolist()) as proxy:

        def until_all_cuts_are_made() -> Iterator[Inspection]:
            for row, inspection in enumerate(inspections(small_station)):
                if proxy.n_cuts == N_CUTS and row % len(expected) == 0:
                    return
                yield inspection

        answers, error = inspect(kind, proxy.address, until_all_cuts_are_made(), retry=QUICK)

    assert error is None
    assert len(answers) > 0
    assert_whole(answers, expected)


class Watched:
    """A stream of a client in a thread of its own, whose producer counts and ends when it is told."""

    def __init__(self, station: SmallStation) -> None:
        self.n_taken = 0
        self._station = station
        self._is_enough = threading.Event()

    def producer(self) -> Iterator[Inspection]:
        for inspection in inspections(self._station):
            if self._is_enough.is_set():
                return
            self.n_taken += 1
            yield inspection

    def end(self) -> None:
        self._is_enough.set()

    def go_on(self) -> None:
        """Wait until the stream has taken many windows more than it has now."""
        n_before = self.n_taken
        eventually(lambda: self.n_taken > n_before + 2000, within_s=PATIENCE_S)


def test_a_killed_and_a_stopped_server_are_waited_for_by_open_streams(
    small_station: SmallStation, expected: list[int | None], tmp_path: Path
) -> None:
    streams = [Watched(small_station) for _ in KINDS]
    with ThreadPoolExecutor(len(KINDS)) as pool:
        with running_server(small_station.store, tmp_path / "first") as first:
            port = first.address.rpartition(":")[2]
            running = [
                pool.submit(inspect, kind, first.address, stream.producer(), retry=QUICK, timeout_s=PATIENCE_S)
                for kind, stream in zip(KINDS, streams, strict=True)
            ]
            for stream in streams:
                stream.go_on()
            first.process.send_signal(signal.SIGKILL)
            first.process.wait()
        with running_server(small_station.store, tmp_path / "second", "--port", port) as second:
            for stream in streams:
                stream.go_on()
            assert second.stop() == 0
        with running_server(small_station.store, tmp_path / "third", "--port", port):
            for stream in streams:
                stream.go_on()
                stream.end()
            ended = [one.result(PATIENCE_S) for one in running]

    for stream, (answers, error) in zip(streams, ended, strict=True):
        assert error is None
        assert len(answers) == stream.n_taken
        assert_whole(answers, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_never_comes_back_is_given_up_with_the_last_cause(
    kind: str, server: ServerProcess, small_station: SmallStation
) -> None:
    with cutting_proxy(server.address) as proxy:

        def camera() -> Iterator[Inspection]:
            for row, inspection in enumerate(inspections(small_station)):
                if row == 100:
                    proxy.target = "127.0.0.1:1"
                    proxy.cut()
                yield inspection

        answers, error = inspect(kind, proxy.address, camera(), retry=Retry(first_s=0.01, longest_s=0.05, within_s=0.3))

    assert isinstance(error, UnavailableError)
    assert [answer.sequence for answer in answers] == list(range(len(answers)))


@pytest.mark.parametrize("kind", KINDS)
def test_with_retry_switched_off_the_first_break_is_told(
    kind: str, server: ServerProcess, small_station: SmallStation
) -> None:
    with cutting_proxy(server.address, [300_000]) as proxy:
        answers, error = inspect(kind, proxy.address, inspections(small_station), retry=None)

    assert isinstance(error, UnavailableError)
    assert [answer.sequence for answer in answers] == list(range(len(answers)))


def test_an_idle_stream_reconnects_only_when_there_is_something_to_send(
    server: ServerProcess, small_station: SmallStation, expected: list[int | None], caplog: pytest.LogCaptureFixture
) -> None:
    may_go_on = threading.Event()

    def camera() -> Iterator[Inspection]:
        for row, inspection in enumerate(inspections(small_station)):
            if row == 3:
                assert may_go_on.wait(PATIENCE_S)
            if row == 6:
                return
            yield inspection

    with cutting_proxy(server.address) as proxy, Client(proxy.address, retry=QUICK, timeout_s=0.5) as client:
        stream = client.inspect(camera())
        answers = [next(stream) for _ in range(3)]
        proxy.cut()
        # The break is noticed while the consumer waits, for longer than its timeout: no answer is due.
        proxy.target = server.address
        threading.Timer(1.0, may_go_on.set).start()
        answers += list(stream)

        assert stream.n_resumed == 1
        assert stream.n_accepted == 6
    assert_whole(answers, expected)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records][
        -1
    ] == "the stream goes on, at vector 3"


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_asked_for_again_when_its_connection_breaks(
    kind: str, server: ServerProcess, small_station: SmallStation, expected: list[int | None]
) -> None:
    with cutting_proxy(server.address, [200, 5_000, 40_000]) as proxy:
        answers = classify(kind, proxy.address, small_station.queries, retry=QUICK)

        assert proxy.n_cuts == 3
    assert labels_of(answers) == expected
