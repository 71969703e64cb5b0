"""The file formats that the command line reads: what is in each, before anything is chosen."""

from __future__ import annotations

import csv
import re
import zlib
from dataclasses import dataclass, field
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, cast
from zipfile import BadZipFile

import numpy as np

from miwake.client.errors import DataFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from miwake.client.inspections import Vector

VALUE_COLUMN = "data"
"""The columns data0, data1 … of the source data."""

VECTOR_COLUMN = "vector"
"""A Parquet column of whole vectors, where there are no numbered ones."""

TEMPLATE_COLUMN = "template"
"""The columns template0, template1 …, or a Parquet column of lists: the golden maps beside the vectors.

Other columns may have such a name, as a text ``template`` or ``template1`` without ``template0``; they are left alone.
"""

OTHER_COLUMNS = ("id", "part", "group", "split", "label", "failure_mode", "fmode")
"""What is read beside the vectors, where it is there; in NPZ files the plural does as well."""

NPY_DAMAGE = (ValueError, EOFError, TokenError, MemoryError)
NPZ_DAMAGE = (*NPY_DAMAGE, TypeError, BadZipFile, zlib.error, NotImplementedError, RuntimeError)
"""What numpy and zipfile raise for files that are not what they are called, or no longer."""


@dataclass(slots=True, eq=False)
class RawFile:
    """What a file holds: N vectors, N values for each column it has besides, and N templates where it has some."""

    vectors: Sequence[Vector]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    templates: Sequence[Vector | None] | None = None


