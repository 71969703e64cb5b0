"""Paired differences over seeds and parts, with bootstrap intervals.

Every figure here is a mean of ratios: of the share that is counted in each stratum (one for accuracy, the classes for
balanced accuracy, the rejects for escapes, the passes for overkills). A resampling weighs parts, so that all that is
needed of a run are two sums for each part and stratum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_DRAWS = 2000
"""Resamplings: their 2.5 % and 97.5 % points are then good to a tenth of the interval's width."""

BLOCK = 100
"""Resamplings weighed at once: of 10,000 parts, 8 MB."""

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Counts:
    """What one run's figure is made of: what is counted, and the rows, of P parts in K strata, both (P, K) float64."""

    counted: NDArray[np.float64]
    rows: NDArray[np.float64]

    @property
    def value(self) -> float:
        """The figure itself."""
        return float(_mean_of_ratios(self.counted.sum(axis=0), self.rows.sum(axis=0)))


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, second minus first, and its two-sided 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side."""
        return self.low > 0 or self.high < 0


def counts_of(
    counted: NDArray[np.bool_], strata: NDArray[np.intp], parts: NDArray[np.intp], n_parts: int
) -> Counts | None:
    """Return the sums of N rows by part and stratum; None where no row has a stratum.

    Parameters
    ----------
    counted : (N,) bool
    strata : (N,) integers
        0 … K-1, or -1 for rows that do not matter.
    parts : (N,) integers
        0 … n_parts-1.
    """
    kept = strata >= 0
    if not kept.any():
        return None
    n_strata = int(strata.max()) + 1
    cells = parts[kept] * n_strata + strata[kept]
    size = n_parts * n_strata
    of_rows = np.bincount(cells, minlength=size).astype(np.float64)
    of_counted = np.bincount(cells, counted[kept], minlength=size).astype(np.float64)
    return Counts(of_counted.reshape(n_parts, n_strata), of_rows.reshape(n_parts, n_strata))


def difference(first: Sequence[Counts], second: Sequence[Counts], *, n_draws: int = N_DRAWS, seed: int = 0) -> Interval:
    """Return by how much a figure of S runs is higher than that of S others, paired by seed and by part.

    Parameters
    ----------
    first, second : S Counts each
        The runs of one seed stand in the same place; all are of the same held-out parts.
    n_draws : int
        Resamplings.
    seed : int
        Of what is drawn.

    Notes
    -----
    Each resampling draws as many parts as there are, with replacement, the same for all runs, and S - 1 of the S seeds
    with replacement: the same parts are asked with every seed, so that both are drawn (Owen, 2007), and of S - 1 drawn
    seeds the variance of the mean is not too small, which of S drawn ones it is by 1 / S (Rao and Wu, 1988). One seed
    is kept, and the interval then knows nothing of others. The interval is that between percentiles.
    """
    value = float(np.mean([two.value - one.value for one, two in zip(first, second, strict=True)]))
    draws = _drawn(first, second, n_draws, np.random.default_rng(seed))
    low, high = np.nanquantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def draw_weights(random: np.random.Generator, n_draws: int, n_drawn: int, n_all: int) -> NDArray[np.float64]:
    """Return how often each of ``n_all`` is among ``n_drawn`` draws with replacement, (n_draws, n_all)."""
    drawn = random.integers(0, n_all, (n_draws, n_drawn)) + n_all * np.arange(n_draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_draws * n_all).reshape(n_draws, n_all).astype(np.float64)


def _drawn(
    first: Sequence[Counts], second: Sequence[Counts], n_draws: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return the difference in each resampling, (n_draws,); not a number where it drew no row that matters."""
    n_seeds, n_parts = len(first), len(first[0].rows)
    of_seeds = draw_weights(random, n_draws, max(n_seeds - 1, 1), n_seeds)
    of_seeds /= of_seeds.sum(axis=1, keepdims=True)
    blocks = []
    for start in range(0, n_draws, BLOCK):
        size = min(BLOCK, n_draws - start)
        weights = draw_weights(random, size, n_parts, n_parts)
        by_seed = np.stack(
            [_weighed(two, weights) - _weighed(one, weights) for one, two in zip(first, second, strict=True)], axis=1
        )
        blocks.append((by_seed * of_seeds[start : start + size]).sum(axis=1))
    return np.concatenate(blocks)


def _weighed(counts: Counts, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return _mean_of_ratios(weights @ counts.counted, weights @ counts.rows)


def _mean_of_ratios(counted: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis of the ratios, of those strata that have rows."""
    there = rows > 0
    ratios = np.divide(counted, rows, out=np.zeros_like(counted), where=there)
    n_there = there.sum(axis=-1)
    return np.asarray(np.divide(ratios.sum(axis=-1), n_there, out=np.full(n_there.shape, np.nan), where=n_there > 0))
