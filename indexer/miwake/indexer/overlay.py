"""What has changed in the store since a generation was built: searched exactly, beside the generation.

A generation is immutable. References that were added since, or relabelled, stand in an overlay behind its N references,
at positions N, N + 1, …; those that were removed, or relabelled, are masked in it. Each change makes a new overlay, so
that whoever still searches with the old one sees nothing torn. A rebuild folds everything into the next generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.anchors import Anchors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.embedder import Embedder
    from miwake.indexer.storage.reading import Changes, Snapshot
    from miwake.indexer.storage.reference_files import ReferenceFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """The difference between a generation's N references and a later revision.

    Attributes
    ----------
    revision : int
        The later revision.
    masked : (R,) int64
        Positions in the generation that count no more, ascending.
    added : Snapshot
        n references that count beside the generation's.
    embeddings : (n, D) float32
        Of the added references.
    """

    revision: int
    masked: NDArray[np.int64]
    added: Snapshot
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.added)


def make_overlay(changes: Changes, references: ReferenceFiles, embedder: Embedder) -> Overlay:
    """Return the overlay of ``changes`` since the revision that the generation's ``references`` are of."""
    return Overlay(
        revision=changes.revision,
        masked=references.positions_of(changes.ended),
        added=changes.begun,
        embeddings=embedder.embed(changes.begun.vectors),
    )


def overlaid_anchors(anchors: Anchors, references: ReferenceFiles, overlay: Overlay, embedder: Embedder) -> Anchors:
    """Return the class-mean anchors with the changes; a class without a reference left has none.

    Only the classes that changed are computed again, from the generation's mean and what came and went.
    """
    masked_labels = references.labels[overlay.masked]
    touched = np.union1d(masked_labels, overlay.added.labels)
    if not len(touched):
        return anchors
    kept = ~np.isin(anchors.labels, touched)
    labels: list[int] = []
    means: list[NDArray[np.float32]] = []
    for label in touched.tolist():
        count, total = _known_sum(anchors, references, label)
        gone = references.vectors[overlay.masked[masked_labels == label]]
        come = overlay.added.vectors[overlay.added.labels == label]
        count += len(come) - len(gone)
        if count:
            labels.append(label)
            total = total + come.sum(axis=0, dtype=np.float64) - gone.sum(axis=0, dtype=np.float64)
            means.append((total / count).astype(np.float32))
    vectors = np.concatenate([anchors.vectors[kept], *(mean[None] for mean in means)])
    embedded = embedder.embed(np.stack(means)) if means else anchors.embeddings[:0]
    all_labels = np.concatenate([anchors.labels[kept], np.array(labels, dtype=np.int32)])
    order = np.argsort(all_labels)
    embeddings = np.concatenate([anchors.embeddings[kept], embedded])
    return Anchors(labels=all_labels[order], vectors=vectors[order], embeddings=embeddings[order])


def _known_sum(anchors: Anchors, references: ReferenceFiles, label: int) -> tuple[int, NDArray[np.float64]]:
    row = np.flatnonzero(anchors.labels == label)
    if not len(row):
        return 0, np.zeros(anchors.vectors.shape[1])
    count = int((references.labels == label).sum())
    return count, anchors.vectors[row[0]].astype(np.float64) * count
