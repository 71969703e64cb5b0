"""How well distances separate: ROC and what is read off it, for verification and for novelty.

A *genuine* pair bears one label, an *impostor* pair two. A pair is accepted where its distance is at most a threshold;
the rates at every threshold are the ROC curve (Fawcett, 2006; ISO/IEC 19795-1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

FALSE_RATES = (1e-1, 1e-2, 1e-3)
"""False-accept rates at which the true accepts are told."""

CURVE_RATES = np.unique(np.concatenate([np.geomspace(1e-4, 1, 41), np.linspace(0, 1, 41)]))
"""False-accept rates at which a curve is stored: fine where it matters, and small enough for JSON."""

ROUNDING = 1e-9
"""Added to a count before it is rounded down: 0.1 of 30 is 3."""


@dataclass(frozen=True, slots=True)
class AtRate:
    """What is achieved where false accepts are at most ``false_rate``; None where so few cannot be measured."""

    false_rate: float
    true_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """How well distances tell genuine pairs from impostors.

    Attributes
    ----------
    n_genuine, n_impostor : int
    auc : float or None
        Area under the ROC curve: the chance that a genuine pair is nearer than an impostor, ties counting half. None,
        like all that follows, where there are no pairs of one kind.
    equal_error_rate : float or None
        Where false accepts are as frequent as false rejects, interpolated between the two nearest thresholds.
    true_accepts : tuple of AtRate
        At false-accept rates of ``FALSE_RATES``; a rate of 0.001 needs a thousand impostors.
    curve : tuple of AtRate
        At ``CURVE_RATES``; empty where it was not asked for.
    """

    n_genuine: int
    n_impostor: int
    auc: float | None
    equal_error_rate: float | None
    true_accepts: tuple[AtRate, ...]
    curve: tuple[AtRate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How well a score tells new rows from known ones; new is what is to be found.

    Attributes
    ----------
    n_novel, n_known : int
    auroc : float
        The chance that a new row scores higher than a known one.
    fpr95 : float
        Share of the known that is called new where at least 95 % of the new are.
    missed_at_5 : float
        Share of the new that is missed where at most 5 % of the known are called new: the same trade the other way
        round, as Liang et al., 2018, count it.
    """

    n_novel: int
    n_known: int
    auroc: float
    fpr95: float
    missed_at_5: float


def separation(
    distances: NDArray[np.floating[Any]], is_genuine: NDArray[np.bool_], *, with_curve: bool = True
) -> Separation:
    """Return how well finite distances (P,) of pairs tell the genuine (P,) from the others."""
    n_genuine = int(is_genuine.sum())
    n_impostor = len(is_genuine) - n_genuine
    if not n_genuine or not n_impostor:
        nothing = tuple(AtRate(rate, None) for rate in FALSE_RATES)
        return Separation(
            n_genuine=n_genuine, n_impostor=n_impostor, auc=None, equal_error_rate=None, true_accepts=nothing, curve=()
        )
    false, true, _ = metrics.roc_curve(is_genuine, -distances, drop_intermediate=False)

    def at(rate: float) -> float:
        allowed = np.floor(rate * n_impostor + ROUNDING) / n_impostor
        return float(true[np.searchsorted(false, allowed + ROUNDING / n_impostor, side="right") - 1])

    return Separation(
        n_genuine=n_genuine,
        n_impostor=n_impostor,
        auc=float(metrics.auc(false, true)),
        equal_error_rate=_equal_error_rate(false, true),
        true_accepts=tuple(AtRate(rate, at(rate) if is_measurable(rate, n_impostor) else None) for rate in FALSE_RATES),
        curve=tuple(AtRate(rate, at(rate)) for rate in CURVE_RATES.tolist()) if with_curve else (),
    )


def is_measurable(rate: float, n_rows: int) -> bool:
    """Return whether one of ``n_rows`` is no more than this rate."""
    return rate * n_rows + ROUNDING >= 1


def _equal_error_rate(false: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    excess = false - (1 - true)
    after = int(np.argmax(excess >= 0))  # excess climbs from -1 to 1
    before = after - 1
    share = -excess[before] / (excess[after] - excess[before])
    return float(false[before] + share * (false[after] - false[before]))


def detection(scores: NDArray[np.floating[Any]], is_novel: NDArray[np.bool_]) -> Detection:
    """Return how well finite scores (Q,), higher for what is newer, find the novel rows (Q,); there are some of both.

    Notes
    -----
    AUROC and FPR at 95 % TPR: Hendrycks and Gimpel, 2017, with the new as positives, as OpenOOD counts it.
    """
    false, true, _ = metrics.roc_curve(is_novel, scores, drop_intermediate=False)
    return Detection(
        n_novel=int(is_novel.sum()),
        n_known=int((~is_novel).sum()),
        auroc=float(metrics.roc_auc_score(is_novel, scores)),
        fpr95=float(false[np.argmax(true >= 0.95 - ROUNDING)]),
        missed_at_5=float(1 - true[np.searchsorted(false, 0.05 + ROUNDING, side="right") - 1]),
    )
