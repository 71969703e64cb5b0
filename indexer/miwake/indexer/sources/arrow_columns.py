"""Arrow columns as the arrays and texts of records, noting the rows where that fails."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from miwake.indexer.errors import DataError
from miwake.indexer.sources.columns import TEMPLATE_COLUMN
from miwake.indexer.sources.labels import labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Problems = dict[int, str]


def to_vectors(source: str, table: Any, columns: Sequence[str]) -> tuple[NDArray[np.float32], str, Problems]:
    """Return (N, V) float32 vectors, how their values are named in messages, and the rows that are unreadable.

    Raises
    ------
    DataError
        If a column holds anything but numbers.
    """
    first = table.schema.field(columns[0])
    if len(columns) == 1 and _is_list(first.type):
        vectors, problems = _from_lists(source, columns[0], table.column(columns[0]))
        return vectors, f"{columns[0]}[{{}}]", problems
    problems = {}
    by_value = [_numbers(source, name, table.column(name), problems) for name in columns]
    # Filled value by value and turned over once, in the file's own type: four times as fast as row by row in float32.
    common = np.result_type(*(values.dtype for values in by_value))
    stacked = np.empty((len(columns), table.num_rows), dtype=common)
    for values, row in zip(by_value, stacked, strict=True):
        row[:] = values
    name = columns[0].rstrip("0123456789") + "{}"
    return _to_float32(stacked.T), name, problems


def to_templates(
    source: str, table: Any, columns: Sequence[str], n_values: int
) -> tuple[NDArray[np.float32] | None, Problems]:
    """Return (N, V) float32 templates, rows of NaN for none, and the rows that are unreadable.

    None in the place of the templates where no row has a readable one.

    Raises
    ------
    DataError
        If a column holds anything but numbers, or there are other than V columns.
    """
    is_whole = list(columns) == [TEMPLATE_COLUMN]
    if not columns or (is_whole and not _is_list(table.schema.field(TEMPLATE_COLUMN).type)):
        return None, {}  # a text of that name is something else
    if is_whole:
        templates, problems = _some_lists(source, columns[0], table.column(columns[0]), n_values)
    elif len(columns) == n_values:
        templates, _, problems = to_vectors(source, table, columns)
    else:
        message = f"{source}: {len(columns):,} template columns, expected {n_values:,} as of the vector"
        raise DataError(message)
    return None if np.isnan(templates).all() else templates, problems


def _some_lists(source: str, name: str, column: Any, n_values: int) -> tuple[NDArray[np.float32], Problems]:
    """Return the lists of a column, rows of NaN for those that are null or empty."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0).to_numpy(), dtype=np.int64)
    problems = {
        int(row): f"column {name}: {lengths[row]:,} values, expected {n_values:,} as of the vector, or none"
        for row in np.flatnonzero((lengths != n_values) & (lengths != 0))
    }
    templates = np.full((len(lengths), n_values), np.nan, dtype=np.float32)
    good = lengths == n_values
    whole = column.combine_chunks().filter(pa.array(good))
    inside = _numbers(source, name, pa.chunked_array([pc.list_flatten(whole)]), {})
    templates[good] = _to_float32(inside.reshape(-1, n_values))
    return templates, problems


def _to_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what does not fit becomes infinity, and is refused as such
        return np.ascontiguousarray(values, dtype=np.float32)


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _numbers(source: str, name: str, column: Any, problems: Problems) -> NDArray[Any]:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _numbers_in_text(name, column.to_pylist(), problems)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        message = f"{source}: column {name} holds {kind}, expected numbers"
        raise DataError(message)
    if column.null_count:
        column = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(column.to_numpy())


def _numbers_in_text(name: str, texts: Sequence[str | None], problems: Problems) -> NDArray[np.float64]:
    values = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if not text:
            continue
        try:
            values[row] = float(text.replace("_", "no number"))  # Python takes 1_000 for a number
        except ValueError:
            problems.setdefault(row, f"column {name}: {text!r}, expected a number")
    return values


def _from_lists(source: str, name: str, column: Any) -> tuple[NDArray[np.float32], Problems]:
    values = column.combine_chunks()
    lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    n_values = Counter(lengths.tolist()).most_common(1)[0][0] if len(lengths) else 0
    if n_values == 0 and len(lengths):
        message = f"{source}: column {name} holds no values"
        raise DataError(message)
    problems = {
        int(row): f"column {name}: {lengths[row]:,} values, expected {n_values:,} as in most rows"
        for row in np.flatnonzero(lengths != n_values)
    }
    inside = _numbers(source, name, pa.chunked_array([pc.list_flatten(values)]), {})
    vectors = np.full((len(lengths), n_values), np.nan, dtype=np.float32)
    ends = np.cumsum(lengths)
    good = lengths == n_values
    if good.all():
        return _to_float32(inside.reshape(len(lengths), n_values)), problems
    for row in np.flatnonzero(good):
        vectors[row] = _to_float32(inside[ends[row] - n_values : ends[row]])
    return vectors, problems


def to_labels(source: str, table: Any, name: str) -> tuple[NDArray[np.int32], Problems]:
    """Return (N,) int32 labels and the rows whose label is missing, no integer, or beyond int32.

    Raises
    ------
    DataError
        If the column holds neither numbers nor text.
    """
    column = table.column(name)
    kind = column.type
    if pa.types.is_integer(kind) and not column.null_count:
        return labels_of(name, np.asarray(column.to_numpy()))
    readable = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
    if not (readable or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        message = f"{source}: column {name} holds {kind}, expected integer labels"
        raise DataError(message)
    return labels_of(name, column.to_pylist())


def to_texts(source: str, table: Any, name: str) -> tuple[str, ...]:
    """Return a column as N texts, empty where it is null; times become ISO 8601.

    Raises
    ------
    DataError
        If the column cannot be put as text.
    """
    column = table.column(name)
    try:
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, column.type.value_type)
        if pa.types.is_temporal(column.type):
            return tuple("" if value is None else value.isoformat() for value in column.to_pylist())
        return tuple(pc.fill_null(pc.cast(column, pa.string()), "").to_pylist())
    except pa.ArrowException as error:
        message = f"{source}: column {name} holds {column.type}, expected text"
        raise DataError(message) from error
