"""A vector as it goes on the wire, with what belongs to it.

Everything that the caller can get wrong is refused here, before anything is sent. What only the station knows, such as
how many values a vector must have, is left to the server, which answers with an ``ItemError``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from miwake.client.errors import InvalidQueryError
from miwake.client.inspections import Inspection
from miwake.inspection.v1 import vector_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.client.inspections import InspectionContext, Templates, Vector, Vectors

    Values = NDArray[np.float32 | np.uint8 | np.float16]

DATA_TYPES = {
    np.dtype("<f4"): vector_pb2.DATA_TYPE_FLOAT32,
    np.dtype("u1"): vector_pb2.DATA_TYPE_UINT8,
    np.dtype("<f2"): vector_pb2.DATA_TYPE_FLOAT16,
}
"""What travels as it is; any other float is converted to float32 first."""


class PackedVector(NamedTuple):
    """A vector as it goes on the wire: its values as bytes, of a ``DataType``, and so its template's."""

    packed: bytes
    data_type: vector_pb2.DataType.ValueType
    id: str = ""
    context: vector_pb2.InspectionContext | None = None
    template: bytes = b""

    @property
    def size_bytes(self) -> int:
        """Of the values and the template's."""
        return len(self.packed) + len(self.template)

    @property
    def message(self) -> vector_pb2.InspectionVector:
        """The vector as a message of its own."""
        return vector_pb2.InspectionVector(**self._asdict())


def pack(item: Vector | Inspection) -> PackedVector:
    """Return an item as it goes on the wire; a copy, which does not change with the item.

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
        values = _values(item)
        return PackedVector(values.tobytes(), DATA_TYPES[values.dtype])
    _check_id(item.id)
    values = _values(item.vector)
    template = b""
    if item.template is not None:
        values, template = _with_template(values, item.template)
    context = None if item.context is None else pack_context(item.context)
    return PackedVector(values.tobytes(), DATA_TYPES[values.dtype], item.id, context, template)


def _check_id(name: str) -> None:
    try:
        name.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        message = f"id {name!r}: expected text: {error}"
        raise InvalidQueryError(message) from error


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
    return _as_sent(values)


def _as_sent(values: NDArray[Any]) -> Values:
    """Return numbers of a type that travels as it is."""
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
) -> list[PackedVector]:
    """Return a batch as it goes on the wire.

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
    if ids is not None:
        _check_ids(ids, len(vectors))
    if type(vectors) is np.ndarray and vectors.size and templates is None:
        return _pack_rows(vectors, ids)
    items = vectors if templates is None else _beside(vectors, templates)
    found = []
    for position, item in enumerate(items):
        try:
            if not with_templates and isinstance(item, Inspection) and item.template is not None:
                item = replace(item, template=None)  # noqa: PLW2901
            packed = pack(item)
            found.append(packed if ids is None else packed._replace(id=ids[position]))
        except InvalidQueryError as error:
            message = f"vector {position}: {error}"
            raise InvalidQueryError(message) from error
    return found


def _check_ids(ids: Sequence[str], n_vectors: int) -> None:
    if len(ids) != n_vectors:
        message = f"{len(ids)} ids, expected {n_vectors}: one for each vector"
        raise InvalidQueryError(message)
    for position, name in enumerate(ids):
        try:
            _check_id(name)
        except InvalidQueryError as error:
            message = f"vector {position}: {error}"
            raise InvalidQueryError(message) from error


def _pack_rows(vectors: NDArray[Any], ids: Sequence[str] | None) -> list[PackedVector]:
    """Return the rows of an array that holds some: they are of one type and length, which is looked at once."""
    try:
        values = _as_sent(vectors)
    except InvalidQueryError as error:
        message = f"vector 0: {error}"
        raise InvalidQueryError(message) from error
    data_type = DATA_TYPES[values.dtype]
    names = repeat("") if ids is None else ids
    return [PackedVector(row.tobytes(), data_type, name) for row, name in zip(values, names, strict=False)]


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
    """Return whether values stand for a template that is not there: what is no vector is none, and refused later."""
    if not isinstance(values, np.ndarray) or isinstance(values, np.ma.MaskedArray):
        return False
    is_vector_of_floats = values.ndim == 1 and values.size > 0 and values.dtype.kind == "f"
    return is_vector_of_floats and bool(np.isnan(values).all())


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
