from __future__ import annotations

import numpy as np
import pytest

from miwake.training.retrieval import anchor_labels, novelty, retrieval_score, vote_labels

LINE = np.array([[0.0], [0.1], [0.2], [5.0], [5.1]], dtype=np.float32)
LABELS = np.array([3, 3, 3, 8, 8], dtype=np.int32)


def test_the_nearest_references_vote() -> None:
    found, shares = vote_labels(np.array([[0.05], [5.0]], dtype=np.float32), LINE, LABELS, n_voting=3)
    assert found.tolist() == [3, 8]
    assert shares == pytest.approx([1.0, 2 / 3], abs=1e-5)


def test_a_tie_goes_to_the_class_of_the_nearest() -> None:
    found, _ = vote_labels(np.array([[3.0]], dtype=np.float32), LINE[2:4], LABELS[2:4], n_voting=2)
    assert found.tolist() == [8]


def test_references_of_the_querys_own_part_do_not_vote() -> None:
    found, _ = vote_labels(
        LINE[:1], LINE, LABELS, query_parts=["a"], reference_parts=["a", "a", "a", "b", "b"], n_voting=3
    )
    assert found.tolist() == [8]


def test_rows_without_a_part_are_not_one_part() -> None:
    found, _ = vote_labels(LINE[:1], LINE, LABELS, query_parts=[""], reference_parts=[""] * 5, n_voting=3)
    assert found.tolist() == [3]


def test_more_votes_than_references_are_those_there_are() -> None:
    found, shares = vote_labels(LINE[:1], LINE, LABELS, n_voting=15)
    assert found.tolist() == [3]
    assert shares == pytest.approx([0.6], abs=1e-5)


def test_the_nearest_anchor_gives_its_label() -> None:
    anchors = np.array([[0.0, 0.0], [1.0, 0.0]], dtype=np.float32)
    queries = np.array([[0.4, 0.0], [9.0, 1.0]], dtype=np.float32)
    assert anchor_labels(queries, anchors, np.array([5, 6], dtype=np.int32)).tolist() == [5, 6]


def test_novelty_is_the_mean_distance_to_the_five_nearest() -> None:
    assert novelty(np.array([[0.0]], dtype=np.float32), LINE) == pytest.approx([2.08], abs=1e-5)


def test_the_score_weighs_rows_and_classes_alike() -> None:
    queries = np.array([[0.0], [0.1], [0.2], [0.1]], dtype=np.float32)
    truth = np.array([3, 3, 3, 8], dtype=np.int32)
    score = retrieval_score(queries, truth, LINE[:4], LABELS[:4])
    assert (score.accuracy, score.balanced_accuracy, score.value) == (0.75, 0.5, 0.625)
