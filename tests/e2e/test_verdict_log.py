"""The verdict log of a real server: what was answered, also after the worst, and nothing but sqlite3 to read it."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, inspection_service_pb2_grpc, vector_pb2
from support.serving import COMMAND, ServerProcess, SmallStation, connected, open_channel, packed, running_server
from support.verdicts import read_rows, sequences

TIMEOUT_S = 60
AWAITING = inspection_service_pb2.AnswerOptions(await_record=True)
READ = (
    *("sequence", "id", "part_id", "station", "generation", "revision", "threshold_set", "embedder", "label"),
    *("failure_mode", "decision", "reasons", "probability", "reject_probability", "margin", "novelty", "method"),
    *("health_mean", "health_spread", "health_gain", "health_focus", "health_saturation", "health_dead_lines"),
    *("reference_1", "reference_2", "reference_3", "distance_1", "distance_2", "distance_3", "error"),
)


def shown(answer: answer_pb2.Answer, provenance: answer_pb2.Provenance) -> tuple[object, ...]:
    """Return what a row should hold of an answer, in the order of ``READ``."""
    verdict = answer.verdict
    told: tuple[object, ...] = (answer.sequence, answer.id, answer.context.part_id or None, provenance.station)
    told += (provenance.generation, provenance.revision, provenance.threshold_set, provenance.embedder)
    if answer.HasField("error"):
        error = answer_pb2.ItemErrorReason.Name(answer.error.reason).removeprefix("ITEM_ERROR_REASON_")
        return (*told, *[None] * (len(READ) - len(told) - 1), error)
    reasons = [answer_pb2.DecisionReason.Name(one).removeprefix("DECISION_REASON_") for one in verdict.reasons]
    return (
        *told,
        verdict.label,
        verdict.failure_mode,
        answer_pb2.Decision.Name(verdict.decision).removeprefix("DECISION_"),
        ",".join(reasons),
        *(verdict.probability, verdict.reject_probability, verdict.margin, verdict.novelty),
        answer_pb2.LabelMethod.Name(verdict.method).removeprefix("LABEL_METHOD_"),
        *verdict.health,
        *verdict.neighbours.reference_ids[:3],
        *verdict.neighbours.distances[:3],
        None,
    )


def classify(server: ServerProcess, vectors: list[vector_pb2.InspectionVector]) -> answer_pb2.Provenance:
    """Have vectors judged, and the answers recorded, over a connection of its own."""
    request = inspection_service_pb2.ClassifyRequest(vectors=vectors, options=AWAITING)
    with connected(server.address) as stub:
        return stub.Classify(request, timeout=TIMEOUT_S).provenance


def metrics(server: ServerProcess) -> dict[str, float]:
    [bound] = server.events("metrics_exposed")
    with urllib.request.urlopen(f"http://{bound['address']}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return {
        line.split()[0]: float(line.split()[1])
        for line in lines
        if line.startswith("miwake_verdict_log") and "created" not in line
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logging") / "verdicts"


@pytest.fixture(scope="module")
def logging(small_station: SmallStation, folder: Path) -> Iterator[ServerProcess]:
    """A server that records, for one test after the other."""
    flags = ("--verdict-log", str(folder), "--metrics-port", "0")
    with running_server(small_station.store, folder.parent / "log", *flags) as running:
        yield running


def test_the_rows_are_what_was_answered(small_station: SmallStation, tmp_path: Path) -> None:
    queries = small_station.queries[:30].copy()
    queries[7] = np.nan
    vectors = packed(queries)
    for vector in vectors[:20]:
        vector.context.part_id = f"part-{vector.id}"
    requests = [inspection_service_pb2.InspectRequest(vectors=vectors[start : start + 8]) for start in range(0, 30, 8)]
    with (
        running_server(small_station.store, tmp_path / "log", "--verdict-log", str(tmp_path / "verdicts")) as server,
        connected(server.address) as stub,
    ):
        responses = list(stub.Inspect(iter(requests), timeout=TIMEOUT_S))
        status = server.stop()
    answered = [shown(answer, response.provenance) for response in responses for answer in response.answers]

    assert status == 0
    assert len(answered) == 30
    assert [tuple(row[name] for name in READ) for row in read_rows(tmp_path / "verdicts")] == answered


def test_after_a_kill_all_that_was_said_to_be_recorded_is_there(small_station: SmallStation, tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts"
    vectors = packed(small_station.queries[np.arange(2000) % len(small_station.queries)])
    requests = (
        inspection_service_pb2.InspectRequest(vectors=vectors[start : start + 20], options=AWAITING)
        for start in range(0, len(vectors), 20)
    )
    recorded: list[int] = []
    with (
        running_server(small_station.store, tmp_path / "log", "--verdict-log", str(verdicts)) as server,
        open_channel(server.address) as channel,
    ):
        try:
            for response in inspection_service_pb2_grpc.InspectionServiceStub(channel).Inspect(
                requests, timeout=TIMEOUT_S
            ):
                assert response.provenance.recorded or not response.answers
                recorded += [answer.sequence for answer in response.answers]
                if len(recorded) > 300:
                    server.process.kill()
        except grpc.RpcError:
            pass
        server.process.wait(TIMEOUT_S)
    copy = tmp_path / "copy"
    (killed,) = (path.name for path in verdicts.glob("*.verdicts.db"))
    shutil.copytree(verdicts, copy)
    with running_server(small_station.store, tmp_path / "log", "--verdict-log", str(verdicts)):
        listed = subprocess.run(  # noqa: S603
            [COMMAND, "verdicts", "summary", str(verdicts), "--json"], capture_output=True, text=True, check=True
        )

    kept = sequences(copy)
    assert 300 < len(recorded) < 2000
    assert kept[: len(recorded)] == recorded
    assert kept == list(range(len(kept)))
    assert sum(json.loads(line)["n_answers"] for line in listed.stdout.splitlines()) == len(kept)
    assert [path for path in (*verdicts.glob(f"{killed}-*"),) if path.stat().st_size] == []


def test_a_stream_that_is_taken_up_again_is_recorded_once(
    small_station: SmallStation, logging: ServerProcess, folder: Path
) -> None:
    vectors = packed(small_station.queries[:12])
    first = inspection_service_pb2.InspectRequest(stream_id="once", vectors=vectors[:8], options=AWAITING)
    with connected(logging.address) as stub:
        call = stub.Inspect(iter([first]), timeout=TIMEOUT_S)
        next(response for response in call if response.answers)
        call.cancel()
        again = inspection_service_pb2.InspectRequest(
            stream_id="once", n_received=0, first_sequence=0, vectors=vectors, options=AWAITING
        )
        responses = list(stub.Inspect(iter([again]), timeout=TIMEOUT_S))

    assert [answer.sequence for response in responses for answer in response.answers] == list(range(12))
    assert all(response.provenance.recorded for response in responses if response.answers)
    assert max(response.acknowledgement.n_recorded for response in responses) == 12
    assert [row["sequence"] for row in read_rows(folder) if row["stream_id"] == "once"] == list(range(12))


def test_searches_are_not_in_the_log(small_station: SmallStation, logging: ServerProcess, folder: Path) -> None:
    n_before = len(read_rows(folder))
    vectors = packed(small_station.queries[:3])
    with connected(logging.address) as stub:
        stub.SearchNeighbours(inspection_service_pb2.SearchNeighboursRequest(vectors=vectors), timeout=TIMEOUT_S)
    classify(logging, vectors[:1])

    assert len(read_rows(folder)) == n_before + 1


def test_a_full_disk_is_told_and_stops_nothing(small_station: SmallStation, logging: ServerProcess) -> None:
    vectors = packed(small_station.queries[:60])
    before = metrics(logging)
    _, most = resource.prlimit(logging.process.pid, resource.RLIMIT_FSIZE)
    # No file may grow: what a write gets then is what it gets from a full disk.
    resource.prlimit(logging.process.pid, resource.RLIMIT_FSIZE, (0, most))
    try:
        full = classify(logging, vectors)
        failing = metrics(logging)
    finally:
        resource.prlimit(logging.process.pid, resource.RLIMIT_FSIZE, (most, most))
    after = classify(logging, vectors)

    assert (before["miwake_verdict_log_failing"], before["miwake_verdict_log_lost_total"]) == (0, 0)
    assert not full.recorded
    assert (failing["miwake_verdict_log_failing"], failing["miwake_verdict_log_lost_total"]) == (1, 60)
    assert after.recorded
    assert metrics(logging)["miwake_verdict_log_answers_total"] == before["miwake_verdict_log_answers_total"] + 60


def test_waiting_for_a_record_is_refused_where_none_is_kept(small_station: SmallStation, server: ServerProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        classify(server, packed(small_station.queries[:1]))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "this server keeps no verdict log" in str(caught.value)


def test_several_processes_record_in_one_folder(small_station: SmallStation, tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts"
    flags = ("--workers", "2", "--verdict-log", str(verdicts))
    with running_server(small_station.store, tmp_path / "log", *flags) as server:
        told = [classify(server, packed(small_station.queries[:2], first=2 * call)) for call in range(12)]
        n_segments = len(list(verdicts.glob("*.verdicts.db")))
        status = server.stop()

    assert status == 0
    assert all(provenance.recorded for provenance in told)
    assert n_segments == 2
    assert sorted(int(row["id"]) for row in read_rows(verdicts)) == list(range(24))


def test_the_command_lists_what_is_asked_for(logging: ServerProcess, small_station: SmallStation, folder: Path) -> None:
    vectors = packed(small_station.queries[:1])
    vectors[0].context.part_id = "board-99"
    classify(logging, vectors)
    command = [COMMAND, "verdicts", "list", str(folder), "--part", "board-99"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    lines = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout  # noqa: S603

    assert table.splitlines()[0].split()[:4] == ["time", "(UTC)", "station", "sequence"]
    assert table.splitlines()[1].split()[2:6] == ["line1", "0", "0", "board-99"]
    assert json.loads(lines)["part_id"] == "board-99"


@pytest.mark.parametrize(
    ("arguments", "problem", "status"),
    [
        (["list", "nowhere"], "nowhere: no such folder", 1),
        (["list", "{folder}", "--since", "yesterday"], "'yesterday', expected a time such as 2026-05-04T13:00", 2),
        (["export", "{folder}", "answers.txt"], "expected a name that ends in .parquet, .csv, .jsonl", 1),
    ],
)
def test_the_command_says_what_was_wrong(tmp_path: Path, arguments: list[str], problem: str, status: int) -> None:
    filled = [argument.format(folder=tmp_path) for argument in arguments]
    refused = subprocess.run([COMMAND, "verdicts", *filled], capture_output=True, text=True, check=False)  # noqa: S603

    assert refused.returncode == status
    assert problem in " ".join(refused.stderr.replace("│", "").split())


def test_the_format_is_the_one_that_is_documented(
    logging: ServerProcess, small_station: SmallStation, folder: Path
) -> None:
    classify(logging, packed(small_station.queries[:1]))
    newest = max(folder.glob("*.verdicts.db"))
    documented = (Path(__file__).parents[2] / "docs" / "verdict-log.md").read_text()
    connection = sqlite3.connect(newest)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(verdicts)")]
    connection.close()

    assert [column for column in columns if f"`{column}`" not in documented] == []
