"""How right a set of answers is: accuracy, and inspection's two errors, escapes and overkills.

Everything here works on labels, ``truth`` (N,) int32 and ``found`` (N,) int32, whoever found them. With no pass labels
escape and overkill do not exist, and are None rather than 0.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import metrics

from miwake.indexer.records import is_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Of the two-sided intervals."""

N_BINS = 15
"""Bins of confidence in the expected calibration error, the usual number."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of how many, with an interval that knows that rows of one part are no independent rows.

    Attributes
    ----------
    value : float
        ``n_counted / n_rows``.
    n_counted, n_rows : int
    low, high : float
        Two-sided 95 % interval over parts.
    """

    value: float
    n_counted: int
    n_rows: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How right N answers are.

    Attributes
    ----------
    accuracy : Rate
    balanced_accuracy, macro_f1 : float
        Means over the classes that occur in the truth.
    escape, overkill : Rate or None
        Rejects answered as pass, of all rejects; passes answered as reject, of all passes. None where there are none.
    calibration_error : float or None
        Expected calibration error; None where no probabilities were given.
    labels : tuple of int
        Rows and columns of ``confusion``.
    confusion : tuple of tuples of int
        Row = truth, column = found.
    """

    n_rows: int
    accuracy: Rate
    balanced_accuracy: float
    macro_f1: float
    escape: Rate | None
    overkill: Rate | None
    calibration_error: float | None
    labels: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def evaluate(
    truth: NDArray[np.int32],
    found: NDArray[np.int32],
    *,
    pass_labels: Sequence[int] = (),
    probabilities: NDArray[np.floating[Any]] | None = None,
    parts: Sequence[str] = (),
) -> Evaluation:
    """Return how right the labels ``found`` are.

    Parameters
    ----------
    probabilities : (N,) float
        That each found label is right.
    parts : N texts
        The part of each row; without them, and where empty, every row counts as its own part.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if len(truth) == 0:
        message = "no rows to evaluate"
        raise ValueError(message)
    labels, matrix = confusion(truth, found)
    right = truth == found
    return Evaluation(
        n_rows=len(truth),
        accuracy=rate(right, parts=parts),
        balanced_accuracy=balanced_accuracy(truth, found),
        macro_f1=macro_f1(truth, found),
        escape=escape_rate(truth, found, pass_labels, parts=parts),
        overkill=overkill_rate(truth, found, pass_labels, parts=parts),
        calibration_error=None if probabilities is None else expected_calibration_error(probabilities, right),
        labels=tuple(int(label) for label in labels),
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
    )


def accuracy(truth: NDArray[np.int32], found: NDArray[np.int32]) -> float:
    """Return the share of rows whose label was found."""
    return float(np.mean(truth == found))


def balanced_accuracy(truth: NDArray[np.int32], found: NDArray[np.int32]) -> float:
    """Return the mean, over the classes in ``truth``, of the share of each class that was found."""
    return float(metrics.recall_score(truth, found, labels=np.unique(truth), average="macro", zero_division=0))


def macro_f1(truth: NDArray[np.int32], found: NDArray[np.int32]) -> float:
    """Return the mean F1 over the classes in ``truth``."""
    return float(metrics.f1_score(truth, found, labels=np.unique(truth), average="macro", zero_division=0))


def escape_rate(
    truth: NDArray[np.int32], found: NDArray[np.int32], pass_labels: Sequence[int], *, parts: Sequence[str] = ()
) -> Rate | None:
    """Return the share of rejects that were answered as pass; None without pass labels or rejects."""
    rejects = ~is_pass(truth, pass_labels)
    return _error_rate(is_pass(found, pass_labels), rejects, pass_labels, parts)


def overkill_rate(
    truth: NDArray[np.int32], found: NDArray[np.int32], pass_labels: Sequence[int], *, parts: Sequence[str] = ()
) -> Rate | None:
    """Return the share of passes that were answered as reject; None without pass labels or passes."""
    passes = is_pass(truth, pass_labels)
    return _error_rate(~is_pass(found, pass_labels), passes, pass_labels, parts)


def confusion(truth: NDArray[np.int32], found: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return all labels that occur (C,), sorted, and the counts (C, C): row = truth, column = found."""
    labels = np.union1d(truth, found)
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, (np.searchsorted(labels, truth), np.searchsorted(labels, found)), 1)
    return labels, counts


def expected_calibration_error(probabilities: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> float:
    """Return by how much probabilities (N,) in [0, 1] and the share of right answers (N,) differ on average.

    Notes
    -----
    ``sum over bins of n_bin / N x |mean probability - share right|`` with 15 equal bins: Guo et al., 2017.
    """
    bins = np.minimum((probabilities * N_BINS).astype(np.int64), N_BINS - 1)
    excess = np.bincount(bins, probabilities.astype(np.float64) - right, N_BINS)
    return float(np.abs(excess).sum() / len(right))


def rate(counted: NDArray[np.bool_], *, parts: Sequence[str] = ()) -> Rate:
    """Return the share of rows that are ``counted`` (N,), N > 0, with its interval over parts.

    Notes
    -----
    Wilson's score interval on the effective number of rows: N divided by the design effect, the ratio of the variance
    between parts to that of independent rows, at least 1. Where every row is counted, or none, the data show no
    variance at all, and the number of parts is the effective number.
    """
    share = float(counted.mean())
    low, high = _wilson(share, effective_rows(counted, parts))
    return Rate(share, int(counted.sum()), len(counted), low, high)


def _error_rate(
    wrong: NDArray[np.bool_], among: NDArray[np.bool_], pass_labels: Sequence[int], parts: Sequence[str]
) -> Rate | None:
    if not pass_labels or not among.any():
        return None
    own_parts = [part for part, is_in in zip(parts, among, strict=True) if is_in] if parts else ()
    return rate(wrong[among], parts=own_parts)


def effective_rows(counted: NDArray[np.bool_] | NDArray[np.float64], parts: Sequence[str]) -> float:
    """Return how many independent rows N values are worth: N over the design effect; see ``rate``."""
    n_rows = len(counted)
    named = [part or f"\0{row}" for row, part in enumerate(parts)] if parts else [str(row) for row in range(n_rows)]
    _, codes = np.unique(np.array(named), return_inverse=True)
    n_parts = int(codes.max()) + 1
    residuals = counted - counted.mean()
    if n_parts == 1 or not residuals.any():
        return float(n_parts)
    between = _sum_of_squares(np.bincount(codes, residuals).astype(np.float64))
    return n_rows / max(between / _sum_of_squares(residuals), 1.0)


def _sum_of_squares(residuals: NDArray[np.float64]) -> float:
    n = len(residuals)
    return n / (n - 1) * float(residuals @ residuals)


def _wilson(share: float, n_rows: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    centre = (share + z * z / (2 * n_rows)) / (1 + z * z / n_rows)
    half = z / (1 + z * z / n_rows) * float(np.sqrt(share * (1 - share) / n_rows + z * z / (4 * n_rows**2)))
    return max(centre - half, 0.0), min(centre + half, 1.0)
