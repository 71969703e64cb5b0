from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING

import numpy as np
import pytest
from google.protobuf import timestamp_pb2

from miwake.client.answers import DecisionReason, InputHealth, ItemErrorReason, LabelMethod, Neighbour
from miwake.client.errors import ProtocolError
from miwake.client.unpacking import unpack_answers, unpack_batch, unpack_search
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2
from support.plain_arrays import in_arrays

if TYPE_CHECKING:
    from collections.abc import Callable


def verdict() -> answer_pb2.Verdict:
    return answer_pb2.Verdict(
        label=-3,
        decision=answer_pb2.DECISION_UNKNOWN,
        probability=0.5,
        margin=0.25,
        novelty=2.0,
        method=answer_pb2.LABEL_METHOD_VOTE,
        method_labels=[answer_pb2.MethodLabel(method=answer_pb2.LABEL_METHOD_SOART3_VOTE, label=0)],
        anchors=answer_pb2.AnchorDistances(labels=[4, -3], distances=[0.5, 1.5]),
        neighbours=answer_pb2.Neighbours(
            reference_ids=["a", "b"],
            labels=[-3, 4],
            failure_modes=["crack", "ok"],
            distances=[0.5, 0.75],
            betas=[1.0, -1.0],
            etas=[0.0, 0.5],
            gammas=[0.0, 0.25],
            match_distances=[0.0, 0.5],
        ),
    )


def response(*answers: answer_pb2.Answer) -> inspection_service_pb2.InspectResponse:
    """Return a message with the answers, their verdicts in arrays."""
    opened, arrays = in_arrays(answers)
    provenance = answer_pb2.Provenance(generation="g1")
    return inspection_service_pb2.InspectResponse(answers=opened, provenance=provenance, arrays=arrays)


def two_verdicts() -> inspection_service_pb2.InspectResponse:
    return response(answer_pb2.Answer(sequence=7, verdict=verdict()), answer_pb2.Answer(sequence=8, verdict=verdict()))


def test_evidence_becomes_arrays_of_the_stored_types() -> None:
    [answer] = unpack_answers(response(answer_pb2.Answer(id="q", sequence=5, verdict=verdict())), 5)

    found = answer.verdict
    assert found is not None
    assert (answer.id, answer.sequence, answer.error) == ("q", 5, None)
    assert found.label == -3
    assert found.reject_probability is None
    assert found.method_labels == {LabelMethod.SOART3_VOTE: 0}
    assert found.anchors.labels.dtype == np.int32
    assert found.anchors.distances.dtype == np.float32
    assert found.anchors.labels.tolist() == [4, -3]
    assert len(found.anchors) == 2
    assert found.neighbours.ids == ("a", "b")
    assert found.neighbours.failure_modes == ("crack", "ok")
    assert found.neighbours.labels.tolist() == [-3, 4]
    assert found.neighbours.betas.tolist() == [1.0, -1.0]
    assert found.neighbours.etas.tolist() == [0.0, 0.5]
    assert found.neighbours.gammas.tolist() == [0.0, 0.25]
    assert found.neighbours.match_distances.tolist() == [0.0, 0.5]
    assert answer.provenance.generation == "g1"


def test_what_only_a_newer_server_knows_is_called_unspecified() -> None:
    newer = verdict()
    newer.method = 99  # type: ignore[assignment]
    newer.method_labels.add(method=99, label=1)
    newer.reasons.append(32)  # type: ignore[arg-type]
    error = answer_pb2.ItemError(reason=99, message="new")  # type: ignore[arg-type]

    judged, refused = unpack_answers(
        response(answer_pb2.Answer(verdict=newer), answer_pb2.Answer(sequence=1, error=error)), 0
    )

    assert judged.verdict is not None
    assert judged.verdict.method is LabelMethod.UNSPECIFIED
    assert judged.verdict.method_labels == {LabelMethod.SOART3_VOTE: 0}
    assert judged.verdict.reasons == (DecisionReason.UNSPECIFIED,)
    assert refused.error is not None
    assert refused.error.reason is ItemErrorReason.UNSPECIFIED
    assert refused.error.message == "new"


