"""Between messages and arrays: with ``columns`` and ``wishes`` all that touches the inspection service's messages.

Writing into a message that is part of the response costs half of what copying finished ones into it does, and what can
be encoded for a whole batch costs less again; docs/adr/0002-synchronous-grpc-server.md has the figures.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2, verification_pb2
from miwake.server.arrays import Rows, residuals_of
from miwake.server.columns import NeighbourColumns, VerdictColumns
from miwake.server.jobs import Fault, ItemFailure, Items
from miwake.server.templates import are_given, read_templates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
    from numpy.typing import NDArray

    from miwake.indexer.answers import NeighbourBatch, VerdictBatch
    from miwake.server.jobs import Answered, Delivery, Results, Slice

FLOAT32: np.dtype[np.float32] = np.dtype("<f4")
DATA_TYPES: Mapping[int, np.dtype[np.generic]] = {
    vector_pb2.DATA_TYPE_UNSPECIFIED: FLOAT32,
    vector_pb2.DATA_TYPE_FLOAT32: FLOAT32,
    vector_pb2.DATA_TYPE_UINT8: np.dtype("u1"),
    vector_pb2.DATA_TYPE_FLOAT16: np.dtype("<f2"),
}
"""How the bytes of a packed vector are read."""

REASONS: Mapping[Fault, answer_pb2.ItemErrorReason.ValueType] = {
    Fault.WRONG_LENGTH: answer_pb2.ITEM_ERROR_REASON_WRONG_LENGTH,
    Fault.NON_FINITE: answer_pb2.ITEM_ERROR_REASON_NON_FINITE,
    Fault.OUT_OF_RANGE: answer_pb2.ITEM_ERROR_REASON_OUT_OF_RANGE,
    Fault.FLAT: answer_pb2.ITEM_ERROR_REASON_FLAT,
    Fault.UNSUPPORTED_DATA_TYPE: answer_pb2.ITEM_ERROR_REASON_UNSUPPORTED_DATA_TYPE,
    Fault.INTERNAL: answer_pb2.ITEM_ERROR_REASON_INTERNAL,
    Fault.EXPIRED: answer_pb2.ITEM_ERROR_REASON_EXPIRED,
    Fault.BAD_TEMPLATE: answer_pb2.ITEM_ERROR_REASON_BAD_TEMPLATE,
}

AnyAnswer = TypeVar("AnyAnswer", answer_pb2.Answer, inspection_service_pb2.NeighboursAnswer)


def read_items(
    vectors: Sequence[vector_pb2.InspectionVector],
    *,
    context: bytes | None,
    n_values: int,
    first_sequence: int,
    with_templates: bool = False,
    as_arrays: bool = False,
) -> Items:
    """Return the vectors of a message as arrays.

    Parameters
    ----------
    vectors : sequence of InspectionVector
        Some or all of a request's.
    context : bytes or None
        The request's own, serialised: it holds for vectors without one.
    n_values : int
        V; a vector of another length is a failure among the items, and so is one of an unknown type.
    first_sequence : int
        The first one's position in its stream or request.
    with_templates : bool
        Whether templates are read too; one that cannot be is a failure of its vector.
    as_arrays : bool
        Whether they are to be answered in arrays.
    """
    alike = _read_alike(vectors, n_values)
    values, failures = alike or _read_one_by_one(vectors, n_values)
    templates = None
    if with_templates and are_given(vectors, all_packed=alike is not None):
        templates = _joined([vector.template for vector in vectors], n_values) if alike is not None else None
        if templates is None or np.isnan(templates[:, 0]).any():
            values, templates, failures = read_templates(vectors, values, failures, _values_in)
    return Items(
        first_sequence=first_sequence,
        ids=[vector.id for vector in vectors],
        contexts=[vector.context.SerializeToString() if vector.HasField("context") else context for vector in vectors],
        failures=failures,
        vectors=values,
        templates=templates,
        as_arrays=as_arrays,
    )


def _read_alike(
    vectors: Sequence[vector_pb2.InspectionVector], n_values: int
) -> tuple[NDArray[np.float32], dict[int, ItemFailure]] | None:
    """Return packed float32 vectors of the right length, copied once for all; None where there are others."""
    packed = [vector.packed for vector in vectors if DATA_TYPES.get(vector.data_type) is FLOAT32]
    values = _joined(packed, n_values) if len(packed) == len(vectors) else None
    return None if values is None else (values, {})


def _joined(packed: Sequence[bytes], n_values: int) -> NDArray[np.float32] | None:
    """Return packed float32 values as rows, None where one has not V of them."""
    size_bytes = n_values * FLOAT32.itemsize
    if any(len(data) != size_bytes for data in packed):
        return None
    return np.frombuffer(b"".join(packed), dtype=FLOAT32).reshape(-1, n_values)


def _read_one_by_one(
    vectors: Sequence[vector_pb2.InspectionVector], n_values: int
) -> tuple[NDArray[np.float32], dict[int, ItemFailure]]:
    values = np.empty((len(vectors), n_values), dtype=np.float32)
    failures: dict[int, ItemFailure] = {}
    row = 0
    for position, vector in enumerate(vectors):
        found = _values_of(vector)
        if isinstance(found, ItemFailure):
            failures[position] = found
        elif len(found) != n_values:
            failures[position] = ItemFailure(Fault.WRONG_LENGTH, f"{len(found)} values, expected {n_values}")
        else:
            values[row] = found
            row += 1
    return values[:row], failures


def read_context(
    request: inspection_service_pb2.InspectRequest
    | inspection_service_pb2.ClassifyRequest
    | inspection_service_pb2.SearchNeighboursRequest
    | verification_pb2.VerifyRequest,
) -> bytes | None:
    """Return the request's context, serialised: it is only echoed."""
    return request.context.SerializeToString() if request.HasField("context") else None


