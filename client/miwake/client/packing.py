"""What goes on the wire, for both clients: arrays and dataclasses to messages.

Everything that the caller can get wrong is refused here, before anything is sent. What only the station knows, such as
how many values a vector must have, is left to the server, which answers with an ``ItemError``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from miwake.client.errors import InvalidQueryError
from miwake.client.inspections import Inspection
from miwake.client.wishes import pack_evidence, pack_filter, pack_options
from miwake.inspection.v1 import inspection_service_pb2, vector_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.client.filters import Filter
    from miwake.client.flow import Batch
    from miwake.client.inspections import InspectionContext, Templates, Vector, Vectors
    from miwake.client.options import Evidence, SearchOptions

    Values = NDArray[np.float32 | np.uint8 | np.float16]

MAX_NEIGHBOURS = 2**32 - 1
"""What the field can hold; the server has a lower limit of its own."""

DATA_TYPES = {
    np.dtype("<f4"): vector_pb2.DATA_TYPE_FLOAT32,
    np.dtype("u1"): vector_pb2.DATA_TYPE_UINT8,
    np.dtype("<f2"): vector_pb2.DATA_TYPE_FLOAT16,
}
"""What travels as it is; any other float is converted to float32 first."""


class PackedVector(NamedTuple):
    """A vector as it goes on the wire, with the size of its values in bytes, its template's included."""

    message: vector_pb2.InspectionVector
    size_bytes: int


def pack(item: Vector | Inspection) -> PackedVector:
    """Return an item as a message.

    Parameters
    ----------
    item : (V,) float or uint8, or Inspection
        float16, float32 and uint8 travel as they are; float64 is converted to float32, and what is too large for that
        becomes an infinity, which the server refuses for this item.

    Raises
    ------
    InvalidQueryError
        If the vector or its template is no array of floats or uint8, has more than one dimension or no values; if the
        id or a text of the context is no text.
    """
    if not isinstance(item, Inspection):
        item = Inspection(vector=item)
    values = _values(item.vector)
    template = b""
    if item.template is not None:
        values, template = _with_template(values, item.template)
    context = None if item.context is None else pack_context(item.context)
    try:
        message = vector_pb2.InspectionVector(
            id=item.id, packed=values.tobytes(), data_type=DATA_TYPES[values.dtype], context=context
        )
    except (TypeError, ValueError) as error:
        message_text = f"id {item.id!r}: expected text: {error}"
        raise InvalidQueryError(message_text) from error
    if template:
        message.template = template
    return PackedVector(message, values.nbytes + len(template))


def _with_template(values: Values, template: Vector) -> tuple[Values, bytes]:
    """Return a vector's values and the bytes of its template, both of one type."""
    try:
        beside = _values(template)
    except InvalidQueryError as error:
        message = f"template: {error}"
        raise InvalidQueryError(message) from error
    if beside.dtype == values.dtype:
        return values, beside.tobytes()
    return values.astype("<f4"), beside.astype("<f4").tobytes()


def _values(vector: Vector) -> Values:
    if isinstance(vector, np.ma.MaskedArray):
        message = "a masked array, expected a plain one: fill or drop the masked values first"
        raise InvalidQueryError(message)
    try:
        values = np.asarray(vector)
    except ValueError as error:
        message = f"not an array of numbers: {error}"
        raise InvalidQueryError(message) from error
    if values.ndim != 1 or not values.size:
        message = f"a vector of shape {values.shape}, expected (V,): one value for each cell of the heat map"
        raise InvalidQueryError(message)
    if values.dtype in DATA_TYPES:
        return values
    if values.dtype.kind != "f":
        message = (
            f"a vector of {values.dtype}, expected float16, float32, float64 or uint8; "
            "where the values are numbers, convert them with .astype(numpy.float32)"
        )
        raise InvalidQueryError(message)
    with np.errstate(over="ignore"):
        return values.astype("<f4")


def pack_batch(
    vectors: Vectors, ids: Sequence[str] | None, templates: Templates | None = None, *, with_templates: bool = True
) -> list[vector_pb2.InspectionVector]:
    """Return a batch as messages.

    Parameters
    ----------
    vectors : (Q, V) float or uint8, or a sequence of Q items as ``pack`` takes them
    ids : Q texts, or None
        They stand before the ids of ``Inspection`` items.
    templates : (Q, V) float or uint8, a sequence of Q arrays or None, or None
        They stand before the templates of ``Inspection`` items; one that is None, or all NaN, is none.
    with_templates : bool
        Whether those of ``Inspection`` items are sent.

    Raises
    ------
    InvalidQueryError
        As ``pack``, naming the position; if ``vectors`` is a single vector; if there are not Q ids, or templates.
    """
    if isinstance(vectors, np.ndarray) and vectors.ndim != 2:
        message = f"vectors of shape {vectors.shape}, expected (Q, V): a single vector is a batch of one, vector[None]"
        raise InvalidQueryError(message)
    if ids is not None and len(ids) != len(vectors):
        message = f"{len(ids)} ids, expected {len(vectors)}: one for each vector"
        raise InvalidQueryError(message)
    items = vectors if templates is None else _beside(vectors, templates)
    messages = []
    for position, item in enumerate(items):
        try:
            if not with_templates and isinstance(item, Inspection) and item.template is not None:
                item = replace(item, template=None)  # noqa: PLW2901
            packed = pack(item).message
            if ids is not None:
                packed.id = ids[position]
        except (InvalidQueryError, TypeError, ValueError) as error:
            message = f"vector {position}: {error}"
            raise InvalidQueryError(message) from error
        messages.append(packed)
    return messages


