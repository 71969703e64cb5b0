"""Figures of scores under resampled parts: AUROC, and the escapes at a matched share of overkills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.training.ablation.paired import Interval, draw_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_DRAWS = 1000


def row_weights(parts: NDArray[np.intp], *, seed: int = 0) -> NDArray[np.float64]:
    """Return how often each row counts in each resampling, (N_DRAWS, N); the same for the same parts and seed."""
    n_parts = int(parts.max()) + 1
    return np.asarray(draw_weights(np.random.default_rng(seed), N_DRAWS, n_parts, n_parts)[:, parts])


def auroc(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how often a positive row scores higher than another, ties counting half, (n_draws,).

    Parameters
    ----------
    scores : (N,) float64
    positive : (N,) bool
    weights : (n_draws, N) float64
        How often each row counts.
    """
    order = np.argsort(scores, kind="stable")
    codes = np.unique(scores[order], return_inverse=True)[1]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    of_positive = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    of_others = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(of_others, axis=1) - of_others / 2
    totals = of_positive.sum(axis=1) * of_others.sum(axis=1)
    return np.asarray((of_positive * below).sum(axis=1) / np.where(totals > 0, totals, np.nan))


def interval_of(differences: NDArray[np.float64]) -> Interval:
    """Return the first difference, that of all rows, with the 95 % interval of the others, which are resampled."""
    low, high = np.nanquantile(differences[1:], [0.025, 0.975])
    return Interval(float(differences[0]), float(low), float(high))


def escapes_at(
    scores: NDArray[np.float64], is_reject: NDArray[np.bool_], share: float, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of rejects that pass where at most ``share`` of the passes are rejected, (n_draws,).

    A row passes where its score is under the threshold, which is set on the very passes that are drawn: matched
    overkill, so that two scores are compared at the same place.

    Parameters
    ----------
    scores : (N,) float64
        Higher is more of a reject.
    weights : (n_draws, N) float64
    """
    order = np.argsort(-scores, kind="stable")
    drawn = weights[:, order]
    passes, rejects = drawn * ~is_reject[order], drawn * is_reject[order]
    overkill = np.cumsum(passes, axis=1) / passes.sum(axis=1, keepdims=True)
    caught = np.cumsum(rejects, axis=1) / rejects.sum(axis=1, keepdims=True)
    return np.asarray(1 - np.where(overkill <= share, caught, 0).max(axis=1))