def read_parquet(path: Path) -> RawFile:
    """Read a Parquet file, checking the pages' checksums where there are any.

    Raises
    ------
    DataFileError
        If pyarrow is not installed, the file is damaged, or holds no vectors.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - not in the base install
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        message = f"{path}: Parquet files need pyarrow: pip install 'miwake[parquet]'"
        raise DataFileError(message) from error
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return _parquet_content(path, file)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _unreadable(path, "Parquet", error) from error


def _parquet_content(path: Path, file: Any) -> RawFile:
    schema = file.schema_arrow
    names = schema.names
    values = value_columns(path, names, alternative=VECTOR_COLUMN)
    golden = template_columns(path, names)
    if not golden and TEMPLATE_COLUMN in names and _holds_lists(schema.field(TEMPLATE_COLUMN).type):
        golden = [TEMPLATE_COLUMN]
    others = [name for name in OTHER_COLUMNS if name in names]
    table = file.read(columns=[*values, *golden, *others])
    columns = {name: table[name].to_pylist() for name in others}
    return RawFile(
        cast("list[Vector]", _parquet_rows(path, table, values)), columns, _parquet_rows(path, table, golden) or None
    )


def _holds_lists(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415 - not in the base install

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _parquet_rows(path: Path, table: Any, names: Sequence[str]) -> list[Vector | None]:
    """Return what one column of lists, or several of numbers, hold in each row; None where a template is null."""
    if names in ([VECTOR_COLUMN], [TEMPLATE_COLUMN]):
        [name] = names
        rows = enumerate(table[name].to_pylist())
        may_be_null = name == TEMPLATE_COLUMN
        return [None if may_be_null and row is None else numbers(path, f"{name} {place}", row) for place, row in rows]
    return list(np.stack([numbers(path, name, table[name]) for name in names], axis=1)) if names else []


def read_csv(path: Path) -> RawFile:
    """Read a CSV file with a header, in UTF-8.

    Raises
    ------
    DataFileError
        If the file is no such file or holds no vectors; a cell that is no number is named by row and column.
    """
    vectors: list[Vector] = []
    templates: list[Vector | None] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = csv.reader(file)
            names = next(rows, [])
            values = [names.index(name) for name in value_columns(path, names)]
            golden = [names.index(name) for name in template_columns(path, names)]
            others = {name: names.index(name) for name in OTHER_COLUMNS if name in names}
            columns: dict[str, list[str]] = {name: [] for name in others}
            for row, cells in enumerate(cells for cells in rows if cells):
                if len(cells) != len(names):
                    message = f"{path}: row {row}: {len(cells)} cells, expected {len(names)}"
                    raise DataFileError(message)
                vectors.append(_csv_vector(path, row, VALUE_COLUMN, [cells[value] for value in values]))
                own = [cells[value] for value in golden]
                templates.append(_csv_vector(path, row, TEMPLATE_COLUMN, own) if any(own) else None)
                for name, place in others.items():
                    columns[name].append(cells[place])
        except (csv.Error, UnicodeDecodeError) as error:
            raise _unreadable(path, "CSV", error) from error
    return RawFile(vectors, columns, templates if golden else None)


def _csv_vector(path: Path, row: int, column: str, cells: list[str]) -> Vector:
    try:
        return np.array(cells, dtype=np.float32)
    except ValueError:
        place = next(place for place, cell in enumerate(cells) if not _is_number(cell))
        message = f"{path}: row {row}, column {column}{place}: {cells[place]!r}, expected a number"
        raise DataFileError(message) from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_npz(path: Path) -> RawFile:
    """Read an NPZ file.

    ``vectors`` is (N, V) or (N, rows, columns); beside it may stand ``templates`` of that shape, and arrays (N,) that
    are named as the columns of other files, ``id`` or ``ids``.

    Raises
    ------
    DataFileError
        If the file is damaged, holds no such array, or needs pickle.
    """
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name.removesuffix("s"): stored[name] for name in stored.files}
    except NPZ_DAMAGE as error:
        raise _unreadable(path, "NPZ", error) from error
    if VECTOR_COLUMN not in arrays:
        message = f"{path}: no array vectors, but {', '.join(stored.files)}"
        raise DataFileError(message)
    columns = {name: arrays[name].tolist() for name in OTHER_COLUMNS if name in arrays}
    templates = _matrix(path, arrays[TEMPLATE_COLUMN], "templates") if TEMPLATE_COLUMN in arrays else None
    return RawFile(_matrix(path, arrays[VECTOR_COLUMN]), columns, templates)


def read_npy(path: Path) -> RawFile:
    """Read an NPY file: (N, V) or (N, rows, columns), or a single vector (V,).

    Raises
    ------
    DataFileError
        If the file is damaged, or holds something else.
    """
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except NPY_DAMAGE as error:
        raise _unreadable(path, "NPY", error) from error
    return RawFile(_matrix(path, np.atleast_2d(array)))


def _unreadable(path: Path, kind: str, error: Exception) -> DataFileError:
    reason = str(error).splitlines()[0] if str(error) else repr(error)
    return DataFileError(f"{path}: not a readable {kind} file: {reason}")


def _matrix(path: Path, array: Any, name: str = "vectors") -> list[Vector]:
    if array.ndim not in (2, 3):
        message = f"{path}: {name} of shape {array.shape}, expected (N, V) or (N, rows, columns)"
        raise DataFileError(message)
    return list(numbers(path, name, array.reshape(len(array), int(np.prod(array.shape[1:])))))


def value_columns(path: Path, names: Sequence[str], *, alternative: str = "") -> list[str]:
    """Return data0, data1 … in the order of their numbers, whatever their order in the file.

    Raises
    ------
    DataFileError
        If one is missing or there twice; if there are none, and no column ``alternative`` either.
    """
    if found := numbered_columns(path, names, VALUE_COLUMN):
        return found
    if alternative in names:
        return [alternative]
    message = f"{path}: no vectors: expected columns data0, data1 …"
    raise DataFileError(message)


def template_columns(path: Path, names: Sequence[str]) -> list[str]:
    """Return template0, template1 … in the order of their numbers, none without the first; errors as those of data."""
    return numbered_columns(path, names, TEMPLATE_COLUMN) if f"{TEMPLATE_COLUMN}0" in names else []


def numbered_columns(path: Path, names: Sequence[str], stem: str) -> list[str]:
    """Return the columns of a stem and a number in the order of their numbers; errors as ``value_columns``."""
    numbered = re.compile(rf"{stem}(0|[1-9][0-9]*)")
    found = sorted(int(match[1]) for match in map(numbered.fullmatch, names) if match)
    for expected, number in enumerate(found):
        if number != expected:
            problem = "missing" if number > expected else "there twice"
            message = f"{path}: column {stem}{min(number, expected)} is {problem}"
            raise DataFileError(message)
    return [f"{stem}{number}" for number in found]


def numbers(path: Path, name: str, values: Any) -> Vector:
    """Return values as they travel: float16 and uint8 as they are, other numbers as float32.

    Raises
    ------
    DataFileError
        If they are no numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        message = f"{path}: {name} holds {array.dtype}, expected numbers"
        raise DataFileError(message)
    with np.errstate(over="ignore"):
        return array if array.dtype in (np.uint8, np.float16) else array.astype(np.float32)


READERS: Mapping[str, Callable[[Path], RawFile]] = {
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".npz": read_npz,
    ".npy": read_npy,
}
"""Which reader by the end of the name."""
