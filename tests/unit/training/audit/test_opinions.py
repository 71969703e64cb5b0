from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from miwake.training.audit.folds import N_FOLDS
from miwake.training.audit.opinions import (
    JITTER,
    RIDGE,
    Descriptions,
    describe,
    log_probabilities,
    out_of_part_scores,
)
from support.blobs import blob_records


def test_scores_are_those_of_a_model_fitted_without_the_fold() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(200, 2)).astype(np.float32)
    columns = (points[:, 0] > 0).astype(np.intp)
    folds = np.arange(200) % N_FOLDS
    landmarks = np.arange(0, 200, 10)
    kernel = np.exp(-((points[:, None] - points[landmarks]) ** 2).sum(axis=2) / 2)

    scores = out_of_part_scores(Descriptions(kernel, landmarks, points), columns, 2, folds)

    fitted = folds != 3
    counts = np.bincount(columns)
    weights = (1 / np.sqrt(counts))[columns]
    weights /= weights.mean()
    targets = np.where(columns[:, None] == np.arange(2), 1.0, -1.0)
    left = (kernel[fitted].T * weights[fitted]) @ kernel[fitted]
    left += RIDGE * kernel[landmarks] + JITTER * 200 * np.eye(len(landmarks))
    plain = kernel[~fitted] @ np.linalg.solve(left, (kernel[fitted].T * weights[fitted]) @ targets[fitted])
    # Sums of float32 against float64, amplified by a system that is regularised a little only.
    np.testing.assert_allclose(scores[~fitted], plain, atol=1e-2)


def test_probabilities_sum_to_one_and_follow_how_often_scores_are_right() -> None:
    rng = np.random.default_rng(4)
    columns = rng.integers(0, 2, 4000)
    told = np.where(rng.random(4000) < 0.8, columns, 1 - columns)
    scores = np.where(told[:, None] == np.arange(2), 0.3, -0.3)

    shares = np.exp(log_probabilities(scores, columns))

    assert shares.sum(axis=1) == pytest.approx(np.ones(4000), abs=1e-5)
    assert shares.max(axis=1).mean() == pytest.approx((told == columns).mean(), abs=0.01)


@pytest.mark.parametrize("shape", [(2, 2), (1, 40), (7, 3), (90, 80)])
def test_maps_of_any_shape_are_described(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    records = blob_records(15)
    vectors = rng.uniform(0, 255, (30, shape[0] * shape[1])).astype(np.float32)

    described = describe(replace(records, vectors=vectors, heat_map_shape=shape), 255.0)

    assert described.kernel.shape == (30, 30)
    assert np.isfinite(described.kernel).all()
    assert np.isfinite(described.compact).all()


def test_descriptions_repeat_to_the_last_bit() -> None:
    records = blob_records(30)

    first, second = describe(records, 255.0), describe(records, 255.0)

    assert np.array_equal(first.kernel, second.kernel)
    assert np.array_equal(first.compact, second.compact)
