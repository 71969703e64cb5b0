import numpy as np
import pytest

from miwake.indexer.errors import CalibrationError
from miwake.indexer.verdict.match import LEAST_SCALE_WEIGHT, MatchMix, fit_mix, histogram


def pairs(seed: int = 0, n_pairs: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(n_pairs) < 0.4
    beta = 1 + rng.normal(0, np.where(same, 0.05, 0.4))
    eta = rng.gamma(2.0, np.where(same, 0.1, 0.3))
    gamma = rng.gamma(2.0, 0.1, n_pairs)
    return beta, eta, gamma, same


def test_matching_pairs_lie_nearer_than_mismatching_ones() -> None:
    beta, eta, gamma, same = pairs()

    mix = fit_mix(beta, eta, gamma, same)

    distances = mix.distances(mix.scores(beta, eta, gamma))
    assert np.median(distances[same]) < 0.3
    assert np.median(distances[~same]) > 0.7


def test_weights_of_scale_and_deviation_are_never_negative() -> None:
    beta, eta, gamma, same = pairs()

    mix = fit_mix(beta, eta, gamma, ~same)

    assert mix.scale_weight >= LEAST_SCALE_WEIGHT
    assert mix.deviation_weight >= 0


def test_an_opposite_reference_is_never_near() -> None:
    beta, eta, gamma, same = pairs()
    mix = fit_mix(np.ones_like(beta), eta, gamma, same)  # pairs that say nothing about the scale

    equal, opposite = mix.scores(np.array([1.0, -1.0]), np.zeros(2), np.zeros(2))

    assert opposite - equal >= 4


def test_match_distances_stay_below_one() -> None:
    mix = MatchMix(scale_weight=1e6, deviation_weight=0, spread_weight=0, bias=0)

    distances = mix.distances(mix.scores(np.array([1e6]), np.zeros(1), np.zeros(1)))

    assert distances.dtype == np.float32
    assert 0 <= distances[0] < 1


@pytest.mark.parametrize("same", [np.ones(5, dtype=bool), np.zeros(5, dtype=bool)])
def test_pairs_of_one_kind_only_are_refused(same: np.ndarray) -> None:
    with pytest.raises(CalibrationError, match="matching pairs of 5"):
        fit_mix(np.ones(5), np.ones(5), np.ones(5), same)


def test_probabilities_agree_with_the_share_of_mismatching_pairs() -> None:
    beta, eta, gamma, same = pairs(n_pairs=20_000)
    mix = fit_mix(beta, eta, gamma, same)
    other = pairs(seed=1, n_pairs=20_000)

    distances = mix.distances(mix.scores(*other[:3]))

    assert distances.mean() == pytest.approx((~other[3]).mean(), abs=0.02)


def test_the_histogram_counts_every_pair_once() -> None:
    counted = histogram(np.array([0.0, 0.01, 0.999], dtype=np.float32), np.array([True, True, False]))

    assert (counted.matching[0], sum(counted.matching)) == (2, 2)
    assert (counted.mismatching[-1], sum(counted.mismatching)) == (1, 1)
