"""Dividing rows into folds so that no row is ever judged by its own part, nor by a copy of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

N_FOLDS = 5
"""Each row is judged by what four fifths of the other parts say."""


def bound_together(parts: Sequence[str], copies: Iterable[Sequence[int]]) -> NDArray[np.intp]:
    """Return which N rows belong together, as numbers (N,): those of one part, and those of the same vector.

    Parameters
    ----------
    parts : N texts
        A row without a part is a part of its own.
    copies : lists of rows
        Each list holds rows of equal vectors.
    """
    first: dict[str, int] = {}
    edges = [(row, first.setdefault(part, row)) for row, part in enumerate(parts) if part]
    edges += [(row, rows[0]) for rows in copies for row in rows]
    ends = np.array(edges, dtype=np.intp).reshape(-1, 2)
    links = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(len(parts), len(parts)))
    found: NDArray[np.intp] = connected_components(links, directed=False)[1].astype(np.intp)
    return found


def assign_folds(labels: NDArray[np.int32], bound: NDArray[np.intp], *, seed: int = 0) -> NDArray[np.intp]:
    """Return the fold of each of N rows, (N,) in 0 … 4; what is bound together stays together.

    The parts of each label (that of a part's first row) are dealt out in turn, so that rare labels are in most folds.
    """
    _, first, part_of_row = np.unique(bound, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    dealt = order[np.argsort(labels[first[order]], kind="stable")]
    fold_of_part = np.empty(len(first), dtype=np.intp)
    fold_of_part[dealt] = np.arange(len(dealt)) % N_FOLDS
    return fold_of_part[part_of_row]
