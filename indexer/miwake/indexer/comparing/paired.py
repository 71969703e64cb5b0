"""By how much two sets of answers to the same rows differ, with an interval that knows that they are paired."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.evaluation import CONFIDENCE, effective_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more often something holds of the second answers than of the first.

    Attributes
    ----------
    value : float
        Share of the second minus share of the first, -1 … 1.
    low, high : float
        Two-sided 95 % interval over parts.
    n_more, n_less : int
        Rows of which it holds only the second time, and only the first time.
    n_rows : int
    """

    value: float
    low: float
    high: float
    n_more: int
    n_less: int
    n_rows: int


def difference(first: NDArray[np.bool_], second: NDArray[np.bool_], *, parts: Sequence[str] = ()) -> Difference:
    """Return the paired difference of two shares of N rows, N > 0.

    Parameters
    ----------
    first, second : (N,) bool
    parts : N texts
        The part of each row; without them, and where empty, every row counts as its own part.

    Notes
    -----
    With b rows of which it holds only the second time and c only the first, half a row is added to each of the four
    counts: Agresti and Min, 2005, whose interval keeps a width where nothing differs. The counts are scaled to the
    effective number of rows, as in ``evaluation.rate``: rows of one part are no independent rows.
    """
    changes = second.astype(np.float64) - first
    n_more, n_less = int((changes > 0).sum()), int((changes < 0).sum())
    scale = effective_rows(changes, parts) / len(changes)
    more, less, total = n_more * scale + 0.5, n_less * scale + 0.5, len(changes) * scale + 2.0
    centre = (more - less) / total
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * float(np.sqrt(more + less - (more - less) * centre)) / total
    value = float(changes.mean())
    low, high = max(min(centre - half, value), -1.0), min(max(centre + half, value), 1.0)
    return Difference(value, low, high, n_more, n_less, len(changes))
