"""Records that are there twice: equal vectors by their hash, nearly equal ones by their distance."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.records import vector_hash
from miwake.indexer.search.proposing import BLAS_THRESHOLD
from miwake.training.audit.axes import principal_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.records import Records

NEAR = 0.1
"""Two maps are near-duplicates if their difference has at most this share of their length, both without their mean and
scaled to the same length: a correlation of 0.995 or more."""

N_CANDIDATES = 10
"""Nearest records that are compared whole with each record."""

N_COMPONENTS = 128
N_SAMPLED = 3_000
"""Axes in which candidates are looked for, and rows that they are learnt from. A projection brings maps nearer to each
other, never farther: what is near stays near."""


def equal_groups(vectors: NDArray[np.float32]) -> list[list[int]]:
    """Return the rows of each vector that is there more than once, in order."""
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, vector in enumerate(vectors):
        rows_of[vector_hash(vector)].append(row)
    return [rows for rows in rows_of.values() if len(rows) > 1]


def near_pairs(records: Records) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return pairs of rows (P, 2) that are near-duplicates, the earlier row first, and how they differ, (P,).

    Equal vectors are not among them. Each record is compared with its 10 nearest.
    """
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
    maps = normalised(records.vectors)
    points = np.ascontiguousarray(maps @ principal_axes(maps[:: max(len(maps) // N_SAMPLED, 1)], N_COMPONENTS))
    _, found = faiss.knn(points, points, min(N_CANDIDATES + 1, len(points)))
    rows = np.repeat(np.arange(len(points)), found.shape[1])
    pairs = np.unique(np.sort(np.column_stack([rows, found.ravel()]), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]].astype(np.intp)
    differences = np.empty(len(pairs))
    is_equal = np.zeros(len(pairs), dtype=np.bool_)
    for start in range(0, len(pairs), N_SAMPLED):
        piece = slice(start, start + N_SAMPLED)
        first, second = pairs[piece].T
        differences[piece] = np.linalg.norm(maps[first] - maps[second], axis=1)
        is_equal[piece] = (records.vectors[first] == records.vectors[second]).all(axis=1)
    is_near = (differences <= NEAR) & ~is_equal
    return pairs[is_near], differences[is_near]


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, V) float32 vectors without their mean, of length 1: gain and offset of the camera do not matter."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    found: NDArray[np.float32] = (centred / np.maximum(lengths, 1e-12)).astype(np.float32)
    return found
