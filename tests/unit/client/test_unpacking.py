from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import timestamp_pb2

from miwake.client.answers import DecisionReason, InputHealth, ItemErrorReason, LabelMethod
from miwake.client.errors import ProtocolError
from miwake.client.unpacking import unpack_answers, unpack_batch, unpack_search
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2


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
    return inspection_service_pb2.InspectResponse(answers=answers, provenance=answer_pb2.Provenance(generation="g1"))


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
    newer.reasons.append(99)  # type: ignore[arg-type]
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
    with pytest.raises(ProtocolError, match="answer 0: health of 5 statistics, expected 6"):
        unpack_answers(response(answer_pb2.Answer(verdict=torn)), 0)


@pytest.mark.parametrize("field", ["label", "probability", "margin", "novelty", "decision"])
def test_a_verdict_that_lacks_what_it_must_have_is_refused(field: str) -> None:
    incomplete = verdict()
    incomplete.ClearField(field)  # type: ignore[arg-type]

    with pytest.raises(ProtocolError, match="answer 0: a verdict without label, decision, probability, margin or"):
        unpack_answers(response(answer_pb2.Answer(verdict=incomplete)), 0)


def test_a_decision_that_only_a_newer_server_knows_is_never_guessed() -> None:
    newer = verdict()
    newer.decision = 99  # type: ignore[assignment]

    with pytest.raises(ProtocolError):
        unpack_answers(response(answer_pb2.Answer(verdict=newer)), 0)


def test_anchors_of_different_lengths_are_refused() -> None:
    ragged = verdict()
    ragged.anchors.labels.append(1)

    with pytest.raises(ProtocolError, match=r"answer 0: anchors with columns of different lengths, \[3, 2\]"):
        unpack_answers(response(answer_pb2.Answer(verdict=ragged)), 0)


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
