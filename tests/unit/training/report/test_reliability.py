from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.evaluation import expected_calibration_error
from miwake.training.report.reliability import calibration_error, reliability


def test_the_bins_show_the_calibration_error_that_an_evaluation_tells() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(500) ** 0.3
    right = rng.random(500) < probabilities**2

    bins = reliability(probabilities, right, ())

    assert calibration_error(bins) == pytest.approx(expected_calibration_error(probabilities, right), abs=1e-12)
    assert sum(one.right.n_rows for one in bins) == 500
    assert all(one.low <= one.probability <= one.high for one in bins)


def test_a_certain_answer_is_in_the_last_bin_and_empty_bins_are_left_out() -> None:
    bins = reliability(np.array([1.0, 0.99, 0.0]), np.array([True, False, False]), ("a", "a", "b"))

    assert [(round(one.low, 3), one.right.n_counted, one.right.n_rows) for one in bins] == [(0.0, 0, 1), (0.933, 1, 2)]
