from __future__ import annotations

import math

import numpy as np
import pytest

from miwake.indexer.answers import HealthStatistic
from miwake.indexer.health.learning import FALSE_ALARMS, LEAST_ROWS, learn_health, tail
from miwake.indexer.health.limits import HealthGauge, InputHealth

SHAPE = (8, 9)
RANGE = (0.0, 255.0)


def parts(n: int, *, seed: int) -> np.ndarray:
    """Return (n, V) maps of one kind: edges at a place of their own, a level and a contrast of their own, noise."""
    random = np.random.default_rng(seed)
    edges = random.random((n, *SHAPE)) < 0.3
    levels, contrasts = random.normal(90, 10, (n, 1, 1)), random.normal(60, 5, (n, 1, 1))
    found = levels + contrasts * edges + random.normal(0, 4, (n, *SHAPE))
    return found.clip(0, 255).reshape(n, -1).astype(np.float32)


def learn(vectors: np.ndarray, *, unseen: np.ndarray | None = None, labels: np.ndarray | None = None) -> InputHealth:
    health = learn_health(
        vectors,
        np.zeros(len(vectors), dtype=np.int32) if labels is None else labels,
        parts=[f"part {row // 2}" for row in range(len(vectors))],
        pass_labels=(0,),
        shape=SHAPE,
        value_range=RANGE,
        unseen=unseen,
    )
    assert health is not None
    return health


def deviations(health: InputHealth, vectors: np.ndarray) -> np.ndarray:
    return HealthGauge(health, SHAPE, RANGE).deviations(vectors)


def false_alarms(health: InputHealth, vectors: np.ndarray) -> float:
    return float((np.abs(deviations(health, vectors)) > 1).any(axis=1).mean())


@pytest.mark.parametrize("n_rows", [LEAST_ROWS, 100, 1000, 4000])
def test_ordinary_parts_are_out_of_the_limits_about_as_rarely_as_stated(n_rows: int) -> None:
    health = learn(parts(n_rows, seed=0))

    # few rows extrapolate their tails; 2 of 100 is what that costs at worst in these
    assert false_alarms(health, parts(4000, seed=1)) < 2 * FALSE_ALARMS


def test_the_rows_that_were_learnt_from_keep_to_the_stated_rate() -> None:
    vectors = parts(4000, seed=0)

    assert 0 < false_alarms(learn(vectors), vectors) <= FALSE_ALARMS


@pytest.mark.parametrize(
    ("statistic", "sign", "disturb"),
    [
        (HealthStatistic.MEAN, -1, lambda maps: 0.3 * maps),
        (HealthStatistic.MEAN, 1, lambda maps: maps + 90),
        (HealthStatistic.GAIN, -1, lambda maps: 0.3 * maps),
        (HealthStatistic.SPREAD, -1, lambda maps: 100 + 0.3 * (maps - 100)),
        (HealthStatistic.SPREAD, 1, lambda maps: 100 + 1.8 * (maps - 100)),
        (HealthStatistic.FOCUS, -1, lambda maps: (2 * maps + np.roll(maps, 1, 2) + np.roll(maps, -1, 2)) / 4),
        (HealthStatistic.SATURATION, 1, lambda maps: np.where(maps > 130, 255, maps)),
        (HealthStatistic.DEAD_LINES, 1, lambda maps: maps * (np.arange(9) != 4) + 100 * (np.arange(9) == 4)),
    ],
)
def test_a_disturbance_shows_in_its_statistic_and_its_direction(
    statistic: HealthStatistic, sign: int, disturb: object
) -> None:
    assert callable(disturb)
    health, others = learn(parts(1000, seed=0)), parts(200, seed=1).reshape(-1, *SHAPE)
    disturbed = disturb(others).reshape(len(others), -1).astype(np.float32)

    found = sign * deviations(health, disturbed)[:, statistic]

    assert (found > 1).mean() > 0.9


def test_false_alarms_are_measured_on_rows_that_were_not_learnt_from() -> None:
    unseen = parts(500, seed=1)
    health = learn(parts(1000, seed=0), unseen=unseen)

    assert health.false_alarms == pytest.approx(false_alarms(health, unseen))
    assert learn(parts(1000, seed=0)).false_alarms is None


def test_rows_and_parts_are_counted_and_a_row_without_a_part_is_one() -> None:
    health = learn_health(
        parts(40, seed=0),
        np.zeros(40, dtype=np.int32),
        parts=["a", "a", *[""] * 38],
        pass_labels=(0,),
        shape=SHAPE,
        value_range=RANGE,
    )

    assert health is not None
    assert (health.n_rows, health.n_parts) == (40, 39)


def test_too_few_rows_say_nothing() -> None:
    few = parts(LEAST_ROWS - 1, seed=0)
    labels = np.zeros(len(few), dtype=np.int32)

    found = learn_health(few, labels, parts=[""] * len(few), pass_labels=(0,), shape=SHAPE, value_range=RANGE)

    assert found is None


def test_the_anchor_is_the_mean_of_the_passes_and_of_all_rows_where_there_is_none() -> None:
    vectors = parts(60, seed=0)
    labels = np.array([0, 7] * 30, dtype=np.int32)

    of_passes = learn(vectors, labels=labels).anchor
    of_all = learn(vectors, labels=labels + 1).anchor

    # rounded to the seven digits of float32
    np.testing.assert_allclose(of_passes, vectors[::2].mean(axis=0) / 255, rtol=1e-6)
    np.testing.assert_allclose(of_all, vectors.mean(axis=0) / 255, rtol=1e-6)


def test_maps_that_are_all_alike_have_limits_around_them() -> None:
    alike = np.tile(parts(1, seed=0), (50, 1))
    health = learn(alike)

    # a thousandth is the least width of a limit; the centre is rounded to seven digits
    np.testing.assert_allclose(deviations(health, alike), 0.0, atol=1e-2)


def test_of_many_values_the_tail_is_the_quantile() -> None:
    values = np.random.default_rng(0).permutation(100_000).astype(np.float64)

    assert tail(values, 0.001) == pytest.approx(99_900, abs=2)


def test_of_few_values_the_tail_falls_on_as_it_falls_among_them() -> None:
    values = np.random.default_rng(0).exponential(2.0, 400)

    # of an exponential distribution, what a thousandth exceeds is 2 ln 1000; of 20 excesses, to within a quarter
    assert tail(values, 0.001) == pytest.approx(2 * math.log(1000), rel=0.25)
    assert tail(values, 0.001) > values.max() * 0.9
