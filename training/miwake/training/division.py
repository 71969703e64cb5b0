"""Which rows training fits on, and which it only measures on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.splits import divide_for_calibration, held_out_split
from miwake.training.errors import TrainingDataError

if TYPE_CHECKING:
    from miwake.indexer.records import Records

FEWEST_CLASSES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """The training rows of a data set, divided by part.

    Attributes
    ----------
    fit : Records
        What the embedder is fitted on.
    calibration : Records
        Rows of other parts, that only measure; may be empty where there are too few parts.
    fingerprint : text
        SHA-256 over the row hashes of all training rows, in order.
    value_range : (low, high)
        What the data say, else what the training rows span.
    """

    fit: Records
    calibration: Records
    fingerprint: str
    value_range: tuple[float, float]


def divide(records: Records) -> TrainingRows:
    """Return the training rows of ``records``; its held-out rows are not among them.

    Raises
    ------
    TrainingDataError
        If there are no training rows, or the rows to fit are of one class only or all the same.
    """
    training = held_out_split(records)[0] if len(records) else records
    if len(training) == 0:
        message = f"{records.source}: no training rows among {len(records)}, expected some outside the split 'test'"
        raise TrainingDataError(message)
    is_calibration = divide_for_calibration(training.labels, training.parts)
    fit = training.take(~is_calibration)
    classes = np.unique(fit.labels)
    if len(classes) < FEWEST_CLASSES:
        message = f"{records.source}: the rows to fit have the labels {classes.tolist()}, expected two classes or more"
        raise TrainingDataError(message)
    return TrainingRows(
        fit=fit,
        calibration=training.take(is_calibration),
        fingerprint=hashlib.sha256("\n".join(training.row_hashes()).encode()).hexdigest(),
        value_range=_value_range(training),
    )


def _value_range(records: Records) -> tuple[float, float]:
    if records.value_range is not None:
        return records.value_range
    low, high = float(records.vectors.min()), float(records.vectors.max())
    if not low < high:
        message = f"{records.source}: every value is {low:g}, expected vectors that differ"
        raise TrainingDataError(message)
    return low, high
