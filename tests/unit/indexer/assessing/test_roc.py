from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.assessing.roc import FALSE_RATES, AtRate, detection, is_measurable, separation


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_the_area_is_the_share_of_genuine_pairs_nearer_than_impostors() -> None:
    found = separation(floats(1, 2, 3, 4), np.array([True, False, True, False]))
    assert (found.n_genuine, found.n_impostor) == (2, 2)
    assert found.auc == 0.75


def test_equal_errors_lie_where_false_accepts_meet_false_rejects() -> None:
    found = separation(floats(1, 2, 3, 4), np.array([True, False, True, False]))
    assert found.equal_error_rate == 0.5


def test_equal_errors_between_two_thresholds_are_interpolated() -> None:
    # Steps of (false accepts, false rejects): (0, 1/3), then (1, 0); they meet at 1/4.
    found = separation(floats(1, 1, 2, 2), np.array([True, True, True, False]))
    assert found.equal_error_rate == pytest.approx(0.25, abs=1e-12)


def test_errors_that_meet_within_a_step_of_rejects_are_the_false_accepts() -> None:
    # In this order of distance: three genuine, two of ten impostors, the last genuine, the other impostors.
    order = np.array([True] * 3 + [False] * 2 + [True] + [False] * 8)
    assert separation(np.arange(14, dtype=np.float32), order).equal_error_rate == pytest.approx(0.2, abs=1e-12)


def test_perfect_distances_have_no_equal_error() -> None:
    found = separation(floats(1, 1, 2, 3), np.array([True, True, False, False]))
    assert (found.auc, found.equal_error_rate) == (1.0, 0.0)


def test_true_accepts_are_told_where_the_impostors_suffice() -> None:
    distances = np.concatenate([np.arange(1, 11), [0.1, 0.5, 1.5, 20.0]]).astype(np.float32)
    found = separation(distances, np.arange(14) >= 10)
    assert found.true_accepts == (AtRate(0.1, 0.75), AtRate(0.01, None), AtRate(0.001, None))


def test_a_tie_is_accepted_or_rejected_as_a_whole() -> None:
    found = separation(np.ones(20, dtype=np.float32), np.arange(20) < 10)
    assert (found.auc, found.true_accepts[0]) == (0.5, AtRate(0.1, 0.0))


@pytest.mark.parametrize("is_genuine", [True, False])
def test_pairs_of_one_kind_say_nothing(is_genuine: bool) -> None:
    found = separation(floats(1, 2), np.full(2, is_genuine))
    assert (found.auc, found.equal_error_rate, found.curve) == (None, None, ())
    assert found.true_accepts == tuple(AtRate(rate, None) for rate in FALSE_RATES)


def test_a_curve_climbs_from_few_false_accepts_to_all() -> None:
    rng = np.random.default_rng(0)
    curve = separation(rng.uniform(size=500).astype(np.float32), rng.uniform(size=500) < 0.5).curve
    true = [one.true_rate for one in curve if one.true_rate is not None]
    assert true == sorted(true)
    assert curve[-1] == AtRate(1.0, 1.0)


def test_rates_agree_with_trying_every_threshold() -> None:
    rng = np.random.default_rng(4)
    is_genuine = rng.uniform(size=3000) < 0.3
    distances = np.round(rng.normal(1.5 - is_genuine, 1), 2).astype(np.float32)
    found = separation(distances, is_genuine, with_curve=False)
    assert [one.true_rate for one in found.true_accepts] == [
        slow_rate(distances, is_genuine, one) for one in FALSE_RATES
    ]


def slow_rate(distances: np.ndarray, is_genuine: np.ndarray, allowed: float) -> float:
    genuine, impostor = distances[is_genuine], distances[~is_genuine]
    return max(
        [float((genuine <= one).mean()) for one in np.unique(distances) if (impostor <= one).mean() <= allowed],
        default=0.0,
    )


@pytest.mark.parametrize(("rate", "n_rows", "can_be"), [(0.1, 10, True), (0.1, 9, False), (0.001, 1000, True)])
def test_a_rate_is_measurable_if_one_row_is_no_more(rate: float, n_rows: int, can_be: bool) -> None:
    assert is_measurable(rate, n_rows) is can_be


def test_what_is_new_is_found_at_the_cost_of_false_alarms() -> None:
    known, new = np.arange(20.0), np.array([18.5] * 19 + [0.5])
    found = detection(np.concatenate([known, new]), np.arange(40) >= 20)
    assert (found.n_novel, found.n_known) == (20, 20)
    assert found.auroc == pytest.approx((19 * 0.95 + 0.05) / 20, abs=1e-12)
    assert found.fpr95 == 0.05
    assert found.missed_at_5 == pytest.approx(0.05, abs=1e-12)


def test_the_new_that_are_missed_are_counted_at_one_alarm_in_twenty() -> None:
    found = detection(np.concatenate([np.arange(20.0), [18.5] * 10, [16.5] * 10]), np.arange(40) >= 20)
    assert found.fpr95 == pytest.approx(0.15, abs=1e-12)
    assert found.missed_at_5 == pytest.approx(0.5, abs=1e-12)


def test_to_find_95_in_100_is_to_find_enough() -> None:
    found = detection(np.array([2.0] * 18 + [0.0] * 2 + [1.0] * 20), np.arange(40) < 20)
    assert found.fpr95 == 1.0
