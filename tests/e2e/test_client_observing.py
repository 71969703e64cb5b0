"""``miwake-client watch``, ``bench`` and ``stream --rate`` as their users meet them, against a real server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from miwake.client import Client, NewReference
from miwake.client.load import Load, run_load
from support.service import InMemoryService, queries, serving
from support.serving import STATION, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import ServerProcess, SmallStation

PROGRAM = str(Path(sys.executable).parent / "miwake-client")
PATIENCE_S = 60.0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: S603
        [PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    return (json.loads(line) for line in process.stdout)


@pytest.fixture
def file(small_station: SmallStation, tmp_path: Path) -> str:
    np.save(tmp_path / "parts.npy", small_station.queries[:20])
    return str(tmp_path / "parts.npy")


def test_watch_tells_each_change_of_health_and_references_in_a_line(
    small_station: SmallStation, tmp_path: Path
) -> None:
    shutil.copytree(small_station.store, tmp_path / "store")
    new = NewReference(id="new", vector=small_station.queries[0], label=0, failure_mode="ok")
    with (
        running_server(tmp_path / "store", tmp_path / "log") as server,
        started("watch", "--target", server.address, "--interval", "0.1", "--json") as process,
    ):
        told = lines(process)
        first = {line["station"]: line for line in (next(told), next(told))}
        with Client(server.address) as client:
            change = client.references.add([new])
        changed = next(line for line in told if line.get("revision") == change.revision)
        assert server.stop() == 0
        stopped = next(told)
        gone = next(told)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130

    assert first[None]["health"] == "SERVING"
    assert first[STATION]["generation"] == "g000001"
    assert changed["station"] == STATION
    assert changed["revision"] == first[STATION]["revision"] + 1
    assert changed["n_references"] == first[STATION]["n_references"] + 1
    assert (stopped["station"], stopped["health"]) == (None, "NOT_SERVING")
    assert (gone["station"], gone["health"]) == (None, "UNREACHABLE")


def test_watch_is_refused_a_station_that_is_not_there(server: ServerProcess) -> None:
    ended = run("watch", "--target", server.address, "--station", "nowhere", "--interval", "0.1")

    assert ended.returncode == 1
    assert ended.stderr.startswith("miwake-client: no station 'nowhere'")


def test_an_open_load_is_sent_at_its_rate_and_measured_from_when_it_was_due(server: ServerProcess, file: str) -> None:
    ended = run("bench", file, "--target", server.address, "--rate", "200", "--duration", "1", "--streams", "2")

    report = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert (report["arrivals"], report["latency_from"], report["streams"]) == ("poisson", "intended sending", 2)
    # Four standard deviations of a Poisson number of 200.
    assert report["answers"] == pytest.approx(200, abs=57)
    assert (report["verdicts"], report["errors"], report["shed"]) == (report["answers"], 0, 0)
    latency = report["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]


def test_a_stall_shows_in_every_vector_that_it_held_up() -> None:
    service = InMemoryService()
    service.gate.clear()
    with serving(service) as target, Client(target) as client:
        stall = threading.Timer(0.5, service.gate.set)
        stall.start()
        report = run_load(client, list(queries(5)), Load(rate=200.0, poisson=False, duration_s=1.0))

    assert report["answers"] == 200
    # Half of the vectors came while nothing was answered, at even steps: one in five of all waited for 0.3 s and more.
    assert report["latency_ms"]["max"] > 450
    assert report["latency_ms"]["p90"] > 300


def test_as_fast_as_it_goes_needs_no_rate(server: ServerProcess, file: str) -> None:
    ended = run("bench", file, "--target", server.address, "--duration", "0.5")

    report = json.loads(ended.stdout)
    assert (report["rate"], report["latency_from"]) == (None, "sending")
    assert report["answers_per_second"] > 100


def test_a_file_is_replayed_at_a_rate_again_and_again_until_interrupted(server: ServerProcess, file: str) -> None:
    with started("stream", file, "--target", server.address, "--rate", "200", "--loop") as process:
        told = lines(process)
        answers = [next(told) for _ in range(50)]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130

    assert [answer["sequence"] for answer in answers] == list(range(50))
    assert [answer["id"] for answer in answers] == [f"parts:{row % 20}" for row in range(50)]


def test_random_times_need_a_rate(file: str) -> None:
    ended = run("stream", file, "--poisson")

    assert ended.returncode == 2
    assert "needs --rate" in ended.stderr
