"""The references that a search looks among, and the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.search.exact import find_exactly
from miwake.indexer.search.proposing import propose

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_AT_MOST = 50_000
"""Up to so many references are all compared: that takes a few milliseconds, and is exact with any kind of index."""

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
    index: Any,
    embedded: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    n_candidates: int,
    *,
    exact_at_most: int = EXACT_AT_MOST,
) -> NDArray[np.int64]:
    """Return positions (Q, m) among which are the M nearest references of a pool, in no order.

    Parameters
    ----------
    pool : Pool
        Not empty.
    index
        FAISS, over ``embeddings``, of any kind.
    embedded : (Q, D) float32
    embeddings : (N, D) float32
    n_candidates : int
        M.
    exact_at_most : int
        Pools of more stored references are searched through the index, where those are at least half of all.
    """
    n_wanted = min(n_candidates + SPARE, len(pool.stored))
    if len(pool.stored) <= exact_at_most or len(pool.stored) < LEAST_SHARE * len(embeddings):
        stored = find_exactly(embedded, embeddings, pool.stored, n_wanted)
    else:
        stored = _propose_selected(pool.stored, index, embedded, embeddings, n_wanted)
    return np.hstack([stored, np.broadcast_to(pool.added, (len(embedded), len(pool.added)))])


def _propose_selected(
    positions: NDArray[np.int64],
    index: Any,
    embedded: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    n_wanted: int,
) -> NDArray[np.int64]:
    """Ask the index; where it finds fewer than there are, compare all."""
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    is_selected = np.zeros(len(embeddings), dtype=np.bool_)
    is_selected[positions] = True
    bits = np.packbits(is_selected, bitorder="little")
    selector: Any = faiss.IDSelectorBitmap(len(embeddings), faiss.swig_ptr(bits))
    found = propose(index, embedded, n_wanted, selector=selector)
    is_short = (found < 0).any(axis=1)
    if is_short.any():
        found[is_short] = find_exactly(embedded[is_short], embeddings, positions, n_wanted)
    return found
