"""Calibrated probabilities: a logit of the votes and the anchor distances, fitted on calibration parts.

First *reject or pass*, then the class within each. No weight can be negative, so more evidence for a reject never
lowers its probability; and what is added as a new reject class can only raise it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from miwake.indexer.verdict.convex import fit_logistic, minimise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.verdict.votes import Classes

RIDGE = 1e-3
"""Penalty on the weights: keeps them finite where the calibration parts are told apart without an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityModel:
    """The fitted weights, none negative: of the vote, the SOART3 vote, and the anchor distances.

    Attributes
    ----------
    class_weights : three floats
        Of the logarithms of both votes' shares and of minus the anchor distance: which class.
    side_weights : three floats
        Of the log odds of *reject* in both votes, and of how much nearer the nearest reject anchor is than the nearest
        pass anchor: which side.
    side_bias : float
    """

    class_weights: tuple[float, float, float]
    side_weights: tuple[float, float, float] = (0.0, 0.0, 0.0)
    side_bias: float = 0.0

    def reject_probabilities(self, features: Features) -> NDArray[np.float64]:
        """Return the probability that each query is a reject, (Q,); only where there are sides."""
        return np.asarray(expit(features.sides @ np.asarray(self.side_weights) + self.side_bias))

    def class_probabilities(
        self, features: Features, classes: Classes, rejects: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the probability of each class for each query, (Q, C); rows sum to 1.

        ``rejects`` are the probabilities (Q,) of *reject*, by default those of this model.
        """
        logits: NDArray[np.float64] = features.by_class @ np.asarray(self.class_weights)
        if not classes.has_sides:
            return _softmax(logits)
        reject = self.reject_probabilities(features) if rejects is None else rejects
        probabilities = np.empty_like(logits)
        for side, share in ((classes.passes, 1 - reject), (~classes.passes, reject)):
            probabilities[:, side] = _softmax(logits[:, side]) * share[:, None]
        return probabilities


@dataclass(frozen=True, slots=True)
class Features:
    """What the model weighs.

    Attributes
    ----------
    by_class : (Q, C, 3) float64
    sides : (Q, 3) float64
        Zeros where all classes are on one side.
    """

    by_class: NDArray[np.float64]
    sides: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> Features:
        """Return the features of some queries."""
        return Features(self.by_class[rows], self.sides[rows])


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    # By hand: scipy's logsumexp takes a quarter of the time of a lone verdict.
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def fit_probabilities(features: Features, truth: NDArray[np.intp], classes: Classes) -> ProbabilityModel:
    """Fit the model by penalised maximum likelihood on Q queries whose true class columns are ``truth``."""
    allowed = np.ones((len(truth), len(classes.labels)), dtype=bool)
    if classes.has_sides:
        allowed = np.where(classes.passes[truth][:, None], classes.passes, ~classes.passes)
    class_weights = _fit_classes(features.by_class, truth, allowed)
    if not classes.has_sides:
        return ProbabilityModel(class_weights=class_weights)
    side_weights, side_bias = _fit_sides(features.sides, ~classes.passes[truth])
    return ProbabilityModel(class_weights=class_weights, side_weights=side_weights, side_bias=side_bias)


def _fit_classes(
    by_class: NDArray[np.float64], truth: NDArray[np.intp], allowed: NDArray[np.bool_]
) -> tuple[float, float, float]:
    # What is not allowed weighs nothing, whatever the weights.
    rows, n_features = np.arange(len(truth)), by_class.shape[2]
    away = np.where(allowed, 0.0, -np.inf)

    def evaluate(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        logits = by_class @ weights + away
        highest = logits.max(axis=1)
        raised = np.exp(logits - highest[:, None])
        totals = raised.sum(axis=1)
        probabilities = raised / totals[:, None]
        expected = np.einsum("qc,qcf->qf", probabilities, by_class)
        loss = (highest + np.log(totals) - logits[rows, truth]).mean() + RIDGE * weights @ weights
        slope = (expected - by_class[rows, truth]).mean(axis=0) + 2 * RIDGE * weights
        flat = by_class.reshape(-1, n_features)
        second = (flat * probabilities.reshape(-1, 1)).T @ flat - expected.T @ expected
        return float(loss), slope, second / len(truth) + 2 * RIDGE * np.eye(n_features)

    first, second, third = minimise(evaluate, np.ones(3), np.zeros(3)).tolist()
    return first, second, third


def _fit_sides(sides: NDArray[np.float64], is_reject: NDArray[np.bool_]) -> tuple[tuple[float, float, float], float]:
    start, least = np.array([0.5, 0.5, 1.0, 0.0]), np.array([0.0, 0.0, 0.0, -np.inf])
    first, second, third, bias = fit_logistic(sides.T, is_reject, start, least, ridge=RIDGE).tolist()
    return (first, second, third), bias
