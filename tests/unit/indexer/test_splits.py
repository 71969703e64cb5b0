from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.splits import divide_for_calibration, held_out_split
from support.references import make_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.indexer.records import Records

SIX = make_records([f"r{row}" for row in range(6)], labels=[0, 0, 0, 1, 1, 1])


def records(*, parts: Sequence[str], splits: Sequence[str] = ("",) * 6) -> Records:
    return replace(SIX, parts=tuple(parts), splits=tuple(splits))


def test_a_named_split_is_obeyed() -> None:
    named = records(parts="aabbcc", splits=["test", "test", "train", "train", "test", "test"])

    training, test = held_out_split(named)

    assert training.ids == ("r2", "r3")
    assert test.ids == ("r0", "r1", "r4", "r5")


@pytest.mark.parametrize("split", ["", "train"])
def test_without_test_rows_whole_parts_of_each_class_are_drawn(split: str) -> None:
    training, test = held_out_split(records(parts="aabccd", splits=[split] * 6))

    assert set(test.labels.tolist()) == {0, 1}
    assert set(training.labels.tolist()) == {0, 1}
    assert not set(training.parts) & set(test.parts)
    assert len(training) + len(test) == 6


def test_where_all_rows_are_for_testing_none_is_left_for_training() -> None:
    training, test = held_out_split(records(parts="aabccd", splits=["test"] * 6))

    assert (len(training), len(test)) == (0, 6)


def test_a_split_that_only_some_rows_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"2 of 6 rows name no split, the first is row 2 \(r2\)"):
        held_out_split(records(parts="aabccd", splits=["train", "train", "", "", "test", "test"]))


def test_a_part_on_both_sides_is_refused_by_its_name() -> None:
    with pytest.raises(DataError, match=r"part 'b' is in both splits, rows 2 \(r2\) and 3 \(r3\)"):
        held_out_split(records(parts="aabbcc", splits=["train", "train", "train", "test", "test", "test"]))


def test_rows_without_a_part_may_stand_on_both_sides() -> None:
    training, test = held_out_split(records(parts=[""] * 6, splits=["train", "test"] * 3))

    assert (len(training), len(test)) == (3, 3)


@pytest.mark.parametrize("seed", range(5))
def test_calibration_takes_whole_parts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = np.array([f"part {number}" for number in rng.integers(0, 30, 300)])

    is_calibration = divide_for_calibration(rng.integers(0, 4, 300).astype(np.int32), parts.tolist(), seed=seed)

    assert not set(parts[is_calibration]) & set(parts[~is_calibration])
    assert is_calibration.any()


def test_a_seventh_of_the_parts_of_each_class_is_for_calibration() -> None:
    labels = np.repeat(np.array([0, 1], dtype=np.int32), [70, 28])

    is_calibration = divide_for_calibration(labels, [f"part {row}" for row in range(98)])

    assert is_calibration[labels == 0].sum() == 10
    assert is_calibration[labels == 1].sum() == 4


@pytest.mark.parametrize(("n_parts", "n_drawn"), [(1, 0), (2, 1), (3, 1), (7, 1), (11, 2)])
def test_a_rare_class_gives_one_part_if_it_has_two(n_parts: int, n_drawn: int) -> None:
    labels = np.zeros(n_parts, dtype=np.int32)

    assert divide_for_calibration(labels, [f"part {row}" for row in range(n_parts)]).sum() == n_drawn


def test_a_part_counts_for_the_rarest_label_it_has() -> None:
    # Label 1 is only on parts that have label 0 too; drawn by label 0 alone they could all fall on one side.
    labels = np.array([0] * 50 + [0, 1, 0, 1], dtype=np.int32)
    parts = [f"part {row}" for row in range(50)] + ["x", "x", "y", "y"]

    is_calibration = divide_for_calibration(labels, parts)

    assert is_calibration[labels == 1].tolist() in ([True, False], [False, True])


def test_a_row_without_a_part_is_a_part_of_its_own() -> None:
    is_calibration = divide_for_calibration(np.zeros(14, dtype=np.int32), [""] * 14)

    assert is_calibration.sum() == 2


def test_the_order_of_the_rows_does_not_change_which_parts_are_drawn() -> None:
    rng = np.random.default_rng(1)
    parts, labels = np.array([f"part {row % 20}" for row in range(100)]), rng.integers(0, 3, 100).astype(np.int32)
    order = rng.permutation(100)

    drawn = set(parts[divide_for_calibration(labels, parts.tolist())])
    drawn_again = set(parts[order][divide_for_calibration(labels[order], parts[order].tolist())])

    assert drawn == drawn_again


def test_another_seed_draws_other_parts() -> None:
    labels, parts = np.zeros(100, dtype=np.int32), [f"part {row}" for row in range(100)]

    first, again, other = (divide_for_calibration(labels, parts, seed=seed) for seed in (0, 0, 1))

    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_that_leaves_one_side_empty_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="expected a number between 0 and 1"):
        divide_for_calibration(np.zeros(4, dtype=np.int32), ["a", "b", "c", "d"], share=share)
