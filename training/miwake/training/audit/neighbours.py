"""Nearest records of other parts: each fold is asked about the others, so that no row's own part can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.search.proposing import BLAS_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_VOTING = 15
N_NOVELTY = 5
"""Nearest records that vote, and whose mean distance tells how far a record lies from the others."""

OUTLYING = 3.5
"""Robust standard deviations above the median: Iglewicz and Hoaglin, 1993."""


def nearest_elsewhere(
    points: NDArray[np.float32], folds: NDArray[np.intp], n_nearest: int = N_VOTING
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the rows (N, K) nearest to each of (N, D) points in other folds, nearest first, and their distances.

    Where there are too few, the row is -1 and the distance infinite.
    """
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
    rows = np.full((len(points), n_nearest), -1, dtype=np.intp)
    distances = np.full((len(points), n_nearest), np.inf, dtype=np.float32)
    for fold in np.unique(folds):
        own, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        n_found = min(n_nearest, len(others))
        if n_found:
            squared, found = faiss.knn(points[own], points[others], n_found)
            rows[own, :n_found] = others[found]
            distances[own, :n_found] = np.sqrt(np.maximum(squared, 0))
    return rows, distances


def vote_log_probabilities(nearest: NDArray[np.intp], columns: NDArray[np.intp], n_classes: int) -> NDArray[np.float64]:
    """Return the log of each class's share of the votes of the nearest rows (N, K), (N, C).

    One further vote is shared out evenly among the classes, so that no share is 0.
    """
    votes = np.full((len(nearest), n_classes), 1 / n_classes)
    for place in range(nearest.shape[1]):
        there = np.flatnonzero(nearest[:, place] >= 0)
        votes[there, columns[nearest[there, place]]] += 1
    found: NDArray[np.float64] = np.log(votes / votes.sum(axis=1, keepdims=True))
    return found


def outlyingness(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return by how many robust deviations the mean distance to the 5 nearest exceeds the usual, (N,); 0 if unknown.

    The deviation is that of the logarithm: 1.4826 times the median distance from the median.
    """
    means = distances[:, :N_NOVELTY].astype(np.float64).mean(axis=1)
    known = np.isfinite(means) & (means > 0)
    found = np.zeros(len(means))
    if known.any():
        logs = np.log(means[known])
        deviation = 1.4826 * float(np.median(np.abs(logs - np.median(logs))))
        found[known] = (logs - np.median(logs)) / max(deviation, 1e-6)
    return found


def nearest_of_label(
    points: NDArray[np.float32], folds: NDArray[np.intp], labels: NDArray[np.int32], row: int, label: int
) -> int | None:
    """Return the row of ``label`` nearest to ``row`` in another fold, or None where there is none."""
    rows = np.flatnonzero((labels == label) & (folds != folds[row]))
    if not len(rows):
        return None
    return int(rows[np.linalg.norm(points[rows] - points[row], axis=1).argmin()])
