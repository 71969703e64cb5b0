"""The labels and probabilities that an index with these references and anchors would answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.anchor_fitting import Members, fit_anchors
from miwake.indexer.answers import LabelMethod
from miwake.indexer.search.candidates import Candidates, nearest
from miwake.indexer.verdict.calibrate import calibrate
from miwake.indexer.verdict.judge import weigh
from miwake.indexer.verdict.roles import calibration_rows
from miwake.indexer.verdict.votes import Classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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
) -> Calibration:
    """Return the calibration of an index of these N references, from those that the embedder was not fitted on.

    Raises
    ------
    CalibrationError
        If too few of them are left to calibrate on, or they do not match and mismatch.
    """
    calibrates = calibration_rows(row_hashes, parts, sample.labels, embedder.card.fit_row_hashes)
    members = Members(sample.vectors, sample.embeddings, sample.labels)
    _, anchors = fit_anchors(members, embedder, held_out=calibrates)
    return calibrate(sample, calibrates, parts, anchors.distances, pass_labels).calibration


def answer(trial: Trial, pass_labels: Sequence[int]) -> dict[LabelMethod, Answer]:
    """Return what each method says of every query, with the calibrated probability of its label; needs ``fits``."""
    classes = Classes.of(trial.references.labels, pass_labels)
    n_queries = len(trial.queries.labels)
    labels = np.empty((len(LabelMethod), n_queries), dtype=np.int32)
    probabilities = np.empty((len(LabelMethod), n_queries))
    for fit in trial.fits:
        columns, found = _weighed(trial, fit, classes)
        for method in LabelMethod:
            answered = columns[:, method - 1]
            labels[method - 1, fit.queries] = classes.labels[answered]
            probabilities[method - 1, fit.queries] = found[np.arange(len(answered)), answered]
    return {method: Answer(labels[method - 1], probabilities[method - 1]) for method in LabelMethod}


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
        trial.anchors.distances(trial.queries.embeddings[fit.queries]),
        classes.columns(trial.references.labels),
        classes,
        calibration.mix,
        calibration.vote,
    )
    return weighed.method_columns, calibration.probability.class_probabilities(weighed.features, classes)
