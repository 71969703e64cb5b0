"""Exact search among some rows of a mapped array, a piece at a time: no index is built and little is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.search.proposing import tune_faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE = 65_536
"""Rows searched at once, 33 MB of embeddings of 128 dimensions: a quarter of them would take a third longer."""


def find_exactly(
    queries: NDArray[np.float32], embeddings: NDArray[np.float32], rows: NDArray[np.intp], n_nearest: int
) -> NDArray[np.int64]:
    """Return the rows (Q, M) that are nearest to each query among the given ones, nearest first.

    Parameters
    ----------
    queries : (Q, D) float32
    embeddings : (N, D) float32
    rows : (R,) integers
        Which rows of ``embeddings`` may be found.
    n_nearest : int
        M; at most R.
    """
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    tune_faiss()
    distances: NDArray[np.float32] = np.empty((len(queries), 0), dtype=np.float32)
    positions: NDArray[np.int64] = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE]
        near, found = faiss.knn(queries, embeddings[piece], min(n_nearest, len(piece)))
        distances, positions = np.hstack([distances, near]), np.hstack([positions, piece[found]])
        best = np.argsort(distances, axis=1, kind="stable")[:, :n_nearest]
        distances = np.take_along_axis(distances, best, axis=1)
        positions = np.take_along_axis(positions, best, axis=1)
    return positions
