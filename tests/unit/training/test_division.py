from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from miwake.training.division import divide
from miwake.training.errors import TrainingDataError
from support.blobs import blob_records


def test_held_out_rows_are_neither_fitted_nor_calibrated_on() -> None:
    records = blob_records(60)
    rows = divide(records)
    held_out = {row for row, side in zip(records.ids, records.splits, strict=True) if side == "test"}
    assert not held_out & {*rows.fit.ids, *rows.calibration.ids}
    assert len(rows.fit) + len(rows.calibration) == len(records) - len(held_out)


def test_no_part_is_both_fitted_and_calibrated_on() -> None:
    rows = divide(blob_records(60))
    assert len(rows.calibration) > 0
    assert not set(rows.fit.parts) & set(rows.calibration.parts)


def test_the_value_range_is_what_the_data_say_else_what_the_training_rows_span() -> None:
    records = blob_records(60)
    assert divide(records).value_range == (0.0, 255.0)
    unsaid = replace(records, value_range=None)
    training = unsaid.vectors[np.array(unsaid.splits) == "train"]
    assert divide(unsaid).value_range == (float(training.min()), float(training.max()))


def test_the_fingerprint_changes_with_any_value_of_a_training_row() -> None:
    records = blob_records(60)
    vectors = records.vectors.copy()
    vectors[0, 0] += 1
    assert divide(records).fingerprint == divide(blob_records(60)).fingerprint
    assert divide(records).fingerprint != divide(replace(records, vectors=vectors)).fingerprint


def test_only_held_out_rows_leave_nothing_to_train_on() -> None:
    records = blob_records(60)
    with pytest.raises(TrainingDataError, match=r"blobs \(seed 0\): no training rows among 120"):
        divide(replace(records, splits=("test",) * len(records)))


def test_no_rows_at_all_leave_nothing_to_train_on() -> None:
    records = blob_records(60)
    with pytest.raises(TrainingDataError, match="no training rows among 0"):
        divide(records.take(np.zeros(len(records), dtype=np.bool_)))


def test_one_class_alone_cannot_be_told_from_another() -> None:
    with pytest.raises(TrainingDataError, match=r"have the labels \[3\], expected two classes or more"):
        divide(blob_records(60, labels=(3,)))


def test_vectors_that_are_all_one_value_have_no_range() -> None:
    records = blob_records(60)
    with pytest.raises(TrainingDataError, match="every value is 7"):
        divide(replace(records, vectors=np.full_like(records.vectors, 7.0), value_range=None))
