"""The references that a search looks among, and the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.search.exact import find_exactly
from miwake.indexer.search.proposing import propose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.search.proposing import ReferenceIndex

EXACT_AT_MOST = 50_000
"""Up to so many references are all compared: some milliseconds for a lone query, and exact with any kind of index."""

LEAST_SHARE = 0.5
"""An index that approximates keeps its agreement with exact search only where most of what it meets may be found."""

SPARE = 16
"""Proposed beyond what is wanted: FAISS rounds, and near-duplicates at the end of the row may be out of order."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Some of N stored references and of those added behind them.

    Attributes
    ----------
    stored : (n,) int64
        Positions below N, ascending.
    added : (m,) int64
        Positions from N on, ascending.
    """

    stored: NDArray[np.int64]
    added: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.stored) + len(self.added)

    @property
    def positions(self) -> NDArray[np.int64]:
        """All of them, ascending."""
        return np.concatenate([self.stored, self.added])


def propose_among(
    pool: Pool,
    index: ReferenceIndex,
    embedded: NDArray[np.float32],
    n_candidates: int,
    *,
    exact_at_most: int = EXACT_AT_MOST,
) -> NDArray[np.int64]:
    """Return positions (Q, m) among which are the M nearest references of a pool, in no order.

    Parameters
    ----------
    pool : Pool
        Not empty.
    index : ReferenceIndex
        Of any kind. One that approximates proposes from pools of more than ``exact_at_most`` stored references that
        hold at least half of all, and agrees with exact search there as its kind does. Of all other pools every
        reference is compared, which FAISS does sooner without a selector.
    embedded : (Q, D) float32
    n_candidates : int
        M.
    """
    n_all, n_stored = len(index.embeddings), len(pool.stored)
    n_wanted = min(n_candidates + SPARE, n_stored)
    is_exact = index.approximate is None
    if n_stored == n_all and (is_exact or n_stored > exact_at_most):
        stored = propose(index, embedded, n_wanted)
    elif is_exact or n_stored <= exact_at_most or n_stored < LEAST_SHARE * n_all:
        stored = find_exactly(embedded, index.embeddings, pool.stored, n_wanted)
    else:
        stored = propose(index, embedded, n_wanted, selector=_selector(pool.stored, n_all))
    return np.hstack([stored, np.broadcast_to(pool.added, (len(embedded), len(pool.added)))])


def _selector(positions: NDArray[np.int64], n_all: int) -> Any:
    """Return what lets FAISS find only rows at some positions."""
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    is_selected = np.zeros(n_all, dtype=np.bool_)
    is_selected[positions] = True
    make: Any = faiss.IDSelectorBitmap
    return make(np.packbits(is_selected, bitorder="little"))
