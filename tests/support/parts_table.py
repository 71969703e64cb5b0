"""A small table of six parts in the source schema, to be changed in one place and written as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

N_ROWS, N_VALUES = 6, 4

Columns = dict[str, Any]


def vectors() -> NDArray[np.float32]:
    """Return (6, 4) whole numbers in 0 … 255, no row flat, no two rows the same."""
    values = np.random.default_rng(7).integers(0, 240, (N_ROWS, N_VALUES))
    values[:, 0], values[:, 1] = 10 + np.arange(N_ROWS), 255
    return values.astype(np.float32)


def columns(**changed: Any) -> Columns:
    """Return the columns of six rows of four values; a column given as None is left out."""
    table: Columns = {f"data{number}": column for number, column in enumerate(vectors().T.astype(np.int64).tolist())}
    table |= {"label": [0, 1, 0, 1, 2, 2], "fmode": ["pass", "open", "pass", "open", "short", "short"]}
    table |= {"part": ["p0", "p1", "p2", "p3", "p4", "p5"]}
    table |= changed
    return {name: column for name, column in table.items() if column is not None}


def with_cell(column: str, row: int, value: Any) -> Columns:
    """Return the columns with one cell changed."""
    table = columns()
    table[column] = [value if place == row else cell for place, cell in enumerate(table[column])]
    return table


def write_table(path: Path, table: Columns, metadata: Mapping[str, str] | None = None) -> Path:
    """Write columns as Parquet with key-value metadata, and return the path."""
    pq.write_table(pa.table(table).replace_schema_metadata(dict(metadata or {})), path)
    return path
