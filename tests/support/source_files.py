"""Four rows that can be used, in each kind of file that the readers know, and ways to spoil them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

N_VALUES = 4

Columns = dict[str, list[Any]]


def good_columns() -> Columns:
    """Return four rows of a 2 x 2 heat map with all that can be known about them."""
    return {
        "data0": [1.0, 5.0, 9.0, 2.0],
        "data1": [2.0, 6.0, 8.0, 4.0],
        "data2": [3.0, 7.0, 7.0, 6.0],
        "data3": [4.0, 8.0, 6.0, 8.0],
        "label": [0, 11, 11, 92],
        "fmode": ["pass", "bent", "bent", "burr"],
        "part": ["p1", "p2", "p2", "p3"],
        "group": ["g1", "g1", "g1", "g2"],
        "split": ["train", "train", "train", "test"],
        "id": ["a", "b", "c", "d"],
        "time": ["2026-01-31T12:00:00Z"] * 4,
    }


def spoilt(changes: Mapping[tuple[str, int], object]) -> Columns:
    """Return the good rows with other values in single cells, by column and row."""
    columns = good_columns()
    for (name, row), value in changes.items():
        columns[name][row] = value
    return columns


def without(*names: str) -> Columns:
    """Return the good rows without some columns."""
    return {name: values for name, values in good_columns().items() if name not in names}


def to_parquet(path: Path, columns: Mapping[str, Sequence[Any]], metadata: Mapping[str, str] | None = None) -> Path:
    """Write columns as Parquet, types as Arrow infers them."""
    pq.write_table(pa.table(dict(columns)).replace_schema_metadata(dict(metadata or {})), path)
    return path


def to_csv(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write columns as CSV, None as an empty cell."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join("" if cell is None else str(cell) for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


PLURALS = {"label": "labels", "fmode": "failure_modes"}


def to_npz(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write columns as NPZ: one array of vectors, the names of the others in the plural."""
    vectors = np.array([columns[f"data{value}"] for value in range(N_VALUES)], dtype=np.float64).T
    others = {name: np.array(values) for name, values in columns.items() if not name.startswith("data")}
    arrays = {PLURALS.get(name, f"{name}s"): values for name, values in others.items()}
    np.savez(path, allow_pickle=False, vectors=vectors, **arrays)
    return path
