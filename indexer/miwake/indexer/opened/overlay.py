"""What has changed in the store since a generation was built: searched exactly, beside the generation.

A generation is immutable. References that were added since, or relabelled, stand in an overlay behind its N references,
at positions N, N + 1, …; those that were removed, or relabelled, are masked in it. Each change makes a new overlay, so
that whoever still searches with the old one sees nothing torn. A rebuild folds everything into the next generation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.building.anchor_fitting import Members, change_anchors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.anchors import Anchors
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.opened.contents import IndexContents
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


def overlaid_anchors(contents: IndexContents, overlay: Overlay) -> Anchors:
    """Return the anchors of a generation with the changes; a class without a reference left has none."""
    references, anchors = contents.references, contents.anchors
    if anchors.counts is None:
        counts = np.bincount(np.searchsorted(anchors.labels, references.labels), minlength=len(anchors.labels))
        anchors = replace(anchors, counts=counts)
    gone = Members(
        references.vectors[overlay.masked], contents.embeddings[overlay.masked], references.labels[overlay.masked]
    )
    come = Members(overlay.added.vectors, overlay.embeddings, overlay.added.labels)
    return change_anchors(anchors, gone, come, contents.embedder)