def _beside(vectors: Vectors, templates: Templates) -> list[Vector | Inspection]:
    """Return each vector with its template."""
    if isinstance(templates, np.ndarray) and templates.ndim != 2:
        message = f"templates of shape {templates.shape}, expected (Q, V): one for each vector"
        raise InvalidQueryError(message)
    if len(templates) != len(vectors):
        message = f"{len(templates)} templates, expected {len(vectors)}: one for each vector, None where it has none"
        raise InvalidQueryError(message)
    return [
        item
        if template is None or is_all_nan(template)
        else replace(item, template=template)
        if isinstance(item, Inspection)
        else Inspection(vector=item, template=template)
        for item, template in zip(vectors, templates, strict=True)
    ]


def is_all_nan(values: Vector) -> bool:
    """Return whether values stand for a template that is not there."""
    return isinstance(values, np.ndarray) and values.dtype.kind == "f" and bool(np.isnan(values).all())


def pack_context(context: InspectionContext) -> vector_pb2.InspectionContext:
    """Return a context as a message.

    Raises
    ------
    InvalidQueryError
        If one of its texts is no text.
    """
    try:
        message = vector_pb2.InspectionContext(
            part_id=context.part_id,
            job_id=context.job_id,
            product_id=context.product_id,
            recipe_id=context.recipe_id,
            is_simulated=context.is_simulated,
        )
    except (TypeError, ValueError) as error:
        text = f"{context}: {error}"
        raise InvalidQueryError(text) from error
    if context.inspected_at is not None:
        message.inspected_at.FromDatetime(context.inspected_at)
    return message


def checked_n_neighbours(n_neighbours: int | None) -> int | None:
    """Return the number of neighbours asked for, None for the server's default.

    Raises
    ------
    InvalidQueryError
        If it is no integer of at least 1.
    """
    if n_neighbours is None:
        return None
    if isinstance(n_neighbours, bool) or not isinstance(n_neighbours, (int, np.integer)) or n_neighbours < 1:
        message = f"n_neighbours {n_neighbours!r}, expected an integer of at least 1"
        raise InvalidQueryError(message)
    return min(int(n_neighbours), MAX_NEIGHBOURS)


def classify_request(
    vectors: Vectors,
    *,
    templates: Templates | None = None,
    station: str,
    ids: Sequence[str] | None,
    context: InspectionContext | None,
    n_neighbours: int | None,
    evidence: Evidence | None = None,
) -> inspection_service_pb2.ClassifyRequest:
    """Return the request for a batch of verdicts; errors as ``pack_batch``."""
    return inspection_service_pb2.ClassifyRequest(
        station=station,
        context=None if context is None else pack_context(context),
        vectors=pack_batch(vectors, ids, templates),
        options=pack_evidence(checked_n_neighbours(n_neighbours), evidence),
    )


def search_request(
    vectors: Vectors,
    *,
    station: str,
    ids: Sequence[str] | None,
    context: InspectionContext | None,
    n_neighbours: int | None,
    where: Filter | None = None,
    options: SearchOptions | None = None,
) -> inspection_service_pb2.SearchNeighboursRequest:
    """Return the request for the neighbours of a batch; errors as ``pack_batch`` and ``pack_filter``."""
    return inspection_service_pb2.SearchNeighboursRequest(
        station=station,
        context=None if context is None else pack_context(context),
        vectors=pack_batch(vectors, ids, with_templates=False),
        n_neighbours=checked_n_neighbours(n_neighbours),
        where=None if where is None else pack_filter(where),
        options=None if options is None else pack_options(options),
        as_arrays=True,
    )


def inspect_header(
    *,
    station: str,
    context: InspectionContext | None,
    n_neighbours: int | None,
    evidence: Evidence | None = None,
    generation: str | None = None,
) -> inspection_service_pb2.InspectRequest:
    """Return a request of a stream without its vectors: what all its messages have in common, and its generation.

    Raises
    ------
    InvalidQueryError
        If the context, the number of neighbours or the generation cannot be sent.
    """
    if not isinstance(generation, str | None):
        message = f"generation {generation!r}, expected text such as 'g000001'"
        raise InvalidQueryError(message)
    return inspection_service_pb2.InspectRequest(
        station=station,
        context=None if context is None else pack_context(context),
        options=pack_evidence(checked_n_neighbours(n_neighbours), evidence),
        generation=generation or "",
    )


def inspect_request(
    header: inspection_service_pb2.InspectRequest, batch: Batch, *, stream_id: str
) -> inspection_service_pb2.InspectRequest:
    """Return a message of a stream; the stream can be taken up again if it has an id."""
    return inspection_service_pb2.InspectRequest(
        station=header.station,
        context=header.context if header.HasField("context") else None,
        vectors=batch.vectors,
        options=header.options,
        generation=header.generation if batch.is_first else "",
        stream_id=stream_id if batch.is_first else "",
        first_sequence=batch.first_sequence if stream_id else None,
        n_received=batch.n_received if stream_id else None,
    )
