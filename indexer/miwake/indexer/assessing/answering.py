"""The labels and probabilities that an index with these references and anchors would answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.answers import LabelMethod
from miwake.indexer.building.anchor_choice import choose_anchors
from miwake.indexer.building.anchor_fitting import Members
from miwake.indexer.search.candidates import Candidates, nearest
from miwake.indexer.verdict.calibrate import calibrate
from miwake.indexer.verdict.roles import calibration_rows
from miwake.indexer.verdict.votes import Classes
from miwake.indexer.verdict.weighing import weigh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.anchors import AnchorKind
    from miwake.indexer.assessing.trial import Fit, Trial
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.verdict.calibration import Calibration
    from miwake.indexer.verdict.measuring import Sample


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
) -> tuple[Calibration, AnchorKind]:
    """Return the calibration of an index of these N references, from those that the embedder was not fitted on.

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
    calibrated = calibrate(sample, calibrates, parts, chosen.without_calibration.distances, pass_labels)
    return calibrated.calibration, chosen.anchors.kind


@dataclass(frozen=True, slots=True)
class IndexAnswers:
    """What an index says of Q queries.

    Attributes
    ----------
    labels : by method, (Q,) int32
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
    return weighed.method_columns, calibration.probability.class_probabilities(weighed.features, classes)
