"""Learning what is ordinary for an input from the rows that an embedder is fitted on."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import HealthStatistic
from miwake.indexer.health.limits import HealthGauge, HealthLimit, InputHealth
from miwake.indexer.health.measuring import statistics
from miwake.indexer.records import is_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FALSE_ALARMS = 0.01
"""Share of ordinary maps that may be beyond a limit, of all limits together."""

LOW_SHARES = np.array([1.0, 1.0, 1.0, 4.0, 1.0, 1.0])
HIGH_SHARES = np.ones(len(HealthStatistic))
"""How the false alarms are shared out. Low focus gets more than any other side: a blur is the silent escape."""

N_EXTREME = 20
"""Rows at the end of a distribution that are trusted as they are; a limit farther out is extrapolated from them."""

LEAST_ROWS = 30
"""Fewer rows say nothing of what is ordinary."""

LEAST_WIDTH = 1e-3
"""From the centre to a limit at least: statistics that are all the same have no width of their own."""

ROOM = 1e-3
"""Share of its width by which a limit lies beyond the row it is taken from: that row is ordinary, on any machine."""

SIGNIFICANT_DIGITS = 7
"""What float32 carries."""


def learn_health(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    parts: Sequence[str],
    pass_labels: Sequence[int],
    shape: tuple[int, int],
    value_range: tuple[float, float],
    unseen: NDArray[np.float32] | None = None,
) -> InputHealth | None:
    """Learn from (N, V) float32 fit rows what is ordinary; None where there are fewer than ``LEAST_ROWS``.

    The limits are quantiles of all classes together: limits of the passes alone rest on fewer rows and call many
    rejects ill (docs/adr/0009-input-health.md). Where N is too small for a quantile that far out, the tail is taken to
    fall exponentially from the ``N_EXTREME``-th row on, which errs towards too wide.

    Parameters
    ----------
    labels : (N,) int32
    parts : N texts
        A row without a part counts as a part of its own.
    pass_labels : sequence of int
    shape : (rows, columns)
        rows x columns = V.
    value_range : (low, high)
    unseen : (n, V) float32, or None
        Rows of calibration parts, on which the false alarms are measured.
    """
    if len(vectors) < LEAST_ROWS:
        return None
    anchor = _anchor(vectors, is_pass(labels, pass_labels), value_range)
    found = statistics(vectors, anchor, shape, value_range).astype(np.float64)
    learnt = InputHealth(
        limits=_limits(found),
        anchor=tuple(_rounded(value) for value in anchor.tolist()),
        n_rows=len(vectors),
        n_parts=len({part for part in parts if part}) + sum(not part for part in parts),
        false_alarms=None,
    )
    if unseen is None or not len(unseen):
        return learnt
    deviations = HealthGauge(learnt, shape, value_range).deviations(unseen)
    return replace(learnt, false_alarms=float((np.abs(deviations) > 1).any(axis=1).mean()))


def _anchor(
    vectors: NDArray[np.float32], passes: NDArray[np.bool_], value_range: tuple[float, float]
) -> NDArray[np.float32]:
    low, high = value_range
    rows = vectors[passes] if passes.any() else vectors
    scaled = (rows.mean(axis=0, dtype=np.float64) - low) / (high - low)
    return np.asarray(scaled, dtype=np.float32)


def _limits(found: NDArray[np.float64]) -> dict[str, HealthLimit]:
    per_share = FALSE_ALARMS / (LOW_SHARES.sum() + HIGH_SHARES.sum())
    limits = {}
    for one in HealthStatistic:
        centre = float(np.median(found[:, one]))
        apart = found[:, one] - centre
        below, above = _width(-apart, LOW_SHARES[one] * per_share), _width(apart, HIGH_SHARES[one] * per_share)
        limits[one.name.lower()] = HealthLimit(
            centre=_rounded(centre),
            low=_rounded(centre - below),
            high=_rounded(centre + above),
        )
    return limits


def _width(apart: NDArray[np.float64], share: float) -> float:
    return max(tail(apart, share) * (1 + ROOM), LEAST_WIDTH)


def tail(values: NDArray[np.float64], share: float) -> float:
    """Return what the given share of a distribution exceeds, from N values of it.

    The quantile that leaves ``N_EXTREME`` values above it, and beyond it a tail that falls exponentially by their mean
    excess; where N is large enough, the quantile itself.
    """
    trusted = max(share, min(N_EXTREME / len(values), 0.5))
    found = float(np.quantile(values, 1 - trusted, method="higher"))
    if trusted <= share:
        return found
    return found + float((values[values >= found] - found).mean()) * log(trusted / share)


def _rounded(number: float) -> float:
    return float(f"{number:.{SIGNIFICANT_DIGITS}g}")
