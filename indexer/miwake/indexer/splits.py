"""Dividing records so that no part stands on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.records import Records

HELD_OUT_SHARE = 0.2
"""Parts held out for testing where the data name no split."""

CALIBRATION_SHARE = 1 / 7
"""Parts kept from fitting; what the measured reference figures were taken with."""


def held_out_split(records: Records, *, share: float = HELD_OUT_SHARE, seed: int = 0) -> tuple[Records, Records]:
    """Return (training, test) records, whole parts on either side.

    The split that the records name is obeyed. Where none of them names one, or all of them say ``train``, whole parts
    are drawn: the share ``share`` of the parts of each class, at least one where a class has two.
    Where all say ``test``, nothing is left for training.

    Raises
    ------
    DataError
        If only some rows name their split, or a part is named on both sides.
    """
    sides = np.array(records.splits, dtype=object)
    if np.any(sides != ""):
        _refuse_half_named(records, sides)
    is_test = sides == "test"
    if not is_test.any():
        is_test = _draw_parts(records.labels, records.parts, share, seed)
    return records.take(~is_test), records.take(is_test)


def divide_for_calibration(
    labels: NDArray[np.int32], parts: Sequence[str], *, share: float = CALIBRATION_SHARE, seed: int = 0
) -> NDArray[np.bool_]:
    """Return which of N training rows are for calibration, whole parts, (N,) bool; the others are for fitting.

    Each part counts for the rarest label it has; of the parts of each label the share ``share`` is drawn, at least one
    where there are two, none where there is one. A row without a part is a part of its own. The order of the rows
    does not change which of the named parts are drawn.

    Parameters
    ----------
    labels : (N,) int32
    parts : N texts
    share : float
        Between 0 and 1.
    seed : int
    """
    return _draw_parts(labels, parts, share, seed)


def _refuse_half_named(records: Records, sides: NDArray[np.object_]) -> None:
    unnamed = np.flatnonzero(sides == "")
    if len(unnamed):
        message = (
            f"{records.source}: {len(unnamed):,} of {len(records):,} rows name no split, the first is row {unnamed[0]} "
            f"({records.ids[unnamed[0]]}); expected train or test in all of them"
        )
        raise DataError(message)
    first: dict[str, int] = {}
    for row, (part, side) in enumerate(zip(records.parts, records.splits, strict=True)):
        before = first.setdefault(part, row)
        if part and records.splits[before] != side:
            message = (
                f"{records.source}: part {part!r} is in both splits, rows {before} ({records.ids[before]}) and {row} "
                f"({records.ids[row]}), expected whole parts"
            )
            raise DataError(message)


def _draw_parts(labels: NDArray[np.int32], parts: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    if not 0 < share < 1:
        message = f"share {share}, expected a number between 0 and 1"
        raise ValueError(message)
    part_of_row, n_parts = _number_parts(parts)
    class_of_part = _rarest_labels(labels, part_of_row, n_parts)
    is_drawn = np.zeros(n_parts, dtype=np.bool_)
    rng = np.random.default_rng(seed)
    for label in np.unique(class_of_part):
        members = rng.permutation(np.flatnonzero(class_of_part == label))
        n_drawn = min(max(round(len(members) * share), 1), len(members) - 1)
        is_drawn[members[:n_drawn]] = True
    return is_drawn[part_of_row]


def _number_parts(parts: Sequence[str]) -> tuple[NDArray[np.intp], int]:
    """Return each row's part as a number, in the order of the parts' names, and how many parts there are."""
    named = sorted({part for part in parts if part})
    number = {part: position for position, part in enumerate(named)}
    n_parts = len(named)
    numbers = np.empty(len(parts), dtype=np.intp)
    for row, part in enumerate(parts):
        if part:
            numbers[row] = number[part]
        else:
            numbers[row] = n_parts
            n_parts += 1
    return numbers, n_parts


def _rarest_labels(labels: NDArray[np.int32], part_of_row: NDArray[np.intp], n_parts: int) -> NDArray[np.int32]:
    found, position, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(found), dtype=np.intp)
    rank[np.lexsort((found, counts))] = np.arange(len(found))
    best = np.full(n_parts, len(found), dtype=np.intp)
    np.minimum.at(best, part_of_row, rank[position])
    return found[np.argsort(rank)][best].astype(np.int32)
