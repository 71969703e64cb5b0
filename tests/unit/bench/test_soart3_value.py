"""What the bench of SOART3's worth computes itself, beside plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from bench.soart3_value.resampled import auroc, escapes_at, interval_of
from bench.soart3_value.residuals import _against, _moved
from miwake.indexer.soart3 import plain as soart3

RNG = np.random.default_rng(0)
SCORES = RNG.integers(0, 12, 60).astype(np.float64)
IS_ONE = RNG.random(60) < 0.4
TIMES = RNG.integers(0, 3, 60)


def test_a_resampled_auroc_is_that_of_rows_drawn_as_often() -> None:
    rows = np.repeat(np.arange(60), TIMES)
    weights = np.vstack([np.ones(60), TIMES.astype(np.float64)])
    expected = [metrics.roc_auc_score(IS_ONE, SCORES), metrics.roc_auc_score(IS_ONE[rows], SCORES[rows])]
    assert auroc(SCORES, IS_ONE, weights) == pytest.approx(expected, abs=1e-12)


def test_escapes_at_a_matched_overkill_are_those_of_the_best_threshold() -> None:
    scores = np.random.default_rng(1).permutation(60).astype(np.float64)
    expected = min(
        float((scores[IS_ONE] < bound).mean()) for bound in range(61) if (scores[~IS_ONE] >= bound).mean() <= 0.1
    )
    assert escapes_at(scores, IS_ONE, 0.1, np.ones((1, 60))) == pytest.approx([expected], abs=1e-12)


def test_the_interval_leaves_the_figure_of_all_rows_out() -> None:
    found = interval_of(np.array([9.0, *np.linspace(0, 1, 201)]))
    assert (found.value, found.low, found.high) == pytest.approx((9.0, 0.025, 0.975))


def test_a_map_that_was_moved_is_compared_where_it_lies() -> None:
    mean = np.random.default_rng(2).random(8 * 9)
    seen = 0.8 * _moved(mean, (8, 9))[3]
    found = _against(seen[None], mean, (8, 9))[0]
    assert found[:3] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found[6] == pytest.approx(0.2, abs=1e-9)


def test_the_residual_features_hold_the_measures_of_soart3() -> None:
    random = np.random.default_rng(3)
    mean, maps = random.random(8 * 9), random.random((4, 8 * 9))
    moved = _moved(mean, (8, 9))
    expected = soart3.measures(maps, np.broadcast_to(moved, (4, *moved.shape)))
    found = _against(maps, mean, (8, 9))
    best = expected.eta.argmin(axis=1)
    for column, values in ((6, np.abs(expected.beta - 1)), (7, expected.eta), (8, expected.gamma)):
        assert found[:, column] == pytest.approx(values[np.arange(4), best], abs=1e-4)
