"""The labels and probabilities that an index with these references and anchors would answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.answers import LabelMethod
from miwake.indexer.building.anchor_choice import choose_anchors
from miwake.indexer.building.anchor_fitting import Members
from miwake.indexer.search.candidates import Candidates, nearest
from miwake.indexer.verdict.calibrate import calibrate
from miwake.indexer.verdict.offering import OfferedMaps
from miwake.indexer.verdict.residual_terms import on_their_side, reject_probabilities, terms_of
from miwake.indexer.verdict.roles import calibration_rows
from miwake.indexer.verdict.votes import Classes
from miwake.indexer.verdict.weighing import weigh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.anchors import AnchorKind, Anchors
    from miwake.indexer.assessing.trial import Fit, Trial
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.verdict.calibration import Calibration
    from miwake.indexer.verdict.measuring import Sample
    from miwake.indexer.verdict.residual_terms import ResidualModel, ResidualTerms


@dataclass(frozen=True, slots=True)
class Answer:
    """What one way to a label says of Q queries.

    Attributes
    ----------
    labels : (Q,) int32
    probabilities : (Q,) float64, or None
        That each label is right.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.floating[Any]] | None = None


def calibrate_references(
    sample: Sample,
    row_hashes: Sequence[str],
    parts: Sequence[str],
    embedder: Embedder,
    pass_labels: Sequence[int],
    templates: NDArray[np.float32] | None = None,
) -> tuple[Calibration, AnchorKind]:
    """Return the calibration of an index of these N references, from those that the embedder was not fitted on.

    Parameters
    ----------
    templates : (N, V) float32, optional
        As of ``Records``.

    Returns
    -------
    Calibration, text
        And the kind of anchors that measures best.

    Raises
    ------
    CalibrationError
        If too few of them are left to calibrate on, or they do not match and mismatch.
    """
    calibrates = calibration_rows(row_hashes, parts, sample.labels, embedder.card.fit_row_hashes)
    members = Members(sample.vectors, sample.embeddings, sample.labels)
    chosen = choose_anchors(members, embedder, held_out=calibrates)
    anchors = chosen.without_calibration
    sample = with_maps(sample, embedder, anchors, pass_labels, templates)
    calibrated = calibrate(sample, calibrates, parts, anchors.distances, pass_labels)
    return calibrated.calibration, chosen.anchors.kind


def with_maps(
    sample: Sample,
    embedder: Embedder,
    anchors: Anchors,
    pass_labels: Sequence[int],
    templates: NDArray[np.float32] | None,
) -> Sample:
    """Return a sample whose N rows may be compared with their templates, if any, or with the means of the passes."""
    look_up = None if templates is None else templates.__getitem__
    return replace(sample, maps=OfferedMaps.of("auto", embedder.card.heat_map_shape, anchors, pass_labels, look_up))


@dataclass(frozen=True, slots=True)
class IndexAnswers:
    """What an index says of Q queries.

    Attributes
    ----------
    labels : by method, (Q,) int32
        Where residuals against reference maps are weighed, on the side that they call for.
    probabilities : (Q, C) float64
        Calibrated; of the classes of the references.
    classes : (C,) int32
    """

    labels: dict[LabelMethod, NDArray[np.int32]]
    probabilities: NDArray[np.float64]
    classes: NDArray[np.int32]

    def by(self, method: LabelMethod) -> Answer:
        """Return what a method says, with the probabilities of its labels."""
        return self.of(self.labels[method])

    def of(self, labels: NDArray[np.int32]) -> Answer:
        """Return labels (Q,) that another way has found, with their probabilities."""
        columns = np.searchsorted(self.classes, labels)
        return Answer(labels, self.probabilities[np.arange(len(labels)), columns])


def answer(trial: Trial, pass_labels: Sequence[int]) -> IndexAnswers:
    """Return what an index of the references says of every query; needs ``fits``."""
    classes = Classes.of(trial.references.labels, pass_labels)
    n_queries = len(trial.queries.labels)
    columns = np.empty((n_queries, len(LabelMethod)), dtype=np.intp)
    probabilities = np.empty((n_queries, len(classes.labels)))
    for fit in trial.fits:
        columns[fit.queries], probabilities[fit.queries] = _weighed(trial, fit, classes)
    labels = {method: classes.labels[columns[:, method - 1]] for method in LabelMethod}
    return IndexAnswers(labels, probabilities, classes.labels)


def _weighed(trial: Trial, fit: Fit, classes: Classes) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the class columns (n, 3) of the methods, and the class probabilities (n, C), of the queries of a fit."""
    calibration = fit.calibration
    n_candidates = min(calibration.rerank.n_candidates, len(trial.references.labels))
    positions = trial.nearest(np.arange(len(trial.references.labels)), n_candidates)
    distances = trial.to_references(positions, "euclidean")[fit.queries]
    positions = positions[fit.queries]
    measures = trial.measures(fit.queries, positions, calibration.rerank)
    weighed = weigh(
        nearest(Candidates(positions, distances, *measures), n_candidates),
        trial.anchors[fit.anchors].distances(trial.queries.embeddings[fit.queries]),
        classes.columns(trial.references.labels),
        classes,
        calibration.mix,
        calibration.vote,
    )
    model, terms = _residual_terms(trial.queries, fit)
    rejects = None
    if classes.has_sides:
        rejects = reject_probabilities(calibration.probability, model, weighed.features, terms)
    probabilities = calibration.probability.class_probabilities(weighed.features, classes, rejects)
    if rejects is None:
        return weighed.method_columns, probabilities
    sided = [
        on_their_side(one, probabilities, rejects, classes.passes, model, terms) for one in weighed.method_columns.T
    ]
    return np.column_stack(sided), probabilities


def _residual_terms(queries: Sample, fit: Fit) -> tuple[ResidualModel | None, ResidualTerms | None]:
    """Return what weighs the residuals of the queries of a fit, and their terms; None where none are taken."""
    residuals = fit.calibration.residuals
    if residuals is None or residuals.model is None or queries.maps is None:
        return None, None
    return residuals.model, terms_of(queries.maps.residuals(queries, fit.queries, residuals.reference_map))
