import math

import numpy as np
import pytest
from scipy.stats import binom

from miwake.indexer.verdict.promises import (
    EVEN,
    PASS_GRID,
    REJECT_GRID,
    conformal_quantile,
    parts_needed,
    pass_threshold,
    quantile_parts_needed,
    reject_threshold,
    upper_bound,
)


@pytest.mark.parametrize(
    ("n_failed", "n_parts", "expected"),
    [(0, 59, 0.0495), (0, 299, 0.00997), (1, 93, 0.0500), (3, 100, 0.0757), (10, 10, 1.0), (0, 0, 1.0)],
)
def test_bounds_are_those_of_clopper_and_pearson(n_failed: int, n_parts: int, expected: float) -> None:
    assert upper_bound(n_failed, n_parts) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(("n_failed", "n_parts"), [(0, 20), (2, 40), (7, 300)])
def test_under_the_bound_so_few_failures_are_one_in_twenty(n_failed: int, n_parts: int) -> None:
    assert binom.cdf(n_failed, n_parts, upper_bound(n_failed, n_parts)) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(
    ("rate", "n_failed", "expected"), [(0.001, 0, 2995), (0.01, 0, 299), (0.05, 0, 59), (0.05, 1, 93), (0.01, 3, 773)]
)
def test_what_a_promise_takes_is_the_least_number_that_shows_it(rate: float, n_failed: int, expected: int) -> None:
    assert parts_needed(rate, n_failed=n_failed) == expected
    assert upper_bound(n_failed, expected) <= rate < upper_bound(n_failed, expected - 1)


def test_grids_run_from_strict_to_even() -> None:
    assert (np.diff(PASS_GRID) > 0).all()
    assert (np.diff(REJECT_GRID) < 0).all()
    assert PASS_GRID[-1] == REJECT_GRID[-1] == EVEN


class TestPassThreshold:
    def test_it_stays_below_the_reject_that_would_break_the_promise(self) -> None:
        scores = np.append(np.full(99, np.inf), 0.2)

        found = pass_threshold(scores, 0.03)

        assert found.is_kept
        assert (found.n_failed, found.n_parts) == (0, 100)
        assert 0.18 < found.threshold < 0.2

    def test_it_goes_past_as_many_as_the_promise_allows(self) -> None:
        found = pass_threshold(np.append(np.full(99, np.inf), 0.2), 0.05)

        assert (found.is_kept, found.n_failed, found.threshold) == (True, 1, EVEN)
        assert found.bound == pytest.approx(upper_bound(1, 100))

    def test_too_few_parts_are_told_with_what_they_can_show(self) -> None:
        found = pass_threshold(np.append(np.full(99, np.inf), 0.2), 0.001)

        assert not found.is_kept
        assert found.bound == pytest.approx(upper_bound(0, 100))
        assert 0.18 < found.threshold < 0.2

    def test_a_reject_surer_than_the_strictest_threshold_counts_at_all(self) -> None:
        found = pass_threshold(np.append(np.full(99, np.inf), 1e-9), 0.03)

        assert (found.is_kept, found.n_failed) == (False, 1)

    def test_without_parts_nothing_is_kept(self) -> None:
        found = pass_threshold(np.empty(0), 0.5)

        assert (found.is_kept, found.bound) == (False, 1.0)

    def test_a_score_on_the_threshold_passes(self) -> None:
        on_the_grid = float(PASS_GRID[100])

        found = pass_threshold(np.append(np.full(99, np.inf), on_the_grid), 0.03)

        assert found.threshold == PASS_GRID[99]


class TestRejectThreshold:
    def test_it_stays_above_the_pass_that_would_break_the_promise(self) -> None:
        found = reject_threshold(np.append(np.full(99, -np.inf), 0.8), 0.03)

        assert (found.is_kept, found.n_failed) == (True, 0)
        assert 0.8 < found.threshold < 0.82

    def test_a_score_on_the_threshold_is_rejected(self) -> None:
        on_the_grid = float(REJECT_GRID[100])

        found = reject_threshold(np.append(np.full(99, -np.inf), on_the_grid), 0.03)

        assert found.threshold == REJECT_GRID[99]


class TestConformalQuantile:
    def test_with_one_row_a_part_it_is_the_usual_one(self) -> None:
        scores = np.arange(199, dtype=np.float64)

        assert conformal_quantile(scores, np.arange(199), 0.01) == 197  # the 198th of 199: ceil(200 x 0.99)

    def test_every_part_weighs_alike(self) -> None:
        scores = np.concatenate([np.arange(99.0), np.full(1000, 500.0)])
        parts = np.concatenate([np.arange(99), np.full(1000, 99)])

        assert conformal_quantile(scores, parts, 0.05) == 95

    def test_too_few_parts_tell_nothing(self) -> None:
        assert conformal_quantile(np.arange(98.0), np.arange(98), 0.01) == math.inf
        assert conformal_quantile(np.arange(99.0), np.arange(99), 0.01) == 98

    @pytest.mark.parametrize(("false_alarms", "expected"), [(0.01, 99), (0.05, 19), (0.001, 999)])
    def test_it_says_how_many_would_do(self, false_alarms: float, expected: int) -> None:
        assert quantile_parts_needed(false_alarms) == expected
