"""What a build is told, and what a rebuild keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from miwake.indexer.anchors import KINDS, AnchorChoice
from miwake.indexer.search.card import MIN_RECALL, KindOrAuto
from miwake.indexer.storage.generation import current_manifest
from miwake.indexer.verdict.reference_maps import ReferenceMapChoice

if TYPE_CHECKING:
    from miwake.indexer.storage.station import StationFolder

KEPT = ("n_candidates", "n_voting", "anchors", "anchors_per_class", "index_kind", "min_recall", "reference_map")
"""What belongs to a station rather than to one build of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """What a build may be told.

    Attributes
    ----------
    n_candidates : int
        M, how many references FAISS proposes for re-ranking.
    n_voting : int
        How many references vote on a label.
    anchors : text
        Whether an anchor is the embedded mean of its members' vectors (class-mean) or the mean of their embeddings
        (mean-embedding); auto takes what measures better on calibration rows.
    anchors_per_class : int
        At most; several divide a class by k-means over its embeddings.
    index_kind : text
        Of the index: ``flat``, ``ivf-flat``, ``hnsw``, ``ivf-pq``, or ``auto`` by the number of references.
    min_recall : float
        The least agreement with exact search that may be published.
    reference_map : text
        Whose residuals are offered to the probability of *reject*: those against the ``template`` beside a vector, or
        against the mean map of the passes (``class-mean``); auto takes templates where enough calibration rows bring
        them, else class means; ``off`` offers none.
    seed : int
        Of the rows and pairs that calibration draws, and of k-means.
    stage : bool
        Whether the generation is built and checked without being made current; ``switching.switch_to`` does so later.
    """

    n_candidates: int = 100
    n_voting: int = 15
    anchors: AnchorChoice = "auto"
    anchors_per_class: int = 1
    index_kind: KindOrAuto = "auto"
    min_recall: float = MIN_RECALL
    reference_map: ReferenceMapChoice = "auto"
    seed: int = 0
    stage: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.n_voting <= self.n_candidates:
            message = f"{self.n_voting} voting references of {self.n_candidates} candidates: expected 1 … candidates"
            raise ValueError(message)
        if self.index_kind not in get_args(KindOrAuto) or not self.min_recall >= 0:
            kinds = ", ".join(get_args(KindOrAuto))
            message = f"{self.index_kind!r} that finds {self.min_recall}: expected one of {kinds}, and 0 or more"
            raise ValueError(message)
        if self.anchors not in ("auto", *KINDS) or self.anchors_per_class < 1:
            kinds = ", ".join(("auto", *KINDS))
            message = f"{self.anchors_per_class} anchors of kind {self.anchors!r}: expected at least 1 of {kinds}"
            raise ValueError(message)
        if self.reference_map not in get_args(ReferenceMapChoice):
            kinds = ", ".join(get_args(ReferenceMapChoice))
            message = f"reference map {self.reference_map!r}: expected one of {kinds}"
            raise ValueError(message)


def kept_settings(folder: StationFolder, **told: Any) -> BuildSettings:
    """Return what a station's next build is told: what its current generation was, but for what is told now.

    Parameters
    ----------
    folder : StationFolder
        Where it has no current generation, or one whose settings cannot be used, the defaults take their place.
    **told
        Attributes of ``BuildSettings``; None is not told.

    Raises
    ------
    ValueError
        If what is told does not fit, or not together with what is kept.
    """
    manifest = current_manifest(folder)
    before = {} if manifest is None else {name: one for name, one in manifest.settings.items() if name in KEPT}
    try:
        BuildSettings(**before)
    except (TypeError, ValueError):
        before = {}
    return BuildSettings(**{**before, **{name: one for name, one in told.items() if one is not None}})
