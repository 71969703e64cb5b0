"""Which rows calibrate: those that fits work on, those that are answered besides, and who is compared with whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.verdict.measuring import Sample

N_FOLDS = 5
MAX_QUERIES = 4000
"""Calibration rows that fits work on: more would sharpen no figure below a tenth of a point."""

MAX_ANSWERED = 12_000
"""Calibration rows that are answered, in whole parts: to promise 0.1 % takes 3,000 reject parts."""

MIN_QUERIES = 10
"""Fewer calibration rows than this say nothing."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Who is compared with whom: rows of a sample, ascending.

    Attributes
    ----------
    references : (R,)
    sampled, others : rows
        Queries that fits work on, and those that are answered besides.
    parts, folds : (N,)
        Of each query, the number of its part, and the fold of that part; -1 elsewhere.
    n_not_covered : int
        Queries left out because no reference bears their label.
    """

    references: NDArray[np.intp]
    sampled: NDArray[np.intp]
    others: NDArray[np.intp]
    parts: NDArray[np.intp]
    folds: NDArray[np.intp]
    n_not_covered: int


def choose_rows(
    sample: Sample, calibrates: NDArray[np.bool_], parts: Sequence[str], pass_labels: Sequence[int], seed: int
) -> Rows:
    """Return which rows of N calibrate what.

    Parameters
    ----------
    sample : Sample
        N rows.
    calibrates : (N,) bool
    parts : N texts
        An empty one is a part of its own.
    pass_labels : sequence of int
        Of reject parts as many as possible are answered.
    seed : int

    Raises
    ------
    CalibrationError
        If fewer than ``MIN_QUERIES`` calibration rows have a label that the references know.
    """
    rng = np.random.default_rng(seed)
    references, queries = np.flatnonzero(~calibrates), np.flatnonzero(calibrates)
    covered = queries[np.isin(sample.labels[queries], sample.labels[references])]
    if len(covered) < MIN_QUERIES:
        message = (
            f"{len(covered)} calibration rows whose label the {len(references)} fit references know, "
            f"expected at least {MIN_QUERIES}: the data needs more parts of each class"
        )
        raise CalibrationError(message)
    part_of = _part_numbers([parts[row] for row in covered.tolist()])
    answered = covered
    if len(covered) > MAX_ANSWERED:
        kept = _whole_parts(part_of, ~np.isin(sample.labels[covered], pass_labels), rng)
        answered, part_of = covered[kept], np.unique(part_of[kept], return_inverse=True)[1]
    sampled = answered
    if len(answered) > MAX_QUERIES:
        sampled = np.sort(rng.choice(answered, MAX_QUERIES, replace=False))
    numbers, folds = np.full((2, len(sample.labels)), -1, dtype=np.intp)
    numbers[answered] = part_of
    folds[answered] = rng.permutation(part_of.max() + 1)[part_of] % N_FOLDS
    others = np.setdiff1d(answered, sampled, assume_unique=True)
    return Rows(references, sampled, others, numbers, folds, len(queries) - len(covered))


def _whole_parts(part_of: NDArray[np.intp], is_reject: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return about ``MAX_ANSWERED`` rows, whole parts: at least half of them of parts with rejects, if there are."""
    order = rng.permutation(part_of.max() + 1)
    has_reject = np.zeros(len(order), dtype=bool)
    has_reject[part_of[is_reject]] = True
    sizes = np.bincount(part_of, minlength=len(order))
    rejects, others = order[has_reject[order]], order[~has_reject[order]]
    room = max(MAX_ANSWERED // 2, MAX_ANSWERED - int(sizes[others].sum()))
    rejects = rejects[np.cumsum(sizes[rejects]) <= room]
    others = others[np.cumsum(sizes[others]) <= MAX_ANSWERED - int(sizes[rejects].sum())]
    return np.flatnonzero(np.isin(part_of, np.concatenate([rejects, others])))


def pieces(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return some rows in pieces of ``MAX_QUERIES`` at most."""
    return [rows[first : first + MAX_QUERIES] for first in range(0, len(rows), MAX_QUERIES)]


def _part_numbers(parts: Sequence[str]) -> NDArray[np.intp]:
    names = [part or f"\0{row}" for row, part in enumerate(parts)]
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1]