def test_reasons_and_the_health_of_the_input_come_by_name() -> None:
    held_back = verdict()
    held_back.reasons.extend([answer_pb2.DECISION_REASON_NOVEL, answer_pb2.DECISION_REASON_FOCUS])
    held_back.health.extend([0.0, 0.25, 0.5, -2.0, 0.75, 1.0])

    [answer] = unpack_answers(response(answer_pb2.Answer(verdict=held_back)), 0)

    assert answer.verdict is not None
    assert answer.verdict.reasons == (DecisionReason.NOVEL, DecisionReason.FOCUS)
    assert answer.verdict.health == InputHealth(
        mean=0.0, spread=0.25, gain=0.5, focus=-2.0, saturation=0.75, dead_lines=1.0
    )


def test_a_verdict_without_reasons_and_health_is_one_of_an_embedder_that_learnt_none() -> None:
    [answer] = unpack_answers(response(answer_pb2.Answer(verdict=verdict())), 0)

    assert answer.verdict is not None
    assert (answer.verdict.reasons, answer.verdict.health) == ((), None)


def test_health_statistics_of_a_newer_server_are_left_out_and_missing_ones_refused() -> None:
    newer, torn = verdict(), verdict()
    newer.health.extend([0.5] * 7)
    torn.health.extend([0.5] * 5)

    [answer] = unpack_answers(response(answer_pb2.Answer(verdict=newer)), 0)

    assert answer.verdict is not None
    assert answer.verdict.health == InputHealth(0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    with pytest.raises(ProtocolError, match="answers 0 … 0: health of 5 statistics, expected 6"):
        unpack_answers(response(answer_pb2.Answer(verdict=torn)), 0)


def test_a_decision_that_only_a_newer_server_knows_is_never_guessed() -> None:
    torn = two_verdicts()
    torn.arrays.decisions = bytes([1, 99])

    with pytest.raises(ProtocolError, match=r"answers 7 … 8: row 1: a verdict with the decision 99, expected one of"):
        unpack_answers(torn, 7)


@pytest.mark.parametrize(
    "name",
    [
        "labels",
        "probabilities",
        "margins",
        "novelty",
        "method_labels",
        "reasons",
        "anchor_labels",
        "anchor_distances",
        "neighbours.labels",
        "neighbours.failure_modes",
        "neighbours.distances",
        "neighbours.betas",
        "neighbours.etas",
        "neighbours.gammas",
        "neighbours.match_distances",
    ],
)
@pytest.mark.parametrize("tear", [lambda data: data[:-1], lambda data: data[:-4], lambda data: data + bytes(4)])
def test_an_array_that_is_torn_is_refused_by_its_name(name: str, tear: Callable[[bytes], bytes]) -> None:
    torn = two_verdicts()
    *path, field = name.split(".")
    message = torn.arrays.neighbours if path else torn.arrays
    setattr(message, field, tear(getattr(message, field)))

    with pytest.raises(ProtocolError, match=rf"answers 7 … 8: {name} of \d+ bytes, expected .* for 2 rows"):
        unpack_answers(torn, 7)


def test_missing_arrays_are_refused_but_for_those_that_may_be_left_out() -> None:
    bare, torn = two_verdicts(), two_verdicts()
    for name in ("reject_probabilities", "health", "anchor_labels", "anchor_distances", "neighbours"):
        bare.arrays.ClearField(name)
    torn.arrays.ClearField("labels")

    [answer, _] = unpack_answers(bare, 7)

    assert answer.verdict is not None
    assert (len(answer.verdict.anchors), len(answer.verdict.neighbours)) == (0, 0)
    with pytest.raises(ProtocolError, match="labels of 0 bytes, expected 8 for 2 rows of int32"):
        unpack_answers(torn, 7)


def test_texts_that_are_missing_are_refused() -> None:
    fewer_modes, fewer_ids, fewer_names = two_verdicts(), two_verdicts(), two_verdicts()
    del fewer_modes.arrays.failure_modes[1:]
    del fewer_ids.arrays.neighbours.reference_ids[1:]
    del fewer_names.arrays.neighbours.failure_mode_names[1:]

    with pytest.raises(ProtocolError, match="answers 7 … 8: 1 failure_modes, expected 2"):
        unpack_answers(fewer_modes, 7)
    with pytest.raises(ProtocolError, match=r"neighbours\.reference_ids: 1 texts, expected as many for each of 2 rows"):
        unpack_answers(fewer_ids, 7)
    with pytest.raises(ProtocolError, match=r"neighbours\.failure_modes name the place 1 among 1 failure_mode_names"):
        unpack_answers(fewer_names, 7)


@pytest.mark.parametrize("row", [None, 0, 2, 2**32 - 1])
def test_an_answer_must_give_a_row_of_its_own(row: int | None) -> None:
    torn = two_verdicts()
    torn.answers[1].verdict.ClearField("row")
    if row is not None:
        torn.answers[1].verdict.row = row

    given = "none" if row is None else row
    with pytest.raises(ProtocolError, match=f"answer 8: row {given} of the arrays, expected one of 1 … 1"):
        unpack_answers(torn, 7)


def test_rows_that_no_answer_gives_are_passed_over() -> None:
    torn = two_verdicts()
    torn.arrays.labels = np.array([5, 6], dtype="<i4").tobytes()
    del torn.answers[0]

    [answer] = unpack_answers(torn, 8)

    assert answer.verdict is not None
    assert answer.verdict.label == 6


def test_each_answer_has_the_evidence_of_its_row_and_errors_have_none() -> None:
    other = verdict()
    other.label = 9
    other.neighbours.reference_ids[:] = ["c", "d"]
    error = answer_pb2.ItemError(reason=answer_pb2.ITEM_ERROR_REASON_FLAT, message="flat")
    bad = answer_pb2.Answer(id="bad", sequence=1, error=error)

    found = unpack_answers(
        response(answer_pb2.Answer(verdict=verdict()), bad, answer_pb2.Answer(sequence=2, verdict=other)), 0
    )

    assert [None if one.verdict is None else one.verdict.label for one in found] == [-3, None, 9]
    assert [None if one.verdict is None else one.verdict.neighbours.ids for one in found] == [
        ("a", "b"),
        None,
        ("c", "d"),
    ]
    assert found[1].error is not None
    assert found[1].id == "bad"


def test_neighbours_are_also_told_one_by_one() -> None:
    [answer, _] = unpack_answers(two_verdicts(), 7)

    assert answer.verdict is not None
    nearest, last = answer.verdict.neighbours
    assert nearest == Neighbour("a", -3, "crack", 0.5, 1.0, 0.0, 0.0, 0.0)
    assert last == answer.verdict.neighbours[-1] == Neighbour("b", 4, "ok", 0.75, -1.0, 0.5, 0.25, 0.5)
    with pytest.raises(IndexError):
        _ = answer.verdict.neighbours[2]


def test_a_deep_copy_does_not_keep_the_message_that_an_answer_came_in() -> None:
    [answer, _] = unpack_answers(two_verdicts(), 7)

    kept = copy.deepcopy(answer)

    assert kept.verdict is not None
    assert kept.verdict.neighbours.ids == ("a", "b")
    assert kept.verdict.neighbours.distances.base is None
    assert kept.verdict.anchors.labels.base is None


def test_answers_are_frozen_like_any() -> None:
    [answer, _] = unpack_answers(two_verdicts(), 7)

    assert answer.verdict is not None
    for one, name in ((answer, "id"), (answer.verdict, "label"), (answer.verdict.anchors, "labels")):
        with pytest.raises(FrozenInstanceError):
            setattr(one, name, None)
    assert not answer.verdict.neighbours.distances.flags.writeable


def test_an_impossible_time_is_refused() -> None:
    context = vector_pb2.InspectionContext(inspected_at=timestamp_pb2.Timestamp(seconds=10**15))

    with pytest.raises(ProtocolError):
        unpack_answers(response(answer_pb2.Answer(context=context, verdict=verdict())), 0)


def test_a_context_that_says_nothing_is_still_one() -> None:
    [answer] = unpack_answers(response(answer_pb2.Answer(context=vector_pb2.InspectionContext(), verdict=verdict())), 0)

    assert answer.context is not None
    assert answer.context.is_simulated is None
    assert answer.context.inspected_at is None


def test_a_response_without_answers_needs_no_provenance() -> None:
    assert unpack_answers(inspection_service_pb2.InspectResponse(), 0) == []


def test_a_batch_with_a_missing_answer_is_refused() -> None:
    with pytest.raises(ProtocolError, match="0 answers to 1 vectors"):
        unpack_batch(inspection_service_pb2.ClassifyResponse(), 1)
    with pytest.raises(ProtocolError, match="0 answers to 2 vectors"):
        unpack_search(inspection_service_pb2.SearchNeighboursResponse(), 2)


def test_a_slice_of_the_neighbours_is_a_tuple_of_them() -> None:
    [answer] = unpack_answers(response(answer_pb2.Answer(verdict=verdict())), 0)

    assert answer.verdict is not None
    neighbours = answer.verdict.neighbours
    assert neighbours[:1] == (neighbours[0],)
    assert neighbours[::-1] == (neighbours[1], neighbours[0])
    assert neighbours[2:] == ()
