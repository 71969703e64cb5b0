from __future__ import annotations

import numpy as np
import pytest

from miwake.training.audit.neighbours import (
    nearest_elsewhere,
    nearest_of_label,
    outlyingness,
    vote_log_probabilities,
)

POINTS = np.array([[0.0], [0.1], [1.0], [1.2], [9.0]], dtype=np.float32)
FOLDS = np.array([0, 0, 1, 1, 2], dtype=np.intp)


def test_neighbours_are_those_that_sorting_all_distances_finds() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(120, 6)).astype(np.float32)
    folds = rng.integers(0, 4, 120)

    nearest, distances = nearest_elsewhere(points, folds, 5)

    whole = np.linalg.norm(points[:, None].astype(float) - points, axis=2)
    whole[folds[:, None] == folds] = np.inf
    assert nearest.tolist() == np.argsort(whole, axis=1)[:, :5].tolist()
    # float32 squared distances, then the root: 1e-4 of a length of about 1.
    np.testing.assert_allclose(distances, np.sort(whole, axis=1)[:, :5], atol=1e-4)


def test_the_own_fold_never_answers_and_what_is_missing_is_told() -> None:
    nearest, distances = nearest_elsewhere(POINTS, FOLDS, 4)

    assert nearest[0].tolist() == [2, 3, 4, -1]
    assert nearest[4].tolist() == [3, 2, 1, 0]
    assert np.isinf(distances[0]).tolist() == [False, False, False, True]


def test_votes_are_shares_of_what_was_found() -> None:
    logs = vote_log_probabilities(np.array([[2, 3, 4, -1]]), np.array([0, 0, 1, 1, 0]), 2)

    assert np.exp(logs).tolist() == [pytest.approx([1.5 / 4, 2.5 / 4])]


def test_what_is_far_from_all_others_is_outlying() -> None:
    distances = np.random.default_rng(0).uniform(1, 2, (100, 5)).astype(np.float32)
    distances[17] *= 20

    far = outlyingness(distances)

    assert far.argmax() == 17
    assert far[17] > 3.5
    assert (np.delete(far, 17) < 3.5).all()


def test_what_has_no_neighbours_is_not_called_outlying() -> None:
    assert outlyingness(np.full((3, 5), np.inf, dtype=np.float32)).tolist() == [0, 0, 0]


def test_the_nearest_of_a_label_is_of_another_fold() -> None:
    labels = np.array([7, 7, 7, 3, 7], dtype=np.int32)

    assert nearest_of_label(POINTS, FOLDS, labels, 0, 7) == 2
    assert nearest_of_label(POINTS, FOLDS, labels, 3, 3) is None
