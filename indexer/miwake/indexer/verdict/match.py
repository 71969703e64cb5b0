"""The match distance: one number from beta, eta and gamma, fitted on pairs of known records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from miwake.indexer.errors import CalibrationError
from miwake.indexer.verdict.convex import fit_logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_BINS = 40
"""Bins of the stored histograms of matching and mismatching pairs."""

RIDGE = 1e-3
"""Penalty on the weights of standardised measures: keeps them finite where pairs separate perfectly."""

LEAST_SCALE_WEIGHT = 2.0
"""Least weight of ``|beta - 1|``: an opposite reference, whose deviation is 0, must not be near; this moves it by 4."""

BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchMix:
    """The logistic mix: match distance = 1 / (1 + exp(-(bias + sum of weight x measure))).

    Attributes
    ----------
    scale_weight, deviation_weight : float
        Of ``|beta - 1|``, at least ``LEAST_SCALE_WEIGHT``, and of eta, not negative: an opposite or wildly scaled
        reference is never near.
    spread_weight : float
        Of gamma; either sign.
    bias : float
    """

    scale_weight: float
    deviation_weight: float
    spread_weight: float
    bias: float

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights in the order above, and the bias behind them, (4,)."""
        return np.array([self.scale_weight, self.deviation_weight, self.spread_weight, self.bias])

    def scores(
        self, beta: NDArray[np.floating], eta: NDArray[np.floating], gamma: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Return the log odds of *different class*, of the measures' shape: what neighbours are sorted by."""
        scale = self.scale_weight * np.abs(beta.astype(np.float64) - 1.0)
        scores: NDArray[np.float64] = scale + self.deviation_weight * eta + self.spread_weight * gamma + self.bias
        return scores

    def distances(self, scores: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the match distances in [0, 1) of the given scores, float32."""
        distances: NDArray[np.float32] = np.minimum(expit(scores), BELOW_ONE).astype(np.float32)
        return distances


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchHistogram:
    """How the match distances of the fitted pairs are spread: counts in ``N_BINS`` equal bins of [0, 1)."""

    matching: tuple[int, ...]
    mismatching: tuple[int, ...]


def fit_mix(
    beta: NDArray[np.floating],
    eta: NDArray[np.floating],
    gamma: NDArray[np.floating],
    same: NDArray[np.bool_],
) -> MatchMix:
    """Fit the mix by penalised maximum likelihood, bounded so that scale and deviation never count as nearness.

    Parameters
    ----------
    beta, eta, gamma : (P,) float
        The measures of P pairs of a calibration query and a reference.
    same : (P,) bool
        Whether the two bear one label.

    Raises
    ------
    CalibrationError
        If there are no matching or no mismatching pairs.
    """
    if same.all() or not same.any():
        message = f"{int(same.sum())} matching pairs of {len(same)}: the mix needs matching and mismatching ones"
        raise CalibrationError(message)
    measures = np.stack([np.abs(beta - 1.0), eta, gamma]).astype(np.float64)
    centre = measures.mean(axis=1)
    spread = np.maximum(measures.std(axis=1), 1e-9)
    standard = (measures - centre[:, None]) / spread[:, None]
    least = np.array([LEAST_SCALE_WEIGHT * spread[0], 0.0, -np.inf, -np.inf])
    found = fit_logistic(standard, ~same, np.maximum(least, 0.0), least, ridge=RIDGE)
    weights = found[:3] / spread
    bias = found[3] - weights @ centre
    return MatchMix(
        scale_weight=float(weights[0]),
        deviation_weight=float(weights[1]),
        spread_weight=float(weights[2]),
        bias=float(bias),
    )


def histogram(distances: NDArray[np.float32], same: NDArray[np.bool_]) -> MatchHistogram:
    """Return the histogram of match distances (P,) of pairs that are the ``same`` class or not."""
    edges = np.linspace(0, 1, N_BINS + 1)
    return MatchHistogram(
        matching=tuple(int(n) for n in np.histogram(distances[same], edges)[0]),
        mismatching=tuple(int(n) for n in np.histogram(distances[~same], edges)[0]),
    )
