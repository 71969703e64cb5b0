"""Anchors: for each class the mean of its inspection vectors, embedded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.files import read_npz, to_npz

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.embedder import Embedder

ANCHORS_FILE = "anchors.npz"


@dataclass(frozen=True, slots=True)
class Anchors:
    """C anchors, sorted by label.

    Attributes
    ----------
    labels : (C,) int32
    vectors : (C, V) float32
        Class-mean inspection vectors.
    embeddings : (C, D) float32
        What the embedder makes of them.
    """

    labels: NDArray[np.int32]
    vectors: NDArray[np.float32]
    embeddings: NDArray[np.float32]

    def distances(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the Euclidean distances (Q, C) float32 of (Q, D) float32 queries, from residuals."""
        distances = np.empty((len(queries), len(self.labels)), dtype=np.float32)
        for column, embedding in enumerate(self.embeddings):
            residual = queries - embedding
            distances[:, column] = np.sqrt(np.einsum("qd,qd->q", residual, residual))
        return distances

    def to_npz(self) -> bytes:
        """Return the anchors as the bytes of an NPZ file."""
        return to_npz(labels=self.labels, vectors=self.vectors, embeddings=self.embeddings)


def class_mean_anchors(vectors: NDArray[np.float32], labels: NDArray[np.int32], embedder: Embedder) -> Anchors:
    """Return the anchors of (N, V) float32 inspection vectors with (N,) int32 labels.

    Means are summed in float64, so that they do not depend on how many vectors there are.
    """
    classes = np.unique(labels)
    means = np.stack([vectors[labels == label].mean(axis=0, dtype=np.float64) for label in classes])
    means = means.astype(np.float32)
    return Anchors(labels=classes.astype(np.int32), vectors=means, embeddings=embedder.embed(means))


def read_anchors(folder: Path) -> Anchors:
    """Read the anchors of a generation.

    Raises
    ------
    ArtifactCorruptError
        If the file holds other arrays, or arrays that do not fit each other.
    """
    path = folder / ANCHORS_FILE
    anchors = Anchors(*read_npz(path, ("labels", "vectors", "embeddings")))
    if not len(anchors.labels) == len(anchors.vectors) == len(anchors.embeddings):
        message = f"{path}: arrays of different lengths"
        raise ArtifactCorruptError(message)
    return anchors
