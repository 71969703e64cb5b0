from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.answers import HealthStatistic
from miwake.indexer.errors import InvalidVectorError
from miwake.indexer.health import measuring, plain

SHAPE = (6, 5)
RANGE = (0.0, 255.0)
RAMP = np.linspace(0.25, 0.75, 30)


def measured(one_map: np.ndarray, *, anchor: np.ndarray = RAMP, shape: tuple[int, int] = SHAPE) -> dict[str, float]:
    """Return the statistics of a map on the unit scale by name."""
    vectors = (one_map.reshape(1, -1) * 255).astype(np.float32)
    [found] = measuring.statistics(vectors, anchor.astype(np.float32), shape, RANGE)
    return {one.name.lower(): float(found[one]) for one in HealthStatistic}


def maps(n: int, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Return (n, V) maps of grey levels: smooth, noisy, with dead lines and saturated cells."""
    random = np.random.default_rng(seed)
    found = random.random((n, *shape)) * random.random((n, 1, 1))
    found[1::4] = np.cumsum(np.cumsum(found[1::4], axis=1), axis=2) / (shape[0] * shape[1])
    found[2::4, :, : shape[1] // 2] = 0.0
    found[3::4, shape[0] // 2 :] = 1.0
    found[3::4, 0, 0] = 0.0
    return np.round(found * 255).reshape(n, -1)


@pytest.mark.parametrize("shape", [(36, 39), (39, 36), (1, 50), (50, 1), (2, 7), (3, 3), (2, 2), (1, 2), (16, 16)])
@pytest.mark.parametrize("value_range", [(0.0, 255.0), (-50.0, 300.0)])
def test_the_loop_is_its_plain_twin(shape: tuple[int, int], value_range: tuple[float, float]) -> None:
    vectors = maps(40, shape).astype(np.float32)
    anchor = np.random.default_rng(1).random(shape[0] * shape[1]).astype(np.float32)

    found = measuring.statistics(vectors, anchor, shape, value_range)

    assert found.dtype == np.float32
    # float32 sums of up to 1404 terms, in eight lanes: some 1e-7 each, and a few times that for a ratio
    np.testing.assert_allclose(found, plain.statistics(vectors, anchor, shape, value_range), rtol=5e-6, atol=5e-6)


def test_statistics_do_not_depend_on_the_batch() -> None:
    vectors = maps(9, SHAPE).astype(np.float32)
    anchor = RAMP.astype(np.float32)

    together = measuring.statistics(vectors, anchor, SHAPE, RANGE)

    alone = np.concatenate([measuring.statistics(one[None], anchor, SHAPE, RANGE) for one in vectors])
    np.testing.assert_array_equal(together, alone)


def test_read_only_and_strided_vectors_are_measured_alike() -> None:
    vectors = maps(8, SHAPE).astype(np.float32)
    vectors.flags.writeable = False
    anchor = RAMP.astype(np.float32)

    every_other = measuring.statistics(vectors[::2], anchor, SHAPE, RANGE)

    np.testing.assert_array_equal(every_other, measuring.statistics(vectors, anchor, SHAPE, RANGE)[::2])


def test_no_vectors_have_no_statistics() -> None:
    empty = np.empty((0, 30), dtype=np.float32)
    assert measuring.statistics(empty, RAMP.astype(np.float32), SHAPE, RANGE).shape == (0, 6)


@pytest.mark.parametrize("shape", [(30,), (1, 29)])
def test_vectors_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidVectorError, match=r"expected \(Q, 30\)"):
        measuring.statistics(np.zeros(shape, dtype=np.float32), RAMP.astype(np.float32), SHAPE, RANGE)


def test_mean_spread_and_gain_of_the_anchor_under_a_gain() -> None:
    found = measured(0.5 * RAMP)

    assert found["mean"] == pytest.approx(0.25, abs=1e-6)
    assert found["spread"] == pytest.approx(0.5 * RAMP.std(), abs=1e-6)
    assert found["gain"] == pytest.approx(0.5, abs=1e-5)


def test_white_noise_has_a_focus_of_about_three_and_a_ramp_hardly_any() -> None:
    noise = np.random.default_rng(0).random(60 * 60)
    ramp = np.add.outer(np.linspace(0, 0.5, 60), np.linspace(0, 0.5, 60))

    # of 3,540 steps an axis: the ratio of two such sums scatters by some 3 %
    assert measured(noise, anchor=noise, shape=(60, 60))["focus"] == pytest.approx(3.0, abs=0.3)
    assert measured(ramp, anchor=noise, shape=(60, 60))["focus"] < 0.4


def test_focus_does_not_depend_on_the_gain() -> None:
    one_map = np.random.default_rng(0).random((36, 39))
    anchor = one_map.ravel()

    dimmed = measured(0.4 * one_map, anchor=anchor, shape=(36, 39))["focus"]

    # the slack of 0.001 beside sums of some 200
    assert dimmed == pytest.approx(measured(one_map, anchor=anchor, shape=(36, 39))["focus"], rel=1e-4)


def test_a_blur_along_one_axis_lowers_the_focus() -> None:
    one_map = np.random.default_rng(0).random((36, 39))
    moved = (one_map + np.roll(one_map, 1, axis=1) + np.roll(one_map, 2, axis=1)) / 3
    anchor = one_map.ravel()

    focus = measured(moved, anchor=anchor, shape=(36, 39))["focus"]

    # of white noise, whose average of three steps twice as much as it curves
    assert focus < 0.75 * measured(one_map, anchor=anchor, shape=(36, 39))["focus"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, 1 / 30), (0.009, 1 / 30), (0.011, 0.0), (0.989, 0.0), (0.991, 1 / 30), (1.05, 1 / 30), (-0.05, 1 / 30)],
)
def test_a_cell_near_an_end_of_the_range_or_beyond_is_saturated(value: float, expected: float) -> None:
    one_map = RAMP.copy()
    one_map[7] = value

    assert measured(one_map)["saturation"] == pytest.approx(expected, abs=1e-6)


def test_rows_and_columns_that_do_not_change_are_dead() -> None:
    one_map = np.random.default_rng(0).random(SHAPE)
    one_map[2] = 0.5
    one_map[:, 3] = 0.5
    one_map[:, 4] = 0.25

    # row 2 steps where the columns 3 and 4 meet
    assert measured(one_map)["dead_lines"] == pytest.approx(2 / 11, abs=1e-6)


def test_a_line_that_comes_back_to_where_it_began_is_not_dead() -> None:
    one_map = np.random.default_rng(0).random(SHAPE)
    one_map[2] = [0.5, 0.5, 0.6, 0.5, 0.5]

    assert measured(one_map)["dead_lines"] == 0.0
