from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.training.report.pass_and_reject import gap, trade_off


def plain_trade_off(probabilities: list[float], is_reject: list[bool], bound: float) -> tuple[float, float]:
    """Return overkill and escape where what reaches a bound is a reject."""
    passes = [one for one, reject in zip(probabilities, is_reject, strict=True) if not reject]
    rejects = [one for one, reject in zip(probabilities, is_reject, strict=True) if reject]
    return sum(one >= bound for one in passes) / len(passes), sum(one < bound for one in rejects) / len(rejects)


def test_every_bound_costs_what_counting_by_hand_gives() -> None:
    rng = np.random.default_rng(0)
    is_reject = rng.random(60) < 0.6
    probabilities = np.clip(rng.normal(0.3 + 0.4 * is_reject, 0.2), 0, 1).astype(np.float64).round(2)

    found = trade_off(probabilities, is_reject)

    assert found is not None
    bounds = [-1.0, *sorted(set(probabilities.tolist())), 2.0]
    expected = [plain_trade_off(probabilities.tolist(), is_reject.tolist(), bound) for bound in bounds]
    np.testing.assert_allclose(np.column_stack([found.overkill, found.escape]), expected, rtol=0, atol=1e-12)
    assert found.escape_at(0.1) == min(escape for overkill, escape in expected if overkill <= 0.1)


def test_perfect_probabilities_let_nothing_escape_and_have_all_the_area() -> None:
    found = trade_off(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))

    assert found is not None
    assert found.separation.auc == 1.0
    assert found.escape_at(0.0) == 0.0


@pytest.mark.parametrize("is_reject", [[True, True], [False, False]])
def test_without_passes_or_rejects_there_is_no_trade_off(is_reject: list[bool]) -> None:
    assert trade_off(np.array([0.1, 0.9]), np.array(is_reject)) is None


def clouds(n_each: int, apart: float, n_dimensions: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    is_reject = np.repeat([False, True], n_each)
    points = rng.normal(0, 1, (2 * n_each, n_dimensions))
    points[is_reject, 0] += apart
    return points.astype(np.float32), is_reject


@pytest.mark.parametrize("apart", [1.0, 3.0])
@pytest.mark.parametrize("n_dimensions", [1, 6])
def test_the_gap_of_normal_clouds_is_how_far_apart_they_are(apart: float, n_dimensions: int) -> None:
    found = gap(*clouds(20_000, apart, n_dimensions, 0), *clouds(20_000, apart, n_dimensions, 1))

    assert found is not None
    assert found.d_prime == pytest.approx(apart, abs=0.05)  # five standard errors of 20,000 rows
    assert (found.n_passes, found.n_rejects) == (20_000, 20_000)


def test_clouds_that_are_one_have_no_gap_however_the_references_look() -> None:
    found = gap(*clouds(2_000, 0.0, 20, 0), *clouds(30, 0.0, 20, 1))  # 20 dimensions: a direction always fits 60 rows

    assert found is not None
    assert found.d_prime < 0.15


def test_a_single_reject_has_no_gap() -> None:
    points, is_reject = clouds(5, 1.0, 2, 0)

    assert gap(points[:6], is_reject[:6], points, is_reject) is None
