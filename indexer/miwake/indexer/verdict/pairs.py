"""1:1 verification: which distance tells pairs of one class from pairs of two, and thresholds that keep a promise.

Everything is measured on pairs of a calibration query and a fit reference; no part is on both sides. Rates are over
the queries' parts: each part counts alike, by the share of its pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import expit
from scipy.stats import binom

from miwake.indexer.errors import RateNotShownError
from miwake.indexer.verdict.convex import fit_logistic
from miwake.indexer.verdict.promises import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

PairDistance = Literal["match", "euclidean", "cosine"]
DISTANCES: tuple[PairDistance, ...] = ("match", "euclidean", "cosine")

N_PAIRS = 50
"""Pairs drawn for each query and kind: of its class, and of other classes."""

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""False-accept rates that are promised where the parts allow."""

RIDGE = 1e-3
"""Penalty on the weight of the distance, in units of its spread: keeps it finite where the pairs separate perfectly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairThreshold:
    """A distance up to which two vectors are taken for the same class, and what was measured there.

    Attributes
    ----------
    at_most : float
    max_false_accept_rate : float or None
        What is promised; None where nothing is.
    false_accept_rate, false_reject_rate : float
        Shares of the calibration pairs of different classes, and of the same class.
    """

    at_most: float
    max_false_accept_rate: float | None
    false_accept_rate: float
    false_reject_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCalibration:
    """How pairs are verified, and what that rests on.

    Attributes
    ----------
    distance : 'match', 'euclidean' or 'cosine'
        The one that decides: it has the least equal error rate.
    equal_error_rates : mapping of distance to float
    weight, bias : float
        Log odds that a pair is of one class, where both are as likely beforehand: ``bias - weight x distance``.
    balanced : PairThreshold
        Where false accepts are as frequent as false rejects; nothing is promised.
    promised : tuple of PairThreshold
        Of ``RATES`` those that were shown, the strictest first.
    n_genuine, n_impostor : int
        Pairs of one class, and of two.
    n_parts : int
        Of the queries.
    """

    distance: PairDistance
    equal_error_rates: dict[PairDistance, float]
    weight: float
    bias: float
    balanced: PairThreshold
    promised: tuple[PairThreshold, ...]
    n_genuine: int
    n_impostor: int
    n_parts: int

    def threshold(self, max_false_accept_rate: float | None) -> PairThreshold:
        """Return the laxest threshold that keeps a rate; the balanced one where none is asked for.

        Raises
        ------
        RateNotShownError
            If none keeps it.
        """
        if max_false_accept_rate is None:
            return self.balanced
        kept = [one for one in self.promised if (one.max_false_accept_rate or 0.0) <= max_false_accept_rate]
        if not kept:
            shown = tuple(one.max_false_accept_rate or 0.0 for one in self.promised)
            raise RateNotShownError(max_false_accept_rate, shown=shown, n_parts=self.n_parts)
        return kept[-1]

    def probabilities(self, distances: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the probability that pairs are of one class, from the distance that decides."""
        return np.asarray(expit(self.bias - self.weight * distances.astype(np.float64)), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Pairs:
    """P pairs whose truth is known.

    Attributes
    ----------
    is_genuine : (P,) bool
    parts : (P,) integers
        The number of the query's part.
    distances : by name, (P,) float32
    """

    is_genuine: NDArray[np.bool_]
    parts: NDArray[np.intp]
    distances: Mapping[PairDistance, NDArray[np.float32]]


def draw_pairs(
    query_labels: NDArray[np.int32], reference_labels: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return for each of Q queries references of its class, and then of others, (Q, 2 x ``N_PAIRS``); -1 for none.

    Where a class has fewer than ``N_PAIRS``, each is taken once.
    """
    positions = np.full((len(query_labels), 2 * N_PAIRS), -1, dtype=np.int64)
    for label in np.unique(query_labels):
        queries = np.flatnonzero(query_labels == label)
        is_own = reference_labels == label
        for rows, first in ((np.flatnonzero(is_own), 0), (np.flatnonzero(~is_own), N_PAIRS)):
            if len(rows) > N_PAIRS:
                positions[queries, first : first + N_PAIRS] = rows[rng.integers(0, len(rows), (len(queries), N_PAIRS))]
            else:
                positions[queries, first : first + len(rows)] = rows
    return positions


def calibrate_pairs(pairs: Pairs, rates: Sequence[float] = RATES) -> PairCalibration | None:
    """Return the distance and the thresholds that pairs are verified with; None where there are pairs of one kind only.

    Notes
    -----
    A threshold keeps a rate if the upper bound of its false-accept rate is at most that, with 95 % confidence over
    parts; the laxest such threshold is taken, which needs no correction, since the rate only grows with the threshold
    (Bates et al., 2021, "Distribution-free, risk-controlling prediction sets"). The confidence is divided among the
    three distances, of which the best is chosen on the same pairs.
    """
    if pairs.is_genuine.all() or not pairs.is_genuine.any():
        return None
    curves = {name: _Curve.of(distances, pairs) for name, distances in pairs.distances.items()}
    best = min(curves, key=lambda name: curves[name].balanced().error)
    curve, distances = curves[best], pairs.distances[best]
    n_parts = len(np.unique(pairs.parts))
    promised = []
    for rate in rates:
        most = largest_shown(rate, curve.n_impostor_parts, confidence=1 - (1 - CONFIDENCE) / len(curves))
        if most is not None:
            promised.append(curve.threshold(curve.laxest(most), rate))
    weight, bias = _fit_odds(distances, pairs.is_genuine)
    n_genuine = int(pairs.is_genuine.sum())
    return PairCalibration(
        distance=best,
        equal_error_rates={name: one.balanced().error for name, one in curves.items()},
        weight=weight,
        bias=bias,
        balanced=curve.threshold(curve.balanced().at_most, None),
        promised=tuple(promised),
        n_genuine=n_genuine,
        n_impostor=len(pairs.is_genuine) - n_genuine,
        n_parts=n_parts,
    )


def largest_shown(rate: float, n_parts: int, *, confidence: float = CONFIDENCE) -> float | None:
    """Return the largest mean over parts, each in 0 … 1, that shows a rate of the population; None where none does.

    Notes
    -----
    Hoeffding-Bentkus bound (Bates et al., 2021, section 3.1): with n independent parts of mean r, the rate is shown if
    ``min(exp(-n h(r, rate)), e P(Bin(n, rate) <= ceil(n r)))`` is at most ``1 - confidence``, where h is the relative
    entropy of two coins. With r = 0 that is the exact bound of as many parts without a failure.

    Examples
    --------
    >>> largest_shown(0.1, 28) is None, largest_shown(0.1, 29) is None
    (True, False)
    """

    def is_shown(mean: float) -> bool:
        hoeffding = np.exp(-n_parts * _relative_entropy(mean, rate))
        bentkus = np.e * binom.cdf(np.ceil(n_parts * mean), n_parts, rate)
        return bool(min(hoeffding, bentkus) <= 1 - confidence)

    if not is_shown(0.0):
        return None
    low, high = 0.0, rate
    while high - low > 1e-6 * rate:
        middle = (low + high) / 2
        low, high = (middle, high) if is_shown(middle) else (low, middle)
    return low


def _relative_entropy(mean: float, rate: float) -> float:
    mean = min(mean, rate)
    of_failure = mean * np.log(mean / rate) if mean else 0.0
    return float(of_failure + (1 - mean) * np.log((1 - mean) / (1 - rate)))


@dataclass(frozen=True, slots=True)
class _Balanced:
    at_most: float
    error: float


@dataclass(frozen=True, slots=True)
class _Curve:
    """Distances in ascending order, and the shares of impostor and genuine pairs up to each of them."""

    distances: NDArray[np.float32]
    accepted_impostors: NDArray[np.float64]
    accepted_genuine: NDArray[np.float64]
    n_impostor_parts: int

    @classmethod
    def of(cls, distances: NDArray[np.float32], pairs: Pairs) -> _Curve:
        order = np.argsort(distances, kind="stable")
        impostor, n_parts = _weights(pairs.parts, ~pairs.is_genuine)
        genuine, _ = _weights(pairs.parts, pairs.is_genuine)
        # Pairs of one distance are accepted together: only the last of them is a threshold.
        is_last = np.append(np.diff(distances[order]) > 0, True)
        return cls(
            distances[order][is_last],
            np.cumsum(impostor[order])[is_last],
            np.cumsum(genuine[order])[is_last],
            n_parts,
        )

    def balanced(self) -> _Balanced:
        """Return the threshold where the two errors are nearest to each other, and their mean there."""
        wrong = np.stack([self.accepted_impostors, 1 - self.accepted_genuine])
        place = int(np.abs(wrong[0] - wrong[1]).argmin())
        return _Balanced(float(self.distances[place]), float(wrong[:, place].mean()))

    def laxest(self, most: float) -> float:
        """Return the largest threshold at which at most so large a share of impostors is accepted."""
        place = int(np.searchsorted(self.accepted_impostors, most + 1e-12, side="right"))
        if place == len(self.distances):
            return float(self.distances[-1])
        return float(np.nextafter(self.distances[place], np.float32(-np.inf)))

    def threshold(self, at_most: float, rate: float | None) -> PairThreshold:
        place = int(np.searchsorted(self.distances, np.float32(at_most), side="right"))
        accepted = (self.accepted_impostors[place - 1], self.accepted_genuine[place - 1]) if place else (0.0, 0.0)
        return PairThreshold(
            at_most=at_most,
            max_false_accept_rate=rate,
            false_accept_rate=float(min(accepted[0], 1.0)),
            false_reject_rate=float(max(1 - accepted[1], 0.0)),
        )


def _weights(parts: NDArray[np.intp], chosen: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
    """Return weights (P,) of the chosen pairs that sum to 1, each part's alike, and the number of those parts."""
    _, codes, sizes = np.unique(parts[chosen], return_inverse=True, return_counts=True)
    weights = np.zeros(len(parts))
    weights[chosen] = 1.0 / (sizes[codes] * len(sizes))
    return weights, len(sizes)


def _fit_odds(distances: NDArray[np.float32], is_genuine: NDArray[np.bool_]) -> tuple[float, float]:
    """Return weight and bias of the log odds of one class; the weight is not negative."""
    centre, spread = float(distances.mean()), max(float(distances.std()), 1e-9)
    start = np.array([1.0, 0.0])
    found = fit_logistic(
        -(distances.astype(np.float64)[None] - centre) / spread,
        is_genuine,
        start,
        np.array([0.0, -np.inf]),
        ridge=RIDGE,
    )
    n_genuine = int(is_genuine.sum())
    as_likely = np.log((len(is_genuine) - n_genuine) / n_genuine)
    return float(found[0] / spread), float(found[1] + found[0] * centre / spread + as_likely)
