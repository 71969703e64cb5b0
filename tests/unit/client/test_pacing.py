from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from miwake.client.pacing import arrivals, paced


def test_even_arrivals_are_equally_far_apart() -> None:
    assert list(islice(arrivals(4.0, poisson=False), 4)) == [0.0, 0.25, 0.5, 0.75]


def test_random_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    times = np.array(list(islice(arrivals(200.0, poisson=True, seed=3), 20_001)))
    steps = np.diff(times)

    # Both are within four standard errors: 1 / sqrt(20,000) each, of the mean and about twice that of the deviation.
    assert steps.mean() == pytest.approx(1 / 200, rel=0.03)
    assert steps.std() == pytest.approx(1 / 200, rel=0.06)


class Clock:
    """A clock that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time_s = 50.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time_s += seconds


def test_each_item_comes_at_its_time() -> None:
    clock = Clock()

    assert list(paced("abc", [0.0, 1.0, 3.0], now=clock.now, sleep=clock.sleep)) == ["a", "b", "c"]
    assert clock.slept == [1.0, 2.0]


def test_what_is_late_comes_at_once_and_the_next_in_time() -> None:
    clock = Clock()
    items = paced("abc", [0.0, 1.0, 3.0], now=clock.now, sleep=clock.sleep)

    next(items)
    clock.time_s += 2.5
    assert list(items) == ["b", "c"]
    assert clock.slept == [0.5]
