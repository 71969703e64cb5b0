"""Comparing two scores of *reject* at a matched share of overkills: whether one lets fewer rejects through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_DRAWS = 1000
AT_ONCE = 50
"""Resamplings whose weights of all rows are held together: 1.6 MB of 4,000 rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedEscapes:
    """Escapes where a share of the passes at most is called rejects, cross-fitted, by two scores.

    Attributes
    ----------
    overkill_rate : float
        That share.
    without, with_terms : float
        Share of the rejects that escape.
    gain, low, high : float
        By how much the share falls, and its 95 % interval over parts.
    """

    overkill_rate: float
    without: float
    with_terms: float
    gain: float
    low: float
    high: float

    @property
    def is_beyond_chance(self) -> bool:
        """Whether fewer escape, with an interval that excludes 0."""
        return self.low > 0


def compare_matched(
    without: NDArray[np.float64],
    with_terms: NDArray[np.float64],
    is_reject: NDArray[np.bool_],
    parts: NDArray[np.intp],
    *,
    overkill_rate: float,
    seed: int,
) -> MatchedEscapes:
    """Return the escapes by two scores (Q,) of the same rows, with the interval of their paired difference.

    Parts are resampled; in each resampling both thresholds are set on the passes that are drawn.

    Parameters
    ----------
    without, with_terms : (Q,) float64
        Higher is more of a reject.
    is_reject : (Q,) bool
        Some are, some are not.
    parts : (Q,)
        A number for each part.
    overkill_rate : float
    seed : int
    """
    scores = (without, with_terms)
    numbers, codes = np.unique(parts, return_inverse=True)
    rng = np.random.default_rng(seed)
    gains: list[NDArray[np.float64]] = []
    for _ in range(0, N_DRAWS, AT_ONCE):
        drawn = rng.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), AT_ONCE)[:, codes]
        first, second = (escapes_at(one, is_reject, overkill_rate, drawn.astype(np.float64)) for one in scores)
        gains.append(first - second)
    low, high = np.nanquantile(np.concatenate(gains), [0.025, 0.975])
    once = np.ones((1, len(is_reject)))
    escapes = [float(escapes_at(one, is_reject, overkill_rate, once)[0]) for one in scores]
    return MatchedEscapes(
        overkill_rate=overkill_rate,
        without=escapes[0],
        with_terms=escapes[1],
        gain=escapes[0] - escapes[1],
        low=float(low),
        high=float(high),
    )


def escapes_at(
    scores: NDArray[np.float64], is_reject: NDArray[np.bool_], overkill_rate: float, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of rejects under the least threshold that calls so few passes rejects, (n_draws,).

    Rows of equal scores are on one side. NaN where a draw has no reject or no pass.

    Parameters
    ----------
    scores : (Q,) float64
    is_reject : (Q,) bool
    overkill_rate : float
    weights : (n_draws, Q) float64
        How often each row counts.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    drawn, rejects = weights[:, order], is_reject[order]
    overkills = np.cumsum(drawn * ~rejects, axis=1)
    caught = np.cumsum(drawn * rejects, axis=1)
    n_passes, n_rejects = overkills[:, -1:], caught[:, -1:]
    with np.errstate(invalid="ignore"):
        is_kept = overkills[:, ends] <= overkill_rate * n_passes
        found = np.where(is_kept, caught[:, ends], 0.0).max(axis=1)
        escapes = 1 - found / n_rejects[:, 0]
    return np.where(n_passes[:, 0] > 0, escapes, np.nan)
