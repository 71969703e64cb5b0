"""Which rows of a store an embedder was fitted on, and which can therefore be used to calibrate an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import CalibrationError
from miwake.indexer.splits import divide_for_calibration

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

NEW_CLASS_SHARE = 1 / 3
"""Of the parts of a class that the embedder never saw, the share that calibrates; the others are its references."""


def calibration_rows(
    row_hashes: Sequence[str],
    parts: Sequence[str],
    labels: NDArray[np.int32],
    fit_row_hashes: Collection[str],
) -> NDArray[np.bool_]:
    """Return which of N rows calibrate, (N,) bool; the others are the references they are compared with.

    A row calibrates if the embedder was fitted neither on it nor on any row of its part. Rows of a class that the
    embedder was not fitted on at all are divided by part, so that the class has references too. Where the embedder
    was fitted on none of the rows, all are divided by part.

    Raises
    ------
    CalibrationError
        If the embedder was fitted on every part.
    """
    fitted = frozenset(fit_row_hashes)
    is_fit: NDArray[np.bool_] = np.fromiter((one in fitted for one in row_hashes), dtype=bool, count=len(row_hashes))
    if not is_fit.any():
        return divide_for_calibration(labels, parts)
    fit_parts = {part for part, fit in zip(parts, is_fit, strict=True) if fit and part}
    seen = is_fit | np.fromiter((part in fit_parts for part in parts), dtype=bool, count=len(parts))
    if seen.all():
        message = (
            f"the embedder was fitted on every part of the {len(labels)} references: "
            "calibration needs parts that it has not seen"
        )
        raise CalibrationError(message)
    calibrates: NDArray[np.bool_] = ~seen
    is_new = calibrates & ~np.isin(labels, labels[seen])
    rows = np.flatnonzero(is_new)
    if len(rows):
        drawn = divide_for_calibration(labels[rows], [parts[row] for row in rows.tolist()], share=NEW_CLASS_SHARE)
        calibrates[rows] = drawn
    return calibrates
