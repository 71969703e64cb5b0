"""What a generation holds once it has been verified and loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from miwake.indexer.anchors import Anchors
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.search.card import SearchCard
    from miwake.indexer.search.proposing import ReferenceIndex
    from miwake.indexer.storage.reference_files import ReferenceFiles
    from miwake.indexer.verdict.calibration import Calibration, ThresholdSet


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexContents:
    """What a generation holds, verified and loaded.

    Attributes
    ----------
    station, generation : text
    revision : int
        Of the references it was built from.
    embedder : Embedder
    faiss_index : ReferenceIndex
        Over ``embeddings``.
    search : SearchCard
        How they are searched, and how well that agrees with exact search.
    embeddings : (N, D) float32
    raw : (N, V) float32, or None
        Inspection vectors on a scale of 0 … 1; None where SOART3 compares embeddings.
    references : ReferenceFiles
    anchors : Anchors
    calibration : Calibration
    pass_labels : tuple of int
    flatness : float
        The station's bound, see ``miwake.indexer.scale``.
    own_thresholds : ThresholdSet, optional
        Those of the generation itself, where ``calibration`` has been given others.
    """

    station: str
    generation: str
    revision: int
    embedder: Embedder
    faiss_index: ReferenceIndex
    search: SearchCard
    embeddings: NDArray[np.float32]
    raw: NDArray[np.float32] | None
    references: ReferenceFiles
    anchors: Anchors
    calibration: Calibration
    pass_labels: tuple[int, ...]
    flatness: float
    own_thresholds: ThresholdSet | None = None
