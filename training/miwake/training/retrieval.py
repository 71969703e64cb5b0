"""How well embeddings retrieve: labels of queries from references, and the metric that chooses a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.evaluation import accuracy, balanced_accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_VOTING = 15
"""Nearest references that vote."""

N_NOVELTY = 5
"""Nearest references whose mean distance tells how novel a query is."""

CHUNK = 512
"""Queries compared at once: their distances to 10,000 references take 20 MB."""


@dataclass(frozen=True, slots=True)
class RetrievalScore:
    """Accuracy and balanced accuracy of the vote of the nearest references; ``value`` is their mean."""

    accuracy: float
    balanced_accuracy: float

    @property
    def value(self) -> float:
        """What is maximised: the mean weighs every row as much as every class."""
        return (self.accuracy + self.balanced_accuracy) / 2


def vote_labels(
    queries: NDArray[np.float32],
    references: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    query_parts: Sequence[str] = (),
    reference_parts: Sequence[str] = (),
    n_voting: int = N_VOTING,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the majority label of the nearest references of (Q, D) queries, and its share of the votes.

    Parameters
    ----------
    references : (N, D) float32, labels : (N,) int32
    query_parts, reference_parts : texts
        Where given, a reference of the query's own part does not vote.

    Returns
    -------
    (Q,) int32, (Q,) float64
        A tie goes to the class with the nearest reference.
    """
    classes, columns = np.unique(labels, return_inverse=True)
    codes = _part_codes(query_parts, reference_parts)
    n_voting = min(n_voting, len(references))
    squares = np.einsum("nd,nd->n", references, references)
    shares = np.empty((len(queries), len(classes)))
    for start in range(0, len(queries), CHUNK):
        rows = slice(start, start + CHUNK)
        distances = squares - 2 * (queries[rows] @ references.T)
        if codes is not None:
            distances[codes[0][rows, None] == codes[1][None, :]] = np.inf
        nearest = np.argpartition(distances, n_voting - 1, axis=1)[:, :n_voting]
        shares[rows] = _shares(columns[nearest], np.take_along_axis(distances, nearest, 1), len(classes))
    winners = shares.argmax(axis=1)
    return classes[winners].astype(np.int32), np.minimum(shares[np.arange(len(queries)), winners], 1.0)


def novelty(queries: NDArray[np.float32], references: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean Euclidean distance of each of (Q, D) queries to its 5 nearest references, (Q,)."""
    n_nearest = min(N_NOVELTY, len(references))
    squares = np.einsum("nd,nd->n", references, references)
    distances = np.empty(len(queries), dtype=np.float32)
    for start in range(0, len(queries), CHUNK):
        chunk = queries[start : start + CHUNK]
        offsets = np.partition(squares - 2 * (chunk @ references.T), n_nearest - 1, axis=1)[:, :n_nearest]
        squared = np.maximum(offsets + np.einsum("qd,qd->q", chunk, chunk)[:, None], 0)
        distances[start : start + CHUNK] = np.sqrt(squared).mean(axis=1)
    return distances


def anchor_labels(
    queries: NDArray[np.float32], anchors: NDArray[np.float32], labels: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return for (Q, D) queries the label of the nearest of (C, D) anchors with (C,) labels."""
    distances = np.einsum("cd,cd->c", anchors, anchors) - 2 * (queries @ anchors.T)
    nearest: NDArray[np.int32] = labels[distances.argmin(axis=1)]
    return nearest


def retrieval_score(
    queries: NDArray[np.float32],
    truth: NDArray[np.int32],
    references: NDArray[np.float32],
    labels: NDArray[np.int32],
) -> RetrievalScore:
    """Score the vote of the 15 nearest references (N, D) on queries (Q, D) of other parts with labels ``truth``."""
    found, _ = vote_labels(queries, references, labels)
    return RetrievalScore(accuracy(truth, found), balanced_accuracy(truth, found))


def _part_codes(
    query_parts: Sequence[str], reference_parts: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    if not query_parts:
        return None
    codes = {part: code for code, part in enumerate(dict.fromkeys(reference_parts)) if part}
    return (
        np.array([codes.get(part, -2) for part in query_parts], dtype=np.int64),
        np.array([codes.get(part, -1) for part in reference_parts], dtype=np.int64),
    )


def _shares(columns: NDArray[np.intp], distances: NDArray[np.float32], n_classes: int) -> NDArray[np.float64]:
    n_queries, n_voting = columns.shape
    flat = np.arange(n_queries)[:, None] * n_classes + columns
    votes = np.isfinite(distances).astype(np.float64) / n_voting
    votes[np.arange(n_queries), distances.argmin(axis=1)] += 1e-6
    counted = np.bincount(flat.ravel(), votes.ravel(), n_queries * n_classes).astype(np.float64)
    return counted.reshape(n_queries, n_classes)
