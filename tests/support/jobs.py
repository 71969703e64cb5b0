"""Jobs for the compute thread, made of vectors that the fake index knows again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from miwake.server.jobs import AS_USUAL, Fault, ItemFailure, Items, Job, Task, Wishes
from support.index import N_VALUES, vector_of

if TYPE_CHECKING:
    from miwake.indexer.answers import NeighbourBatch
    from miwake.server.jobs import Answered
    from support.index import FakeIndex

UNREADABLE = ItemFailure(Fault.WRONG_LENGTH, "3 values, expected 4")


def make_job(
    index: FakeIndex,
    *firsts: float,
    unreadable: tuple[int, ...] = (),
    first_sequence: int = 0,
    task: Task = Task.SEARCH,
    n_neighbours: int = 2,
    wishes: Wishes = AS_USUAL,
) -> Job:
    """Return a job of vectors by their first value, NaN for one that is refused, and unreadable items among them."""
    n_items = len(firsts) + len(unreadable)
    items = Items(
        first_sequence=first_sequence,
        ids=[str(position) for position in range(n_items)],
        contexts=[None] * n_items,
        failures=dict.fromkeys(unreadable, UNREADABLE),
        vectors=np.array([vector_of(first) for first in firsts], dtype=np.float32).reshape(-1, N_VALUES),
    )
    return Job(index=index, task=task, n_neighbours=n_neighbours, wishes=wishes, items=items)


def answered_firsts(answered: Answered) -> list[float]:
    """Return which query each row answers, as the fake index writes it into the nearest distance."""
    return [
        float(cast("NeighbourBatch", part.results.batch).distances[row, 0])
        for part in answered.slices
        for row in range(part.start, part.stop)
    ]
