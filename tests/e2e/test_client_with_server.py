"""The real clients against the real server, a process of its own over real TCP."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from miwake.client import (
    Client,
    Decision,
    DecisionReason,
    DrainingError,
    InspectionContext,
    InvalidQueryError,
    ItemErrorReason,
    NotFoundError,
    UnavailableError,
)
from miwake.client.report import answer_values
from support.clients import KINDS, classify, error_of, inspect, search_neighbours
from support.serving import STATION, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from support.serving import ServerProcess, SmallStation

PROGRAM = str(Path(sys.executable).parent / "miwake-client")
PATIENCE_S = 60.0


def judgement(values: dict[str, Any]) -> dict[str, Any]:
    """Return what must not depend on how a vector was sent: labels, decision and who the neighbours are."""
    return {
        "label": values["label"],
        "failure_mode": values["failure_mode"],
        "decision": values["decision"],
        "method_labels": values["method_labels"],
        "nearest": values["neighbours"][0]["id"],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_blurred_parts_do_not_pass_and_say_why(kind: str, server: ServerProcess, small_station: SmallStation) -> None:
    sharp = small_station.queries[:60]
    blurred = gaussian_filter(sharp.reshape(-1, 36, 39), (0, 1.5, 1.5)).reshape(sharp.shape)

    as_they_are = [answer.verdict for answer in classify(kind, server.address, sharp)]
    out_of_focus = [answer.verdict for answer in classify(kind, server.address, blurred)]

    assert sum(verdict is not None and DecisionReason.FOCUS in verdict.reasons for verdict in as_they_are) < 5
    for verdict in out_of_focus:
        assert verdict is not None
        assert verdict.health is not None
        assert verdict.health.focus < -1
        assert DecisionReason.FOCUS in verdict.reasons
        assert verdict.decision is not Decision.PASS


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_vectors_are_answered_in_order_and_the_bad_ones_by_errors(
    kind: str, server: ServerProcess, small_station: SmallStation
) -> None:
    query = small_station.queries[0]
    with_nan = query.copy()
    with_nan[700] = np.nan
    items: list[Any] = list(small_station.queries[np.arange(1000) % len(small_station.queries)])
    items[100], items[350], items[600], items[999] = with_nan, query[:1403], np.zeros_like(query), query / 255

    answers, error = inspect(kind, server.address, items)

    assert error is None
    assert [answer.sequence for answer in answers] == list(range(1000))
    assert {answer.sequence: answer.error.reason for answer in answers if answer.error} == {
        100: ItemErrorReason.NON_FINITE,
        350: ItemErrorReason.WRONG_LENGTH,
        600: ItemErrorReason.FLAT,
        999: ItemErrorReason.FLAT,
    }
    assert [answer.sequence for answer in answers if answer.verdict is None] == [100, 350, 600, 999]


def test_streams_and_batches_of_both_clients_agree(server: ServerProcess, small_station: SmallStation) -> None:
    vectors = small_station.queries[:60]

    said = [classify(kind, server.address, vectors) for kind in KINDS]
    said += [inspect(kind, server.address, vectors)[0] for kind in KINDS]
    said += [inspect(kind, server.address, vectors, vectors_per_message=1)[0] for kind in KINDS]

    judged = [[judgement(answer_values(answer)) for answer in answers] for answers in said]
    assert [answers == judged[0] for answers in judged] == [True] * 6
    assert len(judged[0]) == 60


@pytest.mark.parametrize("kind", KINDS)
def test_the_evidence_is_complete(kind: str, server: ServerProcess, small_station: SmallStation) -> None:
    context = InspectionContext(part_id="SN 1", is_simulated=True)

    [answer] = classify(kind, server.address, small_station.queries[:1], ids=["q"], context=context, n_neighbours=7)

    assert answer.verdict is not None
    assert (answer.id, answer.context) == ("q", context)
    assert len(answer.verdict.neighbours) == 7
    assert len(answer.verdict.method_labels) == 3
    assert len(answer.verdict.anchors) > 1
    assert np.all(np.diff(answer.verdict.anchors.distances) >= 0)
    assert np.all(answer.verdict.neighbours.etas >= 0)
    assert np.all((answer.verdict.neighbours.match_distances >= 0) & (answer.verdict.neighbours.match_distances < 1))
    assert (answer.provenance.station, answer.provenance.generation) == (STATION, "g000001")
    assert answer.provenance.batch_size == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_finds_the_neighbours_of_the_verdict(
    kind: str, server: ServerProcess, small_station: SmallStation
) -> None:
    [judged] = classify(kind, server.address, small_station.queries[:1])
    [found] = search_neighbours(kind, server.address, small_station.queries[:1])

    assert judged.verdict is not None
    assert found.neighbours is not None
    assert found.neighbours.ids == judged.verdict.neighbours.ids
    # The same vector against the same generation: equal within rounding, alone or in any batch.
    np.testing.assert_allclose(found.neighbours.distances, judged.verdict.neighbours.distances, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_neighbours_are_refused_by_name(kind: str, server: ServerProcess, small_station: SmallStation) -> None:
    called = error_of(lambda: classify(kind, server.address, small_station.queries[:1], n_neighbours=10**6))
    _, streamed = inspect(kind, server.address, small_station.queries[:1], n_neighbours=10**6)

    assert isinstance(called, InvalidQueryError)
    assert isinstance(streamed, InvalidQueryError)
    assert str(called) == str(streamed)
    assert "n_neighbours" in called.details.violations[0]


def test_a_station_that_is_not_served_is_not_found(server: ServerProcess, small_station: SmallStation) -> None:
    with Client(server.address, station="no such line") as client:
        called = error_of(lambda: client.classify(small_station.queries[:1]))
        streamed = error_of(lambda: list(client.inspect(small_station.queries[:1])))

    assert isinstance(called, NotFoundError)
    assert isinstance(streamed, NotFoundError)
    assert "'no such line'" in str(called)
    assert called.details.reason == "STATION_NOT_FOUND"


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_told_to_stop_answers_what_it_accepted_and_says_how_much(
    kind: str, small_station: SmallStation, tmp_path: Path
) -> None:
    with running_server(small_station.store, tmp_path / "log") as server:
        n_given = 0

        def camera() -> Iterator[NDArray[np.float32]]:
            nonlocal n_given
            while True:
                n_given += 1
                if n_given == 2000:
                    server.process.terminate()
                yield small_station.queries[n_given % len(small_station.queries)]

        answers, error = inspect(kind, server.address, camera())
        status = server.process.wait(PATIENCE_S)

    assert isinstance(error, DrainingError)
    assert error.n_accepted == len(answers)
    assert [answer.sequence for answer in answers] == list(range(len(answers)))
    assert [answer.sequence for answer in answers if answer.verdict is None] == []
    assert error.n_accepted <= error.n_taken <= n_given
    assert status == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_killed_is_unavailable(kind: str, small_station: SmallStation, tmp_path: Path) -> None:
    with running_server(small_station.store, tmp_path / "log") as server:

        def camera() -> Iterator[NDArray[np.float32]]:
            for place in range(10**9):
                if place == 1000:
                    server.process.kill()
                yield small_station.queries[place % len(small_station.queries)]

        answers, error = inspect(kind, server.address, camera())

    assert isinstance(error, UnavailableError)
    assert not isinstance(error, DrainingError)
    assert [answer.sequence for answer in answers] == list(range(len(answers)))


def test_eight_threads_share_a_client(server: ServerProcess, small_station: SmallStation) -> None:
    said: dict[int, list[int]] = {}

    with Client(server.address) as client:

        def stream(thread: int) -> None:
            said[thread] = [answer.sequence for answer in client.inspect(small_station.queries[:200])]

        threads = [threading.Thread(target=stream, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)

    n_queries = min(200, len(small_station.queries))
    assert said == {thread: list(range(n_queries)) for thread in range(8)}


def test_the_command_line_streams_a_file_as_json_lines(
    server: ServerProcess, small_station: SmallStation, tmp_path: Path
) -> None:
    np.savez(tmp_path / "parts.npz", vectors=small_station.queries[:30])

    outcome = subprocess.run(  # noqa: S603 - our own program
        [PROGRAM, "stream", str(tmp_path / "parts.npz"), "--target", server.address, "--station", STATION],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    direct = [answer_values(answer) for answer in classify("blocking", server.address, small_station.queries[:30])]
    assert outcome.returncode == 0, outcome.stderr
    assert [line["id"] for line in lines] == [f"parts:{row}" for row in range(30)]
    assert [judgement(line) for line in lines] == [judgement(values) for values in direct]
    assert [len(line["neighbours"]) for line in lines] == [15] * 30
