"""In repeated draws from a known line, a promise holds as often as it says; and a careless one does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from miwake.indexer.verdict.promises import PASS_GRID, conformal_quantile, pass_threshold
from miwake.indexer.verdict.scores import CalibrationScores

N_DRAWS = 300
MOST_BROKEN = int(binom.ppf(0.9999, N_DRAWS, 0.05))
"""A promise that is broken once in twenty draws is broken more often than this once in ten thousand runs."""


class Line:
    """Reject parts of several rows each, which share most of what makes them look like a pass."""

    def __init__(self, rng: np.random.Generator, n_rows: int = 4) -> None:
        self._rng = rng
        self._n_rows = n_rows

    def draw(self, n_parts: int) -> CalibrationScores:
        of_part = self._rng.normal(1.4, 0.5, (n_parts, 1))
        logits = of_part + self._rng.normal(0, 0.4, (n_parts, self._n_rows)) * 1.5
        rejects = 1 / (1 + np.exp(-logits.ravel() * 2))
        passes = np.full(n_parts, 0.01)
        return CalibrationScores(
            truth=np.repeat([1, 0], [len(rejects), n_parts]).astype(np.int32),
            answered=np.concatenate([rejects >= 0.5, np.zeros(n_parts)]).astype(np.int32),
            reject_probabilities=np.concatenate([rejects, passes]),
            probabilities=np.full(len(rejects) + n_parts, 0.9),
            novelty=np.ones(len(rejects) + n_parts, dtype=np.float32),
            parts=np.concatenate([np.repeat(np.arange(n_parts), self._n_rows), n_parts + np.arange(n_parts)]).astype(
                np.int32
            ),
        )


@pytest.fixture(scope="module")
def truth() -> NDArray[np.float64]:
    """The escape score of very many parts: what a rate really is."""
    return np.sort(Line(np.random.default_rng(99)).draw(400_000).escape_scores([0]))


def n_broken(choice: Callable[[CalibrationScores], float], truth: NDArray[np.float64], promised: float) -> int:
    line = Line(np.random.default_rng(5))
    thresholds = [choice(line.draw(250)) for _ in range(N_DRAWS)]
    rates = np.searchsorted(truth, thresholds, side="right") / len(truth)
    return int((rates > promised).sum())


def promised_threshold(promised: float) -> Callable[[CalibrationScores], float]:
    return lambda scores: pass_threshold(scores.escape_scores([0]), promised).threshold


def laxest_that_looks_right(promised: float) -> Callable[[CalibrationScores], float]:
    def found(scores: CalibrationScores) -> float:
        part_scores = np.sort(scores.escape_scores([0]))
        rates = np.searchsorted(part_scores, PASS_GRID, side="right") / len(part_scores)
        return float(PASS_GRID[np.flatnonzero(rates <= promised)[-1]])

    return found


def by_rows(promised: float) -> Callable[[CalibrationScores], float]:
    def found(scores: CalibrationScores) -> float:
        alone = CalibrationScores(
            scores.truth,
            scores.answered,
            scores.reject_probabilities,
            scores.probabilities,
            scores.novelty,
            np.arange(len(scores), dtype=np.int32),
        )
        return promised_threshold(promised)(alone)

    return found


@pytest.mark.parametrize("promised", [0.02, 0.05])
def test_a_promise_is_broken_once_in_twenty_draws_at_most(truth: NDArray[np.float64], promised: float) -> None:
    assert n_broken(promised_threshold(promised), truth, promised) <= MOST_BROKEN


@pytest.mark.parametrize("careless", [laxest_that_looks_right, by_rows])
def test_without_the_bound_or_without_parts_it_is_broken_often(
    truth: NDArray[np.float64], careless: Callable[[float], Callable[[CalibrationScores], float]]
) -> None:
    assert n_broken(careless(0.05), truth, 0.05) > 2 * MOST_BROKEN


def test_a_promise_does_not_hold_by_passing_nothing(truth: NDArray[np.float64]) -> None:
    assert n_broken(promised_threshold(0.05), truth, 0.01) > N_DRAWS / 2


def test_false_alarms_over_parts_stay_within_what_was_asked() -> None:
    rng = np.random.default_rng(8)
    alarms = []
    for _ in range(N_DRAWS):
        sizes = rng.integers(1, 12, 60)
        parts = np.repeat(np.arange(60), sizes)
        novelty = rng.normal(sizes / 6, 1)[parts] + rng.normal(0, 0.3, len(parts))
        new_sizes = rng.integers(1, 12, 2_000)
        new = rng.normal(new_sizes / 6, 1) + rng.normal(0, 0.3, 2_000)
        alarms.append((new > conformal_quantile(novelty, parts, 0.05)).mean())

    assert 0.03 < np.mean(alarms) < 0.053
