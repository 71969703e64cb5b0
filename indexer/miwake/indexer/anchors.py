"""Anchors: what stands for a class as a whole. One or several of each class, nearest first in every verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError
from miwake.indexer.soart3.kernel import measures_all
from miwake.indexer.storage.files import read_npz, to_npz

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ANCHORS_FILE = "anchors.npz"
FORMAT_VERSION = 2
"""Of ``anchors.npz``; the first had no version in it, one anchor a class, and class means only."""

AnchorKind = Literal["class-mean", "mean-embedding"]
AnchorChoice = Literal["auto", "class-mean", "mean-embedding"]
"""What may be asked for: a kind, or that which measures best."""

KINDS: tuple[AnchorKind, ...] = ("class-mean", "mean-embedding")
_ARRAYS = ("labels", "vectors", "embeddings")
_ARRAYS_2 = (*_ARRAYS, "counts", "centres", "kind")


@dataclass(frozen=True, slots=True)
class Anchors:
    """A anchors of C classes, sorted by label.

    Attributes
    ----------
    labels : (A,) int32
        Ascending; a class that has several anchors repeats its label.
    vectors : (A, V) float32
        Mean inspection vectors of the anchors' members.
    embeddings : (A, D) float32
        What queries are compared with: the embedded ``vectors`` (class-mean), or the mean of the members' embeddings.
    counts : (A,) int64, or None
        Members of each; None in a generation of an earlier release, where all of a class are.
    centres : (A, D) float32, or None
        Members of an anchor are those rows of its class whose embedding is nearest to its centre; None where each class
        has one anchor.
    kind : text
        ``class-mean`` or ``mean-embedding``.
    """

    labels: NDArray[np.int32]
    vectors: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    counts: NDArray[np.int64] | None = None
    centres: NDArray[np.float32] | None = None
    kind: AnchorKind = "class-mean"

    @property
    def classes(self) -> NDArray[np.int32]:
        """The labels, each once, (C,) int32 ascending."""
        return np.unique(self.labels)

    def distances(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the Euclidean distances (Q, C) float32 of (Q, D) float32 queries to each class's nearest anchor."""
        return self.nearest_of_class(self.all_distances(queries))

    def all_distances(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the Euclidean distances (Q, A) float32 of (Q, D) float32 queries to every anchor, from residuals."""
        return measures_all(queries, self.embeddings).distance

    def nearest_of_class(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return of (Q, A) distances to every anchor the least of each class, (Q, C)."""
        starts = np.flatnonzero(np.diff(self.labels, prepend=self.labels[:1] - 1))
        if len(starts) == len(self.labels):
            return distances
        nearest: NDArray[np.float32] = np.minimum.reduceat(distances, starts, axis=1)
        return nearest

    def class_vectors(self, label: int) -> NDArray[np.float32]:
        """Return the mean inspection vectors (k, V) float32 of a class's k anchors."""
        vectors: NDArray[np.float32] = self.vectors[self.labels == label]
        return vectors

    def pass_means(self, pass_labels: Sequence[int]) -> NDArray[np.float32]:
        """Return the mean inspection vector of each class that means *pass*, (R, V)."""
        means = [self.class_mean(label) for label in self.classes.tolist() if label in pass_labels]
        return np.stack(means) if means else self.vectors[:0]

    def class_mean(self, label: int) -> NDArray[np.float32]:
        """Return the mean inspection vector (V,) float32 of all members of a class.

        Raises
        ------
        KeyError
            If there is no anchor of that label.
        """
        rows = np.flatnonzero(self.labels == label)
        if not len(rows):
            raise KeyError(label)
        if self.counts is None or len(rows) == 1:
            return np.array(self.vectors[rows[0]])
        mean = np.average(self.vectors[rows].astype(np.float64), axis=0, weights=self.counts[rows])
        return np.asarray(mean, dtype=np.float32)

    def to_npz(self) -> bytes:
        """Return the anchors as the bytes of an NPZ file."""
        empty = self.embeddings[:0]
        counts = np.zeros(0, dtype=np.int64) if self.counts is None else self.counts
        return to_npz(
            format_version=np.array(FORMAT_VERSION, dtype=np.int32),
            labels=self.labels,
            vectors=self.vectors,
            embeddings=self.embeddings,
            counts=counts,
            centres=empty if self.centres is None else self.centres,
            kind=np.array(self.kind),
        )


def read_anchors(folder: Path) -> Anchors:
    """Read the anchors of a generation, of this format version or the first.

    Raises
    ------
    ArtifactVersionError
        If the file has another format version.
    ArtifactCorruptError
        If the file holds other arrays, or arrays that do not fit each other.
    """
    path = folder / ANCHORS_FILE
    version = _version(path)
    if version == 1:
        labels, vectors, embeddings = read_npz(path, _ARRAYS)
        anchors = Anchors(labels, vectors, embeddings)
    elif version == FORMAT_VERSION:
        labels, vectors, embeddings, counts, centres, kind = read_npz(path, _ARRAYS_2)
        anchors = Anchors(labels, vectors, embeddings, _if_any(counts), _if_any(centres), _kind(kind, path))
    else:
        message = f"{path}: format version {version}, this release reads 1 and {FORMAT_VERSION}"
        raise ArtifactVersionError(message)
    arrays = (anchors.vectors, anchors.embeddings, anchors.counts, anchors.centres)
    lengths = {len(array) for array in arrays if array is not None}
    if lengths != {len(anchors.labels)} or (np.diff(anchors.labels) < 0).any():
        message = f"{path}: arrays of different lengths, or labels that do not ascend"
        raise ArtifactCorruptError(message)
    return anchors


def _version(path: Path) -> int:
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "format_version" not in stored.files:
                return 1
    except (OSError, ValueError, EOFError, AttributeError):
        return 1  # what is wrong with the file is told when its arrays are read
    (version,) = read_npz(path, ("format_version",))
    return int(version)


def _kind(stored: NDArray[Any], path: Path) -> AnchorKind:
    for kind in KINDS:
        if str(stored) == kind:
            return kind
    message = f"{path}: anchors of kind {str(stored)!r}, expected {' or '.join(KINDS)}"
    raise ArtifactCorruptError(message)


def _if_any(array: NDArray[Any]) -> NDArray[Any] | None:
    return array if len(array) else None
