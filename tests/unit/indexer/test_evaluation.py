from __future__ import annotations

import json

import numpy as np
import pytest

from miwake.indexer import evaluation

TRUTH = np.array([0, 0, 0, 0, 1, 1, 2, 2], dtype=np.int32)
FOUND = np.array([0, 0, 0, 1, 1, 0, 2, 1], dtype=np.int32)


def test_a_reject_labelled_as_pass_is_an_escape() -> None:
    escape = evaluation.escape_rate(TRUTH, FOUND, [0])
    assert escape is not None
    assert (escape.n_counted, escape.n_rows, escape.value) == (1, 4, 0.25)


def test_a_pass_labelled_as_reject_is_an_overkill() -> None:
    overkill = evaluation.overkill_rate(TRUTH, FOUND, [0])
    assert overkill is not None
    assert (overkill.n_counted, overkill.n_rows, overkill.value) == (1, 4, 0.25)


def test_confusing_two_kinds_of_reject_is_neither_escape_nor_overkill() -> None:
    found = np.where(TRUTH == 2, 1, TRUTH).astype(np.int32)
    result = evaluation.evaluate(TRUTH, found, pass_labels=[0])
    assert result.escape is not None
    assert result.overkill is not None
    assert (result.escape.n_counted, result.overkill.n_counted, result.accuracy.value) == (0, 0, 0.75)


def test_confusing_two_pass_labels_is_no_overkill() -> None:
    overkill = evaluation.overkill_rate(TRUTH, FOUND, [0, 1])
    assert overkill is not None
    assert overkill.n_counted == 0


def test_without_pass_labels_there_is_neither_escape_nor_overkill() -> None:
    result = evaluation.evaluate(TRUTH, FOUND)
    assert (result.escape, result.overkill) == (None, None)


def test_without_rejects_there_is_no_escape_rate() -> None:
    passes = np.zeros(3, dtype=np.int32)
    assert evaluation.escape_rate(passes, passes, [0]) is None


def test_accuracy_is_the_share_of_rows_and_balanced_accuracy_that_of_classes() -> None:
    assert evaluation.accuracy(TRUTH, FOUND) == pytest.approx(5 / 8)
    assert evaluation.balanced_accuracy(TRUTH, FOUND) == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)


def test_a_label_that_was_only_found_takes_no_part_in_the_means() -> None:
    truth = np.array([0, 0, 1], dtype=np.int32)
    found = np.array([0, 9, 1], dtype=np.int32)
    assert evaluation.balanced_accuracy(truth, found) == pytest.approx(0.75)
    assert evaluation.macro_f1(truth, found) == pytest.approx((2 / 3 + 1) / 2)


def test_confusion_has_truth_in_rows_and_every_label_that_occurs() -> None:
    labels, counts = evaluation.confusion(np.array([0, 5], dtype=np.int32), np.array([7, 5], dtype=np.int32))
    assert labels.tolist() == [0, 5, 7]
    assert counts.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_overconfidence_is_the_calibration_error() -> None:
    probabilities = np.full(10, 0.9)
    right = np.array([True] * 5 + [False] * 5)
    assert evaluation.expected_calibration_error(probabilities, right) == pytest.approx(0.4)


def test_a_probability_of_one_falls_into_the_last_bin() -> None:
    assert evaluation.expected_calibration_error(np.ones(4), np.ones(4, dtype=np.bool_)) == 0.0


def test_the_interval_is_wilsons_where_every_row_is_its_own_part() -> None:
    found = evaluation.rate(np.array([True] * 10 + [False] * 90))
    # Wilson score interval of 10 in 100 at 95 %, to the four digits of the published tables
    assert (found.low, found.high) == pytest.approx((0.0552, 0.1744), abs=5e-5)


def test_rows_of_one_part_that_fail_together_widen_the_interval() -> None:
    counted = np.array([True] * 10 + [False] * 90)
    parts = [f"part {row // 10}" for row in range(100)]
    alone = evaluation.rate(counted)
    together = evaluation.rate(counted, parts=parts)
    assert together.value == alone.value
    assert together.high > alone.high + 0.1


def test_no_error_in_few_parts_still_leaves_doubt() -> None:
    counted = np.zeros(1000, dtype=np.bool_)
    parts = [f"part {row % 5}" for row in range(1000)]
    assert evaluation.rate(counted, parts=parts).high > 0.4


def test_rows_without_a_part_count_as_parts_of_their_own() -> None:
    counted = np.array([True] * 10 + [False] * 90)
    assert evaluation.rate(counted, parts=[""] * 100) == evaluation.rate(counted)


def test_an_evaluation_is_plain_json() -> None:
    result = evaluation.evaluate(TRUTH, FOUND, pass_labels=[0], probabilities=np.full(8, 0.5), parts=["a", "b"] * 4)
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert stored["escape"]["n_rows"] == 4
    assert stored["confusion"] == [[3, 1, 0], [1, 1, 0], [0, 1, 1]]


def test_nothing_to_evaluate_is_refused() -> None:
    nothing = np.zeros(0, dtype=np.int32)
    with pytest.raises(ValueError, match="no rows"):
        evaluation.evaluate(nothing, nothing)
