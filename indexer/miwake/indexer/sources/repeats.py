"""Rows that repeat others: the same id, the same vector, the same vector under another label."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.records import vector_hash
from miwake.indexer.sources.raw import N_SHOWN

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from miwake.indexer.sources.raw import RawTable


def repeated_ids(table: RawTable, ids: Sequence[str], bad: Container[int]) -> dict[int, str]:
    """Return what is wrong with each row whose id an earlier row has; rows in ``bad`` do not count."""
    first: dict[str, int] = {}
    found: dict[int, str] = {}
    for row, reference_id in enumerate(ids):
        if row in bad:
            continue
        before = first.setdefault(reference_id, row)
        if before != row:
            found[row] = f"the id {reference_id!r} is that of {table.name_row(before)} too"
    return found


def equal_vectors(table: RawTable, bad: Container[int]) -> list[list[int]]:
    """Return the rows of each vector that appears more than once, in order; rows in ``bad`` do not count."""
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, vector in enumerate(table.vectors):
        if row not in bad:
            rows_of[vector_hash(vector)].append(row)
    return [rows for rows in rows_of.values() if len(rows) > 1]


def contradictions(table: RawTable, groups: Iterable[Sequence[int]]) -> dict[int, str]:
    """Return what is wrong with each row whose vector appears with another label too: nobody knows which is true."""
    found: dict[int, str] = {}
    for rows in groups:
        labels = table.labels[list(rows)]
        for row, label in zip(rows, labels.tolist(), strict=True):
            others = np.flatnonzero(labels != label)
            if len(others):
                other = rows[others[0]]
                found[row] = (
                    f"label {label}, but {table.name_row(other)} has the same vector and label {labels[others[0]]}"
                )
    return found


def tell_repeats(table: RawTable, groups: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """Return a warning about vectors that appear more than once, or none."""
    if not groups:
        return ()
    shown = "; ".join(" = ".join(table.name_row(row) for row in rows[:N_SHOWN]) for rows in groups[:N_SHOWN])
    more = f"; and {len(groups) - N_SHOWN:,} more" if len(groups) > N_SHOWN else ""
    splits = table.texts.get("split")
    across = 0 if splits is None else sum({"train", "test"} <= {splits[row] for row in rows} for rows in groups)
    leak = f" ({across:,} of them in training and in test)" if across else ""
    what = "vector appears" if len(groups) == 1 else "vectors appear"
    return (f"{table.source}: {len(groups):,} {what} more than once{leak}: {shown}{more}",)
