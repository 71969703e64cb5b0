from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.errors import RateNotShownError
from miwake.indexer.verdict.pair_measuring import cosine_distances
from miwake.indexer.verdict.pairs import (
    N_PAIRS,
    PairCalibration,
    Pairs,
    PairThreshold,
    calibrate_pairs,
    draw_pairs,
    largest_shown,
)
from miwake.indexer.verdict.promises import parts_needed, upper_bound


def threshold(rate: float | None, at_most: float) -> PairThreshold:
    return PairThreshold(at_most=at_most, max_false_accept_rate=rate, false_accept_rate=0.0, false_reject_rate=0.5)


def calibration(*promised: PairThreshold) -> PairCalibration:
    return PairCalibration(
        distance="match",
        equal_error_rates={"match": 0.1, "euclidean": 0.1, "cosine": 0.1},
        weight=8.0,
        bias=4.0,
        balanced=threshold(None, 0.5),
        promised=promised,
        n_genuine=100,
        n_impostor=100,
        n_parts=300,
    )


def pairs(n_parts: int, *, seed: int = 0, overlap: float = 0.0, per_part: int = 10) -> Pairs:
    """Return as many genuine pairs near 0 as impostors near 1 for each part; ``overlap`` widens both."""
    rng = np.random.default_rng(seed)
    is_genuine = np.tile(np.repeat([True, False], per_part), n_parts)
    right = np.where(is_genuine, 0.0, 1.0) + rng.normal(0, 0.05 + overlap, len(is_genuine))
    noise = rng.normal(0, 1, len(is_genuine))
    numbers = np.repeat(np.arange(n_parts), 2 * per_part)
    distances = {"match": right, "euclidean": right + noise, "cosine": noise}
    return Pairs(is_genuine, numbers, {name: one.astype(np.float32) for name, one in distances.items()})  # type: ignore[misc]


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_without_a_failure_a_rate_takes_as_many_parts_as_any_promise_does(rate: float) -> None:
    needed = parts_needed(rate)

    assert largest_shown(rate, needed - 1) is None
    assert largest_shown(rate, needed) is not None


@pytest.mark.parametrize("n_failed", [3, 10, 40])
def test_what_is_shown_by_whole_parts_is_no_laxer_than_the_exact_bound(n_failed: int) -> None:
    most = largest_shown(0.1, 500)

    assert most is not None
    assert (n_failed / 500 <= most) <= (upper_bound(n_failed, 500) <= 0.1)


def test_the_laxest_threshold_that_keeps_the_rate_decides() -> None:
    strict, lax = threshold(0.01, 0.2), threshold(0.1, 0.4)

    assert calibration(strict, lax).threshold(0.05) is strict
    assert calibration(strict, lax).threshold(0.1) is lax
    assert calibration(strict, lax).threshold(0.5) is lax


def test_without_a_rate_the_balanced_threshold_decides() -> None:
    assert calibration(threshold(0.01, 0.2)).threshold(None).at_most == 0.5


def test_a_rate_that_was_not_shown_is_refused_with_what_was() -> None:
    with pytest.raises(
        RateNotShownError, match=r"0\.001 is not shown by 300 calibration parts: what is shown is 0\.01"
    ):
        calibration(threshold(0.01, 0.2)).threshold(0.001)
    with pytest.raises(RateNotShownError, match=r"by 300 calibration parts: none is"):
        calibration().threshold(0.001)


def test_the_distance_that_tells_pairs_apart_best_decides() -> None:
    found = calibrate_pairs(pairs(40))

    assert found is not None
    assert found.distance == "match"
    assert found.equal_error_rates["match"] < 0.01 < found.equal_error_rates["euclidean"]
    assert (found.n_parts, found.n_genuine, found.n_impostor) == (40, 400, 400)


def test_the_rates_of_a_threshold_are_those_of_a_plain_count() -> None:
    measured = pairs(120, overlap=0.3)
    found = calibrate_pairs(measured)
    assert found is not None
    accepted = measured.distances["match"] <= found.balanced.at_most
    false_accepts, false_rejects = [], []
    for part in range(120):
        of_part = measured.parts == part
        false_accepts.append(accepted[of_part & ~measured.is_genuine].mean())
        false_rejects.append(1 - accepted[of_part & measured.is_genuine].mean())

    assert found.balanced.false_accept_rate == pytest.approx(np.mean(false_accepts), abs=1e-9)
    assert found.balanced.false_reject_rate == pytest.approx(np.mean(false_rejects), abs=1e-9)
    assert found.balanced.false_accept_rate == pytest.approx(found.balanced.false_reject_rate, abs=0.01)


def test_stricter_promises_have_stricter_thresholds_and_only_what_is_shown_is_promised() -> None:
    found = calibrate_pairs(pairs(120, overlap=0.3))
    assert found is not None
    rates = [one.max_false_accept_rate for one in found.promised]
    bounds = [one.at_most for one in found.promised]

    assert rates == [0.05, 0.1]
    assert bounds == sorted(bounds)
    assert all(one.false_accept_rate < (one.max_false_accept_rate or 0) for one in found.promised)


def test_a_promise_is_kept_as_often_as_it_says() -> None:
    broken = 0
    population = pairs(4000, seed=1, overlap=0.3, per_part=2)
    impostors = np.sort(population.distances["match"][~population.is_genuine])
    for seed in range(100):
        found = calibrate_pairs(pairs(60, seed=seed + 2, overlap=0.3, per_part=2), rates=(0.1,))
        assert found is not None
        realised = np.searchsorted(impostors, found.promised[0].at_most, side="right") / len(impostors)
        broken += bool(realised > 0.1)

    assert broken <= 8  # of which 5 are allowed, and as many more as luck has


def test_probabilities_fall_with_the_distance_and_are_even_where_the_classes_meet() -> None:
    found = calibrate_pairs(pairs(200, overlap=0.3))
    assert found is not None
    probabilities = found.probabilities(np.array([0.0, 0.5, 1.0], dtype=np.float32))

    assert probabilities[0] > 0.9 > probabilities[1] > 0.1 > probabilities[2]
    assert probabilities[1] == pytest.approx(0.5, abs=0.05)


def test_pairs_of_one_kind_calibrate_nothing() -> None:
    both = pairs(10)
    genuine = both.is_genuine

    assert calibrate_pairs(Pairs(genuine[genuine], both.parts[genuine], {})) is None


def test_each_query_is_paired_with_its_class_and_with_others() -> None:
    references = np.array([1] * 200 + [2] * 3, dtype=np.int32)
    drawn = draw_pairs(np.array([1, 2], dtype=np.int32), references, np.random.default_rng(0))

    assert (references[drawn[0, :N_PAIRS]] == 1).all()
    assert sorted(drawn[0, N_PAIRS : N_PAIRS + 3]) == [200, 201, 202]
    assert (drawn[0, N_PAIRS + 3 :] == -1).all()
    assert sorted(drawn[1, :3]) == [200, 201, 202]
    assert (references[drawn[1, N_PAIRS:]] == 1).all()


def test_cosine_distances_are_those_of_the_definition_and_exact_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(2, 20, 8)).astype(np.float32)
    wanted = 1 - (y * x).sum(1) / np.linalg.norm(y, axis=1) / np.linalg.norm(x, axis=1)

    assert cosine_distances(y, x) == pytest.approx(wanted, abs=1e-6)
    assert cosine_distances(y, 3 * y) == pytest.approx(np.zeros(20), abs=1e-12)
    assert cosine_distances(y, np.zeros_like(y)).tolist() == [1.0] * 20