def read_n_neighbours(
    options: inspection_service_pb2.AnswerOptions | inspection_service_pb2.SearchNeighboursRequest,
) -> int | None:
    """Return how many neighbours are wanted, None where nothing is said."""
    return options.n_neighbours if options.HasField("n_neighbours") else None


def read_answer_within(options: inspection_service_pb2.AnswerOptions) -> float | None:
    """Return how long an answer is wanted, in seconds, None where nothing is said."""
    if not options.HasField("answer_within"):
        return None
    return options.answer_within.seconds + 1e-9 * options.answer_within.nanos


def read_first_sequence(request: inspection_service_pb2.InspectRequest) -> int | None:
    """Return the sequence of a request's first vector, None where nothing is said."""
    return request.first_sequence if request.HasField("first_sequence") else None


def read_n_received(request: inspection_service_pb2.InspectRequest) -> int | None:
    """Return how many answers the caller has received, None where nothing is said."""
    return request.n_received if request.HasField("n_received") else None


def _values_of(vector: vector_pb2.InspectionVector) -> NDArray[np.generic] | ItemFailure:
    if vector.HasField("floats"):
        return np.array(vector.floats.values, dtype=np.float32)
    return _values_in(vector.packed, vector.data_type)


def _values_in(packed: bytes, data_type: int) -> NDArray[np.generic] | ItemFailure:
    kind = DATA_TYPES.get(data_type)
    if kind is None:
        known = ", ".join(vector_pb2.DataType.keys()[1:])
        return ItemFailure(Fault.UNSUPPORTED_DATA_TYPE, f"data type {data_type}, expected one of {known}")
    if len(packed) % kind.itemsize:
        problem = f"{len(packed)} bytes, expected a multiple of {kind.itemsize} for values of type {kind.name}"
        return ItemFailure(Fault.WRONG_LENGTH, problem)
    return np.frombuffer(packed, dtype=kind)


def inspect_response(delivery: Delivery) -> inspection_service_pb2.InspectResponse:
    """Return the message that carries a delivery of verdicts on its stream."""
    response = inspection_service_pb2.InspectResponse(provenance=provenance([delivery]))
    _add_verdicts(response, [delivery])
    return response


def acknowledgement_response() -> inspection_service_pb2.InspectResponse:
    """Return a message that holds nothing yet but an acknowledgement."""
    return inspection_service_pb2.InspectResponse(acknowledgement=inspection_service_pb2.Acknowledgement())


def acknowledge(
    response: inspection_service_pb2.InspectResponse, *, n_accepted: int, n_recorded: int | None
) -> inspection_service_pb2.InspectResponse:
    """Write into a response what has become of the stream by now."""
    acknowledgement = response.acknowledgement
    acknowledgement.n_accepted = n_accepted
    if n_recorded is not None:
        acknowledgement.n_recorded = n_recorded
    return response


def without_first(
    response: inspection_service_pb2.InspectResponse, n_answers: int
) -> inspection_service_pb2.InspectResponse:
    """Return a response without its first answers; rows of its arrays stay where they are."""
    return inspection_service_pb2.InspectResponse(
        answers=response.answers[n_answers:],
        provenance=response.provenance,
        arrays=response.arrays if response.HasField("arrays") else None,
    )


def back_off_response(retry_after_s: float) -> inspection_service_pb2.InspectResponse:
    """Return the message that says that the server has more to do than it can."""
    back_off = inspection_service_pb2.BackOff(message="the queue for computing is full")
    back_off.retry_after.FromMicroseconds(round(1e6 * retry_after_s))
    return inspection_service_pb2.InspectResponse(back_off=back_off)


