from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2
from miwake.server.verdict_log.folder import segments
from support.serving import ServerProcess, SmallStation, connected, packed, requests_of, running_server

AWAITING = inspection_service_pb2.AnswerOptions(await_record=True)


def rows(folder: Path) -> list[sqlite3.Row]:
    """Return everything that can be read from a log with nothing but sqlite3, oldest first."""
    found: list[sqlite3.Row] = []
    for segment in segments(folder):
        with closing(sqlite3.connect(segment)) as connection:
            connection.row_factory = sqlite3.Row
            found += connection.execute("SELECT * FROM verdicts ORDER BY n")
    return found


def shown(answer: answer_pb2.Answer, provenance: answer_pb2.Provenance) -> tuple[object, ...]:
    """Return what a row should hold of an answer."""
    verdict = answer.verdict
    reasons = [answer_pb2.DecisionReason.Name(one).removeprefix("DECISION_REASON_") for one in verdict.reasons]
    return (
        answer.sequence,
        answer.id,
        answer.context.part_id or None,
        provenance.station,
        provenance.generation,
        provenance.revision,
        provenance.threshold_set,
        provenance.embedder,
        verdict.label,
        verdict.failure_mode,
        answer_pb2.Decision.Name(verdict.decision).removeprefix("DECISION_"),
        ",".join(reasons),
        verdict.probability,
        verdict.reject_probability,
        verdict.margin,
        verdict.novelty,
        answer_pb2.LabelMethod.Name(verdict.method).removeprefix("LABEL_METHOD_"),
        *verdict.health,
        *verdict.neighbours.reference_ids[:3],
        *verdict.neighbours.distances[:3],
    )


def read(row: sqlite3.Row) -> tuple[object, ...]:
    """Return the same of a row."""
    columns = (
        "sequence id part_id station generation revision threshold_set embedder label failure_mode decision reasons"
    )
    columns += (
        " probability reject_probability margin novelty method health_mean health_spread health_gain health_focus"
    )
    columns += (
        " health_saturation health_dead_lines reference_1 reference_2 reference_3 distance_1 distance_2 distance_3"
    )
    return tuple(row[name] for name in columns.split())


def with_parts(vectors: list[vector_pb2.InspectionVector]) -> list[vector_pb2.InspectionVector]:
    for vector in vectors:
        vector.context.part_id = f"part-{vector.id}"
    return vectors


def ask(server: ServerProcess, vectors: list[vector_pb2.InspectionVector]) -> inspection_service_pb2.ClassifyResponse:
    request = inspection_service_pb2.ClassifyRequest(vectors=vectors, options=AWAITING)
    with connected(server.address) as stub:
        return stub.Classify(request, timeout=30)


def test_the_rows_are_what_was_answered(small_station: SmallStation, tmp_path: Path) -> None:
    vectors = with_parts(packed(small_station.queries[:30]))
    with (
        running_server(small_station.store, tmp_path / "log", "--verdict-log", str(tmp_path / "verdicts")) as server,
        connected(server.address) as stub,
    ):
        responses = list(stub.Inspect(requests_of(vectors, size=8), timeout=60))
        status = server.stop()
    answered = [shown(answer, response.provenance) for response in responses for answer in response.answers]

    assert status == 0
    assert len(answered) == 30
    assert [read(row) for row in rows(tmp_path / "verdicts")] == answered
