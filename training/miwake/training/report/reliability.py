"""Are probabilities what they say? Right answers against the probability that was told, bin by bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.evaluation import N_BINS, Rate, rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose probability lies in one of the equal bins of the expected calibration error.

    Attributes
    ----------
    low, high : float
        Its ends.
    probability : float
        Mean of what was told.
    right : Rate
        Share that was right.
    """

    low: float
    high: float
    probability: float
    right: Rate


def reliability(
    probabilities: NDArray[np.floating[Any]], right: NDArray[np.bool_], parts: Sequence[str]
) -> tuple[Bin, ...]:
    """Return the bins that hold any of N answers, with their probabilities (N,) and whether each was right (N,)."""
    codes = np.minimum((probabilities * N_BINS).astype(np.int64), N_BINS - 1)
    found = []
    for code in np.unique(codes).tolist():
        rows = np.flatnonzero(codes == code)
        share = rate(right[rows], parts=[parts[row] for row in rows.tolist()] if len(parts) else ())
        found.append(Bin(code / N_BINS, (code + 1) / N_BINS, float(probabilities[rows].mean()), share))
    return tuple(found)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error that the bins show."""
    counts = np.array([one.right.n_rows for one in bins], dtype=np.float64)
    apart = np.array([abs(one.probability - one.right.value) for one in bins])
    return float(counts @ apart / counts.sum())
