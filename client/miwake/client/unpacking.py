"""What comes from the wire, for both clients: messages to dataclasses, and the checks that the server kept its word."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC
from functools import partial
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from miwake.client.answers import (
    Answer,
    ItemError,
    ItemErrorReason,
    NeighboursAnswer,
    Provenance,
    ReferenceMap,
    Residuals,
)
from miwake.client.arrays import NeighbourRows, VerdictRows
from miwake.client.errors import ProtocolError
from miwake.client.inspections import InspectionContext
from miwake.client.making import made_of
from miwake.inspection.v1 import answer_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from miwake.inspection.v1 import inspection_service_pb2, verification_pb2

Found = TypeVar("Found")

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
    try:
        rows = VerdictRows(response.arrays)
    except ProtocolError as error:
        raise _about(error, len(response.answers), first) from error
    read = _read(response.answers, first, len(rows))
    residuals: list[Residuals | None] = [None] * len(rows)
    for sequence, row, message in zip(read.sequences, read.rows, read.judged, strict=True):
        if message.HasField("residuals"):
            residuals[row] = unpack_residuals(message, sequence)
    verdicts = read.of_rows(rows.verdicts(residuals))
    return made_of(Answer, read.ids, count(first), read.contexts, verdicts, read.errors, repeat(provenance))


def unpack_search(response: inspection_service_pb2.SearchNeighboursResponse, n_vectors: int) -> list[NeighboursAnswer]:
    """Return the neighbours found for a batch of ``n_vectors``.

    Raises
    ------
    ProtocolError
        As ``unpack_batch``.
    """
    _check_count(response, n_vectors)
    provenance = unpack_provenance(response)
    n_rows = sum(message.HasField("neighbours") for message in response.answers)
    try:
        rows = NeighbourRows(response.arrays, n_rows)
    except ProtocolError as error:
        raise _about(error, n_vectors) from error
    read = _read(response.answers, 0, n_rows)
    found = read.of_rows(rows.all())
    return made_of(NeighboursAnswer, read.ids, count(), read.contexts, found, read.errors, repeat(provenance))


def _about(error: ProtocolError, n_answers: int, first: int = 0) -> ProtocolError:
    """Return what is wrong with the arrays of a message as an error that says of which answers."""
    return ProtocolError(f"answers {first} … {first + n_answers - 1}: {error}")


class _Columns(NamedTuple):
    """The answers of a message; of those without an error, which are ``judged``, also sequences and rows."""

    ids: list[str]
    contexts: list[InspectionContext | None]
    errors: list[ItemError | None]
    judged: list[Any]
    sequences: list[int]
    rows: list[int]

    def of_rows(self, found: Sequence[Found]) -> Iterable[Found | None]:
        """Return what each answer's row holds, None where it has an error."""
        rows = iter(self.rows)
        if len(self.rows) == len(self.errors):
            return map(found.__getitem__, rows)
        return (found[next(rows)] if error is None else None for error in self.errors)


def _read(
    answers: Iterable[answer_pb2.Answer | inspection_service_pb2.NeighboursAnswer], first: int, n_rows: int
) -> _Columns:
    """Return the answers of a message column by column, which is much less work than one by one."""
    messages = list(answers)
    _check_sequences([message.sequence for message in messages], first)
    outcomes = [message.WhichOneof("outcome") or "" for message in messages]
    if "" in outcomes:
        text = f"answer {first + outcomes.index('')} holds neither a verdict nor an error"
        raise ProtocolError(text)
    judged = [getattr(one, name) for one, name in zip(messages, outcomes, strict=True) if name != "error"]
    sequences = [sequence for sequence, name in enumerate(outcomes, start=first) if name != "error"]
    rows = [one.row for one in judged]
    if rows != list(range(n_rows)) or (rows and not judged[0].HasField("row")):
        _check_rows(zip(sequences, judged, strict=True), n_rows)
    return _Columns(
        [one.id for one in messages],
        [unpack_context(one) if one.HasField("context") else None for one in messages],
        [None if name != "error" else unpack_error(one.error) for one, name in zip(messages, outcomes, strict=True)],
        judged,
        sequences,
        rows,
    )


def _check_sequences(sequences: Sequence[int], first: int) -> None:
    for expected, sequence in enumerate(sequences, start=first):
        if sequence != expected:
            text = f"an answer with sequence {sequence}, expected {expected}"
            raise ProtocolError(text)


def _check_rows(judged: Iterable[tuple[int, Any]], n_rows: int) -> None:
    """Check that each answer has a row of its own; some may be of no answer."""
    following = 0
    for sequence, message in judged:
        if not (message.HasField("row") and following <= message.row < n_rows):
            given = message.row if message.HasField("row") else "none"
            text = f"answer {sequence}: row {given} of the arrays, expected one of {following} … {n_rows - 1}"
            raise ProtocolError(text)
        following = message.row + 1


def _check_count(
    response: inspection_service_pb2.ClassifyResponse | inspection_service_pb2.SearchNeighboursResponse, n_vectors: int
) -> None:
    if len(response.answers) != n_vectors:
        text = f"{len(response.answers)} answers to {n_vectors} vectors"
        raise ProtocolError(text)


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
