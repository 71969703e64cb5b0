"""Deliveries of verdicts for the log to record, and its rows as nothing but sqlite3 reads them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from miwake.inspection.v1 import vector_pb2
from miwake.server.compute import answer
from miwake.server.jobs import Delivery, Task
from support.index import N_VALUES, FakeIndex, vector_of
from support.jobs import make_job

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = vector_pb2.InspectionContext(part_id="board-7", job_id="order-3", is_simulated=True)


def delivery(
    *firsts: float,
    index: FakeIndex | None = None,
    unreadable: tuple[int, ...] = (),
    first_sequence: int = 0,
    context: vector_pb2.InspectionContext | None = None,
    n_neighbours: int = 4,
    templates: tuple[float, ...] = (),
) -> Delivery:
    """Return what a call gets for vectors by their first value; NaN for one that is refused.

    Templates are as many, by their first value, NaN for none; or there are none at all.
    """
    job = make_job(
        index or FakeIndex(),
        *firsts,
        unreadable=unreadable,
        first_sequence=first_sequence,
        task=Task.CLASSIFY,
        n_neighbours=n_neighbours,
    )
    serialised = None if context is None else context.SerializeToString()
    beside = np.array([np.full(N_VALUES, np.nan) if isnan(one) else vector_of(one) for one in templates], dtype="f4")
    items = replace(job.items, contexts=[serialised] * len(job.items), templates=beside if templates else None)
    job = replace(job, items=items)
    return Delivery(
        answered=tuple(answer([job])), index=job.index, queue_ms=0.5, compute_ms=2.0, batch_size=len(firsts)
    )


def read_rows(folder: Path) -> list[sqlite3.Row]:
    """Return every row of a log, the oldest segment's first."""
    found: list[sqlite3.Row] = []
    for segment in sorted(folder.glob("*.verdicts.db")):
        with closing(sqlite3.connect(segment)) as connection:
            connection.row_factory = sqlite3.Row
            found += connection.execute("SELECT * FROM verdicts ORDER BY n")
    return found


def sequences(folder: Path) -> list[int]:
    """Return the sequences of every row of a log."""
    return [row["sequence"] for row in read_rows(folder)]
