"""One opened generation: what classifies and searches. Immutable; a new generation is a new index."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from miwake.indexer.errors import InvalidVectorError, PairsNotCalibratedError
from miwake.indexer.laps import EMBED, Laps
from miwake.indexer.opened.judging import Judge
from miwake.indexer.opened.live import LiveReferences
from miwake.indexer.opened.overlay import make_overlay
from miwake.indexer.opened.querying import Asked, find
from miwake.indexer.opened.verifying import compare_pairs
from miwake.indexer.scale import template_refusals
from miwake.indexer.search.options import AS_CALIBRATED, SearchOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from miwake.indexer.answers import NeighbourBatch, PairBatch, VerdictBatch
    from miwake.indexer.filters import Filter
    from miwake.indexer.opened.contents import IndexContents
    from miwake.indexer.opened.overlay import Overlay
    from miwake.indexer.storage.reading import Changes
    from miwake.indexer.verdict.calibration import Calibration, ThresholdSet
    from miwake.indexer.verdict.pairs import PairCalibration
    from miwake.indexer.verdict.reference_maps import ReferenceMapName

DEFAULT_NEIGHBOURS = 15


class InspectionIndex:
    """References, anchors, embedder and calibration of one generation of one station, with the changes since.

    Attributes
    ----------
    contents : IndexContents
    scale : Scale
        Which vectors can be judged.
    """

    def __init__(self, contents: IndexContents, overlay: Overlay | None = None) -> None:
        self.contents = contents
        self.scale = contents.embedder.scale(contents.flatness)
        self._overlay = overlay
        self._references = LiveReferences(contents, overlay)
        self._judge = Judge(contents, self._references)

    def with_changes(self, changes: Changes) -> InspectionIndex:
        """Return an index of the same generation with the changes since its base revision, searched exactly."""
        contents = self.contents
        return InspectionIndex(contents, make_overlay(changes, contents.references, contents.embedder))

    def without_changes(self) -> InspectionIndex:
        """Return the index of the same generation at its base revision."""
        return self if self.revision == self.base_revision else InspectionIndex(self.contents)

    def with_thresholds(self, thresholds: ThresholdSet | None) -> InspectionIndex:
        """Return an index that decides by another threshold set; None: by the generation's own."""
        own = self.contents.own_thresholds or self.calibration.thresholds
        calibration = replace(self.calibration, thresholds=thresholds or own)
        contents = replace(self.contents, calibration=calibration, own_thresholds=own)
        return InspectionIndex(contents, self._overlay)

    @property
    def station(self) -> str:
        """The station's name."""
        return self.contents.station

    @property
    def generation(self) -> str:
        """The generation's id."""
        return self.contents.generation

    @property
    def revision(self) -> int:
        """The revision of the references that are searched."""
        return self._references.revision

    @property
    def base_revision(self) -> int:
        """The revision that the generation was built from."""
        return self.contents.revision

    @property
    def calibration(self) -> Calibration:
        """What the index knows about itself."""
        return self.contents.calibration

    @property
    def pass_labels(self) -> tuple[int, ...]:
        """Labels that mean *pass*."""
        return self.contents.pass_labels

    @property
    def embedder_id(self) -> str:
        """The embedder's id."""
        return self.contents.embedder.card.embedder_id

    @property
    def threshold_set(self) -> str:
        """The name of the threshold set behind the decisions."""
        return self.calibration.thresholds.name

    @property
    def novelty_at_most(self) -> float:
        """The mean distance to the nearest references beyond which an answer is UNKNOWN."""
        return self.calibration.thresholds.novelty_at_most

    @property
    def labels(self) -> tuple[int, ...]:
        """The classes among the references, sorted."""
        return tuple(int(label) for label in self._judge.classes.labels)

    @property
    def n_references(self) -> int:
        """How many references are searched."""
        return self._references.n_counted

    @property
    def heat_map_shape(self) -> tuple[int, int]:
        """Rows and columns of an inspection vector's heat map."""
        return self.contents.embedder.card.heat_map_shape

    def anchor_vector(self, label: int) -> NDArray[np.float32]:
        """Return the mean inspection vector (V,) float32 of a class.

        Raises
        ------
        KeyError
            If no reference bears the label.
        """
        return self._references.anchors.class_mean(label)

    def anchor_vectors(self, label: int) -> NDArray[np.float32]:
        """Return the mean inspection vectors (k, V) float32 of the members of each of a class's anchors."""
        return self._references.anchors.class_vectors(label)

    def reference_vector(self, position: int) -> NDArray[np.float32]:
        """Return the inspection vector (V,) float32 of a reference, by its position as neighbours tell it."""
        return self._references.vector(position)

    def refuse(self, vectors: NDArray[np.float32]) -> tuple[str, ...]:
        """Return for each of (Q, V) float32 vectors why it cannot be judged; empty where it can."""
        codes = self.scale.refusals(vectors).tolist()
        return tuple(self.scale.explain(code, vectors[row]) if code else "" for row, code in enumerate(codes))

    @property
    def reference_map(self) -> ReferenceMapName:
        """What the reject probabilities of this generation weigh the residuals against, if anything."""
        return self.calibration.reference_map

    def refuse_templates(self, templates: NDArray[np.float32]) -> tuple[str, ...]:
        """Return for each of (Q, V) float32 templates why it cannot be used; empty where it can, or is all NaN."""
        codes = template_refusals(templates, self.scale).tolist()
        return tuple(self.scale.explain(code, templates[row]) if code else "" for row, code in enumerate(codes))

    def classify(
        self,
        vectors: NDArray[np.float32],
        *,
        templates: NDArray[np.float32] | None = None,
        n_neighbours: int = DEFAULT_NEIGHBOURS,
        options: SearchOptions = AS_CALIBRATED,
    ) -> VerdictBatch:
        """Return the verdicts on (Q, V) float32 inspection vectors, none of which ``scale`` refuses.

        Parameters
        ----------
        templates : (Q, V) float32, optional
            The golden map of each vector's place, none of which ``refuse_templates`` refuses; a row of NaN where a
            vector brings none.
        n_neighbours : int
            K; fewer come back where there are fewer references, and none for 0.
        options : SearchOptions
            How the neighbours that are shown are found. The verdict is always the calibrated one.

        Raises
        ------
        InvalidVectorError
            If the batch is not (Q, V), or empty, or the templates are not as many.
        """
        if templates is not None and templates.shape != vectors.shape:
            raise InvalidVectorError(expected=f"{vectors.shape}, as the queries", actual=templates.shape)
        laps = Laps()
        embedded = self._embed(vectors, n_neighbours, least=0)
        laps.end(EMBED)
        asked = Asked(n_neighbours=n_neighbours, options=options)
        return self._judge.judge(vectors, embedded, asked, templates, laps)

    @property
    def pairs(self) -> PairCalibration:
        """What pairs are verified with.

        Raises
        ------
        PairsNotCalibratedError
            If the generation was built without.
        """
        if self.calibration.pairs is None:
            raise PairsNotCalibratedError(station=self.station, generation=self.generation)
        return self.calibration.pairs

    def verify(self, queries: NDArray[np.float32], references: NDArray[np.float32]) -> PairBatch:
        """Return how (Q, V) float32 inspection vectors compare with the (Q, V) references in the same rows.

        ``scale`` refuses none of them. The two are not exchangeable: SOART3 says how well a reference explains a query.

        Raises
        ------
        InvalidVectorError
            If the batches are not (Q, V) both, or empty.
        PairsNotCalibratedError
            If the generation was built without what pairs are verified with.
        """
        if queries.shape != references.shape or not len(queries):
            expected = f"(Q, {self.scale.n_values}) both, with Q at least 1"
            raise InvalidVectorError(expected=expected, actual=references.shape)
        return compare_pairs(queries, references, self.contents.embedder, self.calibration, self.pairs)

    def n_matching(self, where: Filter | None) -> int:
        """Return how many references a filter lets through; a search with it does not look them up again."""
        return len(self._references.pool(where))

    def search(
        self,
        vectors: NDArray[np.float32],
        *,
        n_neighbours: int = DEFAULT_NEIGHBOURS,
        where: Filter | None = None,
        options: SearchOptions = AS_CALIBRATED,
    ) -> NeighbourBatch:
        """Return the K nearest references of (Q, V) float32 inspection vectors, as ``classify`` takes them.

        Parameters
        ----------
        where : Filter, optional
            Which references may be found; where there are none, K is 0.
        options : SearchOptions
            What is to be other than calibrated.
        """
        embedded = self._embed(vectors, n_neighbours, least=1)
        asked = Asked(n_neighbours=n_neighbours, where=where, options=options)
        return self._references.neighbours(find(self._references, self.calibration, vectors, embedded, asked))

    def _embed(self, vectors: NDArray[np.float32], n_neighbours: int, *, least: int) -> NDArray[np.float32]:
        if n_neighbours < least:
            message = f"n_neighbours {n_neighbours}: expected at least {least}"
            raise ValueError(message)
        if not len(vectors):
            raise InvalidVectorError(expected=f"(Q, {self.scale.n_values}) with Q at least 1", actual=vectors.shape)
        return self.contents.embedder.embed(vectors)
