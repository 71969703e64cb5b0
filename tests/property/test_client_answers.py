"""What the client makes of arrays over a whole message is what the plain messages say; torn arrays are refused."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from miwake.client.errors import ProtocolError
from miwake.client.unpacking import unpack_answers, unpack_search
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2
from support.plain_arrays import in_arrays, plain_neighbour_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.client.answers import Answer, Neighbours

INT32 = st.integers(-(2**31), 2**31 - 1)
FLOAT32 = st.floats(width=32)
TEXT = st.text(max_size=4)
METHODS = (1, 2, 3)
MEASURES = ("distances", "betas", "etas", "gammas", "match_distances")
PROVENANCE = answer_pb2.Provenance(generation="g1")


def lists(values: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=size, max_size=size)


def neighbours(k: int) -> st.SearchStrategy[answer_pb2.Neighbours]:
    columns = {name: lists(FLOAT32, k) for name in MEASURES}
    texts = {name: lists(TEXT, k) for name in ("reference_ids", "failure_modes")}
    return st.builds(answer_pb2.Neighbours, labels=lists(INT32, k), **columns, **texts)


@st.composite
def answers(draw: st.DrawFn) -> list[answer_pb2.Answer]:
    """Return answers of which some are errors; the verdicts have as much evidence each."""
    k, a = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    has_rejects, h = draw(st.booleans()), draw(st.sampled_from([0, 6, 7]))
    verdict = st.builds(
        answer_pb2.Verdict,
        label=INT32,
        failure_mode=TEXT,
        decision=st.integers(1, 4),
        probability=FLOAT32,
        reject_probability=FLOAT32 if has_rejects else st.none(),
        margin=FLOAT32,
        novelty=FLOAT32,
        method=st.just(draw(st.integers(0, 4))),
        method_labels=st.tuples(*[st.builds(answer_pb2.MethodLabel, method=st.just(m), label=INT32) for m in METHODS]),
        anchors=st.builds(answer_pb2.AnchorDistances, labels=lists(INT32, a), distances=lists(FLOAT32, a)),
        neighbours=neighbours(k),
        reasons=st.lists(st.integers(1, 10), unique=True).map(sorted),
        health=lists(FLOAT32, h),
    )
    error = st.builds(answer_pb2.ItemError, reason=st.integers(1, 8), message=TEXT)
    one = st.builds(answer_pb2.Answer, id=TEXT, verdict=verdict) | st.builds(answer_pb2.Answer, id=TEXT, error=error)
    found = draw(st.lists(one, min_size=1, max_size=4))
    for sequence, answer in enumerate(found):
        answer.sequence = sequence
    return found


def message(plain: Sequence[answer_pb2.Answer]) -> inspection_service_pb2.InspectResponse:
    opened, arrays = in_arrays(plain)
    return inspection_service_pb2.InspectResponse(answers=opened, arrays=arrays, provenance=PROVENANCE)


@given(answers())
def test_evidence_in_arrays_is_what_the_plain_answers_say(plain: list[answer_pb2.Answer]) -> None:
    found = unpack_answers(message(plain), 0)

    assert [alike(values_of(one)) for one in found] == [alike(plain_values(one)) for one in plain]


@given(st.integers(0, 3).flatmap(lambda k: st.lists(neighbours(k), min_size=1, max_size=4)))
def test_neighbours_in_arrays_are_those_of_the_plain_answers(plain: list[answer_pb2.Neighbours]) -> None:
    response = inspection_service_pb2.SearchNeighboursResponse(
        answers=[
            inspection_service_pb2.NeighboursAnswer(sequence=row, neighbours=answer_pb2.Neighbours(row=row))
            for row in range(len(plain))
        ],
        arrays=plain_neighbour_arrays(plain),
        provenance=PROVENANCE,
    )

    found = [one.neighbours for one in unpack_search(response, len(plain))]

    assert [alike(neighbour_values(one)) for one in found if one is not None] == [
        alike(plain_neighbour_values(one)) for one in plain
    ]


@given(st.data(), answers())
def test_bytes_that_were_changed_on_the_way_are_answers_or_a_protocol_error(
    data: st.DataObject, plain: list[answer_pb2.Answer]
) -> None:
    sent = bytearray(message(plain).arrays.SerializeToString())
    place = data.draw(st.integers(0, max(len(sent) - 1, 0)))
    sent[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    torn = message(plain)
    try:
        torn.arrays.ParseFromString(bytes(sent))
    except Exception:  # noqa: BLE001 - protobuf's own: gRPC gives the client no such message
        return

    try:
        for answer in unpack_answers(torn, 0):
            values_of(answer)
    except ProtocolError as error:
        assert "answer" in str(error)  # noqa: PT017 - both outcomes are right


def alike(value: Any) -> Any:
    """Return values in which NaN equals NaN."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value
    if isinstance(value, dict):
        return {name: alike(one) for name, one in value.items()}
    return [alike(one) for one in value] if isinstance(value, list | tuple) else value


def values_of(answer: Answer) -> dict[str, Any]:
    verdict = answer.verdict
    if verdict is None:
        assert answer.error is not None
        return {"id": answer.id, "reason": int(answer.error.reason), "message": answer.error.message}
    return {
        "id": answer.id,
        "label": verdict.label,
        "failure_mode": verdict.failure_mode,
        "decision": int(verdict.decision),
        "probability": verdict.probability,
        "reject_probability": verdict.reject_probability,
        "margin": verdict.margin,
        "novelty": verdict.novelty,
        "method": int(verdict.method),
        "method_labels": {int(method): label for method, label in verdict.method_labels.items()},
        "anchors": (verdict.anchors.labels.tolist(), verdict.anchors.distances.tolist()),
        "neighbours": neighbour_values(verdict.neighbours),
        "reasons": [int(reason) for reason in verdict.reasons],
        "health": None if verdict.health is None else list(asdict(verdict.health).values()),
    }


def plain_values(answer: answer_pb2.Answer) -> dict[str, Any]:
    verdict = answer.verdict
    if not answer.HasField("verdict"):
        return {"id": answer.id, "reason": answer.error.reason, "message": answer.error.message}
    return {
        "id": answer.id,
        "label": verdict.label,
        "failure_mode": verdict.failure_mode,
        "decision": verdict.decision,
        "probability": verdict.probability,
        "reject_probability": verdict.reject_probability if verdict.HasField("reject_probability") else None,
        "margin": verdict.margin,
        "novelty": verdict.novelty,
        "method": verdict.method if verdict.method in METHODS else 0,
        "method_labels": {found.method: found.label for found in verdict.method_labels},
        "anchors": (verdict.anchors.labels[:], verdict.anchors.distances[:]),
        "neighbours": plain_neighbour_values(verdict.neighbours),
        "reasons": verdict.reasons[:],
        "health": verdict.health[:6] or None,
    }


def neighbour_values(found: Neighbours) -> dict[str, Any]:
    columns = {name: getattr(found, name).tolist() for name in ("labels", *MEASURES)}
    return {"ids": found.ids, "failure_modes": found.failure_modes, **columns}


def plain_neighbour_values(found: answer_pb2.Neighbours) -> dict[str, Any]:
    columns = {name: getattr(found, name)[:] for name in ("labels", *MEASURES)}
    return {"ids": found.reference_ids[:], "failure_modes": found.failure_modes[:], **columns}
