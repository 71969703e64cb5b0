from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.training.report.pair_distances import PairDistances, spread


def plain_overlap(first: NDArray[np.float64], second: NDArray[np.float64], n_bins: int) -> float:
    """Return the overlap counted value by value."""
    low, high = min(*first, *second), max(*first, *second)
    width = (high - low) / n_bins
    counts = [[0] * n_bins, [0] * n_bins]
    for kind, values in enumerate((first, second)):
        for value in values:
            counts[kind][min(int((value - low) / width), n_bins - 1)] += 1
    return float(sum(min(a / len(first), b / len(second)) for a, b in zip(*counts, strict=True)))


@pytest.mark.parametrize("apart", [0.5, 1.0, 2.0, 4.0])
def test_normal_distances_overlap_as_theory_says(apart: float) -> None:
    rng = np.random.default_rng(0)
    found = spread(rng.normal(0, 1, 40_000), rng.normal(apart, 1, 40_000))

    assert found.overlap == pytest.approx(2 * NormalDist().cdf(-apart / 2), abs=0.015)


def test_the_overlap_is_what_counting_by_hand_gives() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random(90), 0.4 + rng.random(70) ** 2

    assert spread(first, second, n_bins=16).overlap == pytest.approx(plain_overlap(first, second, 16), abs=1e-12)


def test_the_same_distances_overlap_wholly_and_distant_ones_not_at_all() -> None:
    values = np.linspace(0, 1, 50)

    assert spread(values, values).overlap == pytest.approx(1.0, abs=1e-12)
    assert spread(values, values + 5).overlap == 0.0


def test_distances_that_are_all_the_same_are_no_error() -> None:
    assert spread(np.zeros(4), np.zeros(3)).overlap == 1.0


def pairs(n_matching: int, n_mismatching: int) -> PairDistances:
    is_matching = np.array([True] * n_matching + [False] * n_mismatching)
    return PairDistances(is_matching, {"cosine": np.arange(len(is_matching), dtype=np.float32)})


def test_a_sample_has_as_many_of_each_kind_and_is_the_same_again() -> None:
    everything = pairs(50, 500)

    first, second = everything.sample(n_each=20), everything.sample(n_each=20)

    assert (first.is_matching.sum(), len(first.is_matching)) == (20, 40)
    assert first.distances["cosine"].tolist() == second.distances["cosine"].tolist()
    assert set(first.distances["cosine"][first.is_matching]) <= set(range(50))


def test_pairs_of_one_kind_only_have_no_spread() -> None:
    assert pairs(3, 0).spreads() == {}
