"""The statistics behind a promise: exact bounds over parts, thresholds that keep them, and what it would take.

Everything here is about *parts*, which are independent, and never about rows, which are not. A part fails at a
threshold if any of its rows does: that is strict, needs no model of how alike the rows of a part are, and a part is
what a line ships.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit
from scipy.stats import beta

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Of every one-sided bound."""

EVEN = 0.5
"""The laxest threshold on either side: what is likelier a reject never passes, what is likelier a pass stays."""

_STEPS = expit(np.linspace(-12, 0, 241))
PASS_GRID: NDArray[np.float64] = np.append(_STEPS[:-1], EVEN)
"""Thresholds of a pass that are tested, from strict to lax: declared before any data, even in log odds (0.05 apart)."""

REJECT_GRID: NDArray[np.float64] = np.append((1 - _STEPS)[:-1], EVEN)
"""Thresholds of a reject that are tested, from strict to lax."""


@dataclass(frozen=True, slots=True)
class Found:
    """What testing a promise on n parts found.

    Attributes
    ----------
    threshold : float
        The laxest of the grid that keeps the promise; where none does, the laxest with the smallest bound.
    n_parts, n_failed : int
        Parts tested, and those that fail at ``threshold``.
    bound : float
        Upper bound of the rate of failing parts at ``threshold``.
    is_kept : bool
        Whether the promise is shown.
    """

    threshold: float
    n_parts: int
    n_failed: int
    bound: float
    is_kept: bool


def upper_bound(n_failed: int, n_parts: int, *, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided upper confidence bound of a rate of which ``n_failed`` of ``n_parts`` were seen.

    Notes
    -----
    Exact (Clopper & Pearson, 1934): the rate under which so few failures would be seen with probability
    ``1 - confidence``. 1 where there are no parts.

    Examples
    --------
    >>> round(upper_bound(0, 2995), 6)
    0.001
    """
    if n_failed >= n_parts:
        return 1.0
    return float(beta.ppf(confidence, n_failed + 1, n_parts - n_failed))


def parts_needed(rate: float, *, n_failed: int = 0, confidence: float = CONFIDENCE) -> int:
    """Return how many parts show a rate in (0, 1) if ``n_failed`` of them fail.

    Examples
    --------
    >>> parts_needed(0.001)
    2995
    """
    if n_failed == 0:
        return math.ceil(math.log(1 - confidence) / math.log1p(-rate))
    low, high = n_failed + 1, n_failed + 2
    while upper_bound(n_failed, high, confidence=confidence) > rate:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if upper_bound(n_failed, middle, confidence=confidence) > rate:
            low = middle + 1
        else:
            high = middle
    return high


def pass_threshold(part_scores: NDArray[np.float64], rate: float) -> Found:
    """Return the laxest threshold at which at most ``rate`` of all reject parts pass, with confidence.

    Parameters
    ----------
    part_scores : (n,) float64
        Of each reject part, the least reject probability among its rows that are labelled as pass; infinity where there
        is none. The part fails at every threshold from there on.
    rate : float

    Notes
    -----
    Fixed-sequence testing (Angelopoulos et al., 2021, "Learn then test"): the thresholds of a grid declared beforehand
    are tested from strict to lax, each at the full level, up to the first that is not shown. Nothing is lost to a
    correction for the search. Since a part that fails goes on failing, this is also the bound of Bates et al. (2021,
    "Distribution-free, risk-controlling prediction sets"). Each test is exact (``upper_bound``).
    """
    return _fixed_sequence(PASS_GRID, np.searchsorted(np.sort(part_scores), PASS_GRID, side="right"), part_scores, rate)


def reject_threshold(part_scores: NDArray[np.float64], rate: float) -> Found:
    """Return the laxest threshold at which at most ``rate`` of all pass parts are rejected; see ``pass_threshold``.

    Parameters
    ----------
    part_scores : (n,) float64
        Of each pass part, the largest reject probability among its rows that are labelled as reject; minus infinity
        where there is none.
    rate : float
    """
    n_failed = len(part_scores) - np.searchsorted(np.sort(part_scores), REJECT_GRID, side="left")
    return _fixed_sequence(REJECT_GRID, n_failed, part_scores, rate)


def _fixed_sequence(
    grid: NDArray[np.float64], n_failed: NDArray[np.intp], part_scores: NDArray[np.float64], rate: float
) -> Found:
    n_parts = len(part_scores)
    # The number that fails only grows with the threshold, so what can be shown is known by that number alone.
    shown = [n for n in np.unique(n_failed).tolist() if upper_bound(n, n_parts) <= rate]
    most = shown[-1] if shown else int(n_failed[0])
    last = int(np.searchsorted(n_failed, most, side="right")) - 1
    return Found(float(grid[last]), n_parts, most, upper_bound(most, n_parts), bool(shown))


def conformal_quantile(scores: NDArray[np.floating], part_numbers: NDArray[np.integer], false_alarms: float) -> float:
    """Return the score that a row of a new part exceeds with a probability of at most ``false_alarms``.

    Infinity where there are too few parts to tell: fewer than ``1 / false_alarms - 1``.

    Parameters
    ----------
    scores : (Q,) float
    part_numbers : (Q,) int
        Of the part that each row belongs to.
    false_alarms : float

    Notes
    -----
    Hierarchical conformal prediction (Lee, Barber & Willett, 2023; Dunn, Wasserman & Ramdas, 2023): a quantile in which
    every part weighs ``1 / (parts + 1)``, shared by its rows, and the new part is put at infinity. With one row a part
    it is the usual conformal quantile.
    """
    _, codes, sizes = np.unique(part_numbers, return_inverse=True, return_counts=True)
    weights = 1.0 / (sizes[codes] * (len(sizes) + 1))
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    # Rounding of the sum must not cost a step.
    position = int(np.searchsorted(reached, 1 - false_alarms - 1e-12))
    return float(scores[order[position]]) if position < len(order) else math.inf


def quantile_parts_needed(false_alarms: float) -> int:
    """Return how many parts ``conformal_quantile`` needs for a finite answer."""
    return math.ceil(1 / false_alarms - 1 - 1e-9)
