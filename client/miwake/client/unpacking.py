"""What comes from the wire, for both clients: messages to dataclasses, and the checks that the server kept its word."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.client.answers import (
    Anchors,
    Answer,
    Decision,
    DecisionReason,
    InputHealth,
    ItemError,
    ItemErrorReason,
    LabelMethod,
    Neighbours,
    NeighboursAnswer,
    Provenance,
    ReferenceMap,
    Residuals,
    Verdict,
)
from miwake.client.errors import ProtocolError
from miwake.client.inspections import InspectionContext
from miwake.inspection.v1 import answer_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

    from google.protobuf.internal.containers import RepeatedScalarFieldContainer
    from numpy.typing import NDArray

    from miwake.inspection.v1 import inspection_service_pb2, verification_pb2

DECISIONS = {int(decision): decision for decision in Decision}
N_HEALTH = len(fields(InputHealth))
METHODS = {int(method): method for method in LabelMethod}
DECISION_REASONS = {int(reason): reason for reason in DecisionReason}
REASONS = {int(reason): reason for reason in ItemErrorReason}
REFERENCE_MAPS = {int(reference): reference for reference in ReferenceMap}
MEASURES = tuple(field.name for field in fields(Residuals))[1:]


def unpack_batch(response: inspection_service_pb2.ClassifyResponse, n_vectors: int) -> list[Answer]:
    """Return the answers to a batch of ``n_vectors``.

    Raises
    ------
    ProtocolError
        If there is not one for each, or as ``unpack_answers``.
    """
    _check_count(response, n_vectors)
    return unpack_answers(response, 0)


def unpack_answers(
    response: inspection_service_pb2.InspectResponse | inspection_service_pb2.ClassifyResponse, first: int
) -> list[Answer]:
    """Return the answers of a response, the first of which must have the sequence ``first``.

    Raises
    ------
    ProtocolError
        If a sequence is not the next, an answer holds neither verdict nor error, or the evidence makes no sense.
    """
    if not response.answers:
        return []
    provenance = unpack_provenance(response)
    answers = []
    for sequence, message in enumerate(response.answers, start=first):
        outcome = _checked_outcome(message, sequence)
        answers.append(
            Answer(
                message.id,
                sequence,
                unpack_context(message),
                _unpack_verdict(message.verdict, sequence) if outcome == "verdict" else None,
                unpack_error(message.error) if outcome == "error" else None,
                provenance,
            )
        )
    return answers


def unpack_search(response: inspection_service_pb2.SearchNeighboursResponse, n_vectors: int) -> list[NeighboursAnswer]:
    """Return the neighbours found for a batch of ``n_vectors``.

    Raises
    ------
    ProtocolError
        As ``unpack_batch``.
    """
    _check_count(response, n_vectors)
    provenance = unpack_provenance(response)
    answers = []
    for sequence, message in enumerate(response.answers):
        outcome = _checked_outcome(message, sequence)
        answers.append(
            NeighboursAnswer(
                message.id,
                sequence,
                unpack_context(message),
                _unpack_neighbours(message.neighbours, sequence) if outcome == "neighbours" else None,
                unpack_error(message.error) if outcome == "error" else None,
                provenance,
            )
        )
    return answers


def _check_count(
    response: inspection_service_pb2.ClassifyResponse | inspection_service_pb2.SearchNeighboursResponse, n_vectors: int
) -> None:
    if len(response.answers) != n_vectors:
        text = f"{len(response.answers)} answers to {n_vectors} vectors"
        raise ProtocolError(text)


def _checked_outcome(message: answer_pb2.Answer | inspection_service_pb2.NeighboursAnswer, sequence: int) -> str:
    if message.sequence != sequence:
        text = f"an answer with sequence {message.sequence}, expected {sequence}"
        raise ProtocolError(text)
    outcome = message.WhichOneof("outcome")
    if outcome is None:
        text = f"answer {sequence} holds neither a verdict nor an error"
        raise ProtocolError(text)
    return outcome


def _unpack_verdict(message: answer_pb2.Verdict, sequence: int) -> Verdict:
    decision = DECISIONS.get(message.decision)
    has = message.HasField
    if decision is None or not (has("label") and has("probability") and has("margin") and has("novelty")):
        text = f"answer {sequence}: a verdict without label, decision, probability, margin or novelty"
        raise ProtocolError(text)
    return Verdict(
        message.label,
        message.failure_mode,
        decision,
        message.probability,
        message.reject_probability if message.HasField("reject_probability") else None,
        message.margin,
        message.novelty,
        METHODS.get(message.method, LabelMethod.UNSPECIFIED),
        {METHODS[found.method]: found.label for found in message.method_labels if found.method in METHODS},
        _unpack_anchors(message.anchors, sequence),
        _unpack_neighbours(message.neighbours, sequence),
        tuple(DECISION_REASONS.get(reason, DecisionReason.UNSPECIFIED) for reason in message.reasons),
        _unpack_health(message.health[:], sequence),
        unpack_residuals(message, sequence) if has("residuals") else None,
    )


def unpack_residuals(verdict: answer_pb2.Verdict, sequence: int) -> Residuals:
    """Return the residuals of a verdict that has some."""
    return Residuals.unread(partial(_read_residuals, verdict.residuals.SerializeToString(), sequence))


def _read_residuals(data: bytes, sequence: int) -> tuple[Any, ...]:
    message = answer_pb2.Residuals.FromString(data)
    measures = {field.name: value for field, value in message.ListFields() if field.has_presence}
    missing = [name for name in MEASURES if name not in measures]
    if missing:
        text = f"answer {sequence}: residuals without {', '.join(missing)}"
        raise ProtocolError(text)
    reference = REFERENCE_MAPS.get(message.reference, ReferenceMap.UNSPECIFIED)
    return reference, *(measures[name] for name in MEASURES)


def _unpack_health(deviations: Sequence[float], sequence: int) -> InputHealth | None:
    """Return what is known of the health of an input; statistics that only a newer client knows stand behind."""
    if not deviations:
        return None
    if len(deviations) < N_HEALTH:
        text = f"answer {sequence}: health of {len(deviations)} statistics, expected {N_HEALTH}"
        raise ProtocolError(text)
    return InputHealth(*deviations[:N_HEALTH])


def _unpack_anchors(message: answer_pb2.AnchorDistances, sequence: int) -> Anchors:
    _check_lengths(sequence, "anchors", (message.labels, message.distances))
    return Anchors.unread(partial(_read_anchors, message.SerializeToString()))


def _read_anchors(data: bytes) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    message = answer_pb2.AnchorDistances.FromString(data)
    return _integers(message.labels), _floats(message.distances)


def _unpack_neighbours(message: answer_pb2.Neighbours, sequence: int) -> Neighbours:
    _check_lengths(
        sequence,
        "neighbours",
        (
            message.reference_ids,
            message.labels,
            message.failure_modes,
            message.distances,
            message.betas,
            message.etas,
            message.gammas,
            message.match_distances,
        ),
    )
    return Neighbours.unread(partial(_read_neighbours, message.SerializeToString()))


def _read_neighbours(data: bytes) -> tuple[Any, ...]:
    message = answer_pb2.Neighbours.FromString(data)
    return (
        tuple(message.reference_ids),
        _integers(message.labels),
        tuple(message.failure_modes),
        _floats(message.distances),
        _floats(message.betas),
        _floats(message.etas),
        _floats(message.gammas),
        _floats(message.match_distances),
    )


def _check_lengths(sequence: int, what: str, columns: Sequence[Sized]) -> None:
    lengths = [len(column) for column in columns]
    if lengths.count(lengths[0]) != len(lengths):
        text = f"answer {sequence}: {what} with columns of different lengths, {lengths}"
        raise ProtocolError(text)


# Slicing to a list first halves the time of numpy.array on a repeated field.
def _floats(field: RepeatedScalarFieldContainer[float]) -> NDArray[np.float32]:
    return np.array(field[:], dtype=np.float32)


def _integers(field: RepeatedScalarFieldContainer[int]) -> NDArray[np.int32]:
    return np.array(field[:], dtype=np.int32)


def unpack_error(message: answer_pb2.ItemError) -> ItemError:
    """Return why a vector has no answer; a reason that is not known yet is ``UNSPECIFIED``."""
    return ItemError(reason=REASONS.get(message.reason, ItemErrorReason.UNSPECIFIED), message=message.message)


def unpack_context(
    answer: answer_pb2.Answer | inspection_service_pb2.NeighboursAnswer | verification_pb2.PairAnswer,
) -> InspectionContext | None:
    """Return what was said about the part, None where nothing was."""
    if not answer.HasField("context"):
        return None
    message = answer.context
    try:
        inspected_at = message.inspected_at.ToDatetime(UTC) if message.HasField("inspected_at") else None
    except ValueError as error:
        text = f"answer {answer.sequence}: {error}"
        raise ProtocolError(text) from error
    return InspectionContext(
        part_id=message.part_id,
        job_id=message.job_id,
        product_id=message.product_id,
        recipe_id=message.recipe_id,
        inspected_at=inspected_at,
        is_simulated=message.is_simulated if message.HasField("is_simulated") else None,
    )


def unpack_provenance(
    response: inspection_service_pb2.InspectResponse
    | inspection_service_pb2.ClassifyResponse
    | inspection_service_pb2.SearchNeighboursResponse
    | verification_pb2.VerifyResponse,
) -> Provenance:
    """Return what answered.

    Raises
    ------
    ProtocolError
        If nothing says so.
    """
    if not response.HasField("provenance"):
        text = "answers without provenance: nothing says which index gave them"
        raise ProtocolError(text)
    message = response.provenance
    return Provenance(
        station=message.station,
        embedder=message.embedder,
        generation=message.generation,
        revision=message.revision,
        threshold_set=message.threshold_set,
        queue_ms=message.queue_ms,
        compute_ms=message.compute_ms,
        batch_size=message.batch_size,
        recorded=message.recorded,
    )
