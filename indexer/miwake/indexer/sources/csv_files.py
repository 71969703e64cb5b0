"""CSV files: a header, then a row a line, in UTF-8; commas, semicolons or tabs between the cells."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from miwake.indexer.errors import DataError
from miwake.indexer.sources.columns import TEMPLATE_COLUMN, find_template_columns, find_vector_columns
from miwake.indexer.sources.raw import one_line
from miwake.indexer.sources.tables import chosen_columns, from_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from miwake.indexer.sources.raw import RawTable
    from miwake.indexer.sources.settings import ReadSettings

DELIMITERS = ",;\t"

BLOCK_BYTES = 2**24
"""Arrow reads blocks, and a row must fit into one: this holds vectors of half a million values."""


def read_csv(path: Path, settings: ReadSettings) -> RawTable:
    """Read the columns of a CSV file that make up records.

    A cell that should be a number and is not makes its row a bad one; a row with too many or too few cells is an
    error, since nobody knows which of them are wrong.

    Raises
    ------
    DataError
        If the file cannot be read, or lacks what a record needs.
    """
    names, delimiter = _read_header(path)
    columns = chosen_columns(str(path), names, settings)
    values = (
        *find_vector_columns(str(path), names, settings.vector_column_prefix),
        *(name for name in find_template_columns(str(path), names) if name != TEMPLATE_COLUMN),
    )
    if _has_odd_quote(path):
        # Arrow would take everything after it for one cell.
        _refuse_uneven_rows(path, len(names), delimiter)
    try:
        table = _read_cells(path, columns, delimiter, dict.fromkeys(values, pa.float32()))
    except (pa.ArrowInvalid, OSError) as error:
        _refuse_uneven_rows(path, len(names), delimiter)
        try:
            # Slowly, as text: then each cell that is no number can be named.
            table = _read_cells(path, columns, delimiter, {})
        except (pa.ArrowInvalid, OSError):
            raise _unreadable(path, error) from error
    return from_table(table, settings, source=str(path), stem=path.stem)


def _read_header(path: Path) -> tuple[list[str], str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    delimiter = max(DELIMITERS, key=first.count)
    names = next(csv.reader([first.rstrip("\r\n")], delimiter=delimiter), [])
    if not names:
        message = f"{path}: empty, expected a header and rows"
        raise DataError(message)
    return names, delimiter


def _read_cells(path: Path, columns: Sequence[str], delimiter: str, types: dict[str, Any]) -> Any:
    """Return an Arrow table of ``columns``; those without a type are text, so that a part 007 keeps its zeros."""
    return arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string()) | types
        ),
    )


def _has_odd_quote(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(sum(block.count(b'"') for block in iter(lambda: file.read(BLOCK_BYTES), b"")) % 2)


def _refuse_uneven_rows(path: Path, n_columns: int, delimiter: str) -> None:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = (cells for cells in csv.reader(file, delimiter=delimiter, strict=True) if cells)
            next(rows)
            for row, cells in enumerate(rows):
                if len(cells) != n_columns:
                    message = f"{path}: row {row}: {len(cells):,} cells, expected {n_columns:,} as in the header"
                    raise DataError(message)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: not a readable CSV file in UTF-8: {one_line(error)}")
