"""Proposing candidates, from an index of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def propose(index: Any, queries: NDArray[np.float32], n_candidates: int, *, selector: Any = None) -> NDArray[np.int64]:
    """Return the positions (Q, M) of what FAISS finds nearest to (Q, D) float32 queries.

    Parameters
    ----------
    n_candidates : int
        M, at most N.
    selector : faiss.IDSelector, optional
        Which positions may be found. Where fewer than M may, the rest are -1.
    """
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    parameters = None if selector is None else faiss.SearchParameters(sel=selector)
    _, positions = index.search(queries, n_candidates, params=parameters)
    return np.asarray(positions, dtype=np.int64)
