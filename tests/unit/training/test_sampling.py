from __future__ import annotations

import numpy as np
import pytest

from miwake.training.sampling import ClassesInTurn, sampling_chances

CLASSES = np.array([0] * 50 + [1] * 6 + [2] * 3, dtype=np.int64)


def in_turn(seed: int = 0) -> ClassesInTurn:
    return ClassesInTurn(CLASSES, per_class=4, batch_size=16, seed=seed)


def test_every_class_comes_as_often_as_the_others_however_small_it_is() -> None:
    sampler = in_turn()
    drawn = CLASSES[np.concatenate([sampler.batch(step).numpy() for step in range(1, 4)])]
    assert np.bincount(drawn).tolist() == [16, 16, 16]


def test_the_rows_of_a_class_come_together() -> None:
    batch = CLASSES[in_turn().batch(1).numpy()].reshape(4, 4)
    assert np.all(batch == batch[:, :1])


@pytest.mark.parametrize("step", [7, 13, 19, 25, 38])
def test_the_batch_of_a_step_follows_from_the_step_alone(step: int) -> None:
    from_the_start = in_turn()
    before = [from_the_start.batch(one).tolist() for one in range(1, step + 1)]
    assert in_turn().batch(step).tolist() == before[-1]


def test_batches_differ_by_step_and_by_seed() -> None:
    sampler = in_turn()
    batches = [sampler.batch(1).tolist(), sampler.batch(2).tolist(), in_turn(1).batch(1).tolist()]
    assert len({tuple(batch) for batch in batches}) == 3


def test_numpys_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index] # noqa: NPY002
    in_turn().batch(1)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index] # noqa: NPY002


def test_full_balance_draws_every_class_alike() -> None:
    chances = sampling_chances(np.array([0, 0, 0, 1]), 1.0)
    assert (chances / chances.sum()).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert sampling_chances(np.array([0, 0, 0, 1]), 0.0).tolist() == [1.0] * 4
