from __future__ import annotations

import numpy as np

from miwake.training.audit.folds import N_FOLDS, assign_folds, bound_together


def test_rows_of_one_part_belong_together() -> None:
    bound = bound_together(("a", "b", "a", "", ""), [])

    assert bound[0] == bound[2]
    assert len(np.unique(bound)) == 4


def test_copies_bind_their_parts_together() -> None:
    bound = bound_together(("a", "b", "b", "c", ""), [[0, 1], [2, 4]])

    assert len(np.unique(bound[[0, 1, 2, 4]])) == 1
    assert bound[3] != bound[0]


def test_no_part_is_in_two_folds() -> None:
    parts = np.random.default_rng(0).integers(0, 40, 300)
    labels = np.random.default_rng(1).integers(0, 4, 300).astype(np.int32)

    folds = assign_folds(labels, bound_together([str(part) for part in parts], []))

    assert len(np.unique(np.column_stack([parts, folds]), axis=0)) == len(np.unique(parts))
    assert np.unique(folds).tolist() == list(range(N_FOLDS))


def test_a_label_of_two_parts_is_in_two_folds() -> None:
    labels = np.array([0] * 10 + [3] * 4, dtype=np.int32)
    parts = [f"good {row}" for row in range(10)] + ["x", "x", "y", "y"]

    folds = assign_folds(labels, bound_together(parts, []))

    assert len(np.unique(folds[10:])) == 2