def draining_response(n_accepted: int) -> inspection_service_pb2.InspectResponse:
    """Return the message that says that the server stops after the vectors it has accepted."""
    return inspection_service_pb2.InspectResponse(draining=inspection_service_pb2.Draining(n_accepted=n_accepted))


def classify_response(deliveries: Sequence[Delivery]) -> inspection_service_pb2.ClassifyResponse:
    """Return the answer to a batch of vectors to judge, from all deliveries of it."""
    response = inspection_service_pb2.ClassifyResponse(provenance=provenance(deliveries))
    _add_verdicts(response, deliveries)
    return response


def search_response(deliveries: Sequence[Delivery]) -> inspection_service_pb2.SearchNeighboursResponse:
    """Return the answer to a batch of vectors whose neighbours are wanted, from all deliveries of it."""
    response = inspection_service_pb2.SearchNeighboursResponse(provenance=provenance(deliveries))
    in_arrays: list[Slice] = []
    n_rows = count()
    for answered in (one for delivery in deliveries for one in delivery.answered):
        judged = iter(_open_answers(response.answers, answered))
        if answered.items.as_arrays:
            in_arrays.extend(part for part in answered.slices if len(part))
            for answer in judged:
                answer.neighbours.row = next(n_rows)
            continue
        for part in answered.slices:
            columns = _neighbour_columns(part.results)
            for row in range(part.start, part.stop):
                columns.write(row, next(judged).neighbours)
    if in_arrays:
        Rows(in_arrays).neighbours(response.arrays)
    return response


def provenance(deliveries: Sequence[Delivery]) -> answer_pb2.Provenance:
    """Return what answered, over all deliveries of one request."""
    index = deliveries[0].index
    return answer_pb2.Provenance(
        station=index.station,
        embedder=index.embedder_id,
        generation=index.generation,
        revision=index.revision,
        threshold_set=index.threshold_set,
        queue_ms=max(delivery.queue_ms for delivery in deliveries),
        compute_ms=sum(delivery.compute_ms for delivery in deliveries),
        batch_size=max(delivery.batch_size for delivery in deliveries),
        recorded=all(delivery.is_recorded for delivery in deliveries),
    )


def _add_verdicts(
    response: inspection_service_pb2.InspectResponse | inspection_service_pb2.ClassifyResponse,
    deliveries: Sequence[Delivery],
) -> None:
    in_arrays: list[Slice] = []
    n_rows = count()
    for answered in (one for delivery in deliveries for one in delivery.answered):
        judged = _open_answers(response.answers, answered)
        if answered.items.as_arrays:
            in_arrays.extend(part for part in answered.slices if len(part))
            _give_rows(judged, answered.slices, n_rows)
        else:
            _write_verdicts(judged, answered.slices)
    if in_arrays:
        Rows(in_arrays).verdicts(response.arrays)


def _give_rows(judged: Sequence[answer_pb2.Answer], slices: Sequence[Slice], n_rows: Iterator[int]) -> None:
    residuals = (one for part in slices for one in residuals_of(part))
    for answer, residual, row in zip(judged, residuals, n_rows, strict=False):
        answer.verdict.row = row
        if residual:
            answer.verdict.MergeFromString(residual)


def _write_verdicts(judged: Sequence[answer_pb2.Answer], slices: Sequence[Slice]) -> None:
    answers = iter(judged)
    for part in slices:
        columns = _verdict_columns(part.results)
        for row in range(part.start, part.stop):
            columns.write(row, next(answers).verdict)


def _open_answers(answers: RepeatedCompositeFieldContainer[AnyAnswer], answered: Answered) -> list[AnyAnswer]:
    """Add an answer for each item, finish those that failed, and return the others."""
    items = answered.items
    judged = []
    for position, (id_, context) in enumerate(zip(items.ids, items.contexts, strict=True)):
        answer = answers.add(id=id_, sequence=items.first_sequence + position)
        if context is not None:
            answer.context.MergeFromString(context)
        failure = answered.failures.get(position)
        if failure is None:
            judged.append(answer)
        else:
            answer.error.reason = REASONS[failure.fault]
            answer.error.message = failure.message
    return judged


def _verdict_columns(results: Results) -> VerdictColumns:
    columns = results.columns
    if not isinstance(columns, VerdictColumns):
        batch = cast("VerdictBatch", results.batch)
        columns = results.columns = VerdictColumns(replace(batch, residuals=None) if results.omits_residuals else batch)
    return columns


def _neighbour_columns(results: Results) -> NeighbourColumns:
    columns = results.columns
    if not isinstance(columns, NeighbourColumns):
        columns = results.columns = NeighbourColumns(cast("NeighbourBatch", results.batch))
    return columns
