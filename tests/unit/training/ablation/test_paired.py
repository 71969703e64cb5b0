"""Paired intervals beside a plain twin that resamples rows one by one and asks the usual functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer import evaluation
from miwake.training.ablation.cells import Cell
from miwake.training.ablation.comparing import METRICS, metric_counts
from miwake.training.ablation.paired import BLOCK, Counts, difference, draw_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_ROWS, N_PARTS, N_SEEDS = 60, 14, 3
PASSES = (0,)
N_DRAWS = BLOCK + 20
"""More than one block."""


def cell(truth: NDArray[np.int32], parts: NDArray[np.int64], answers: NDArray[np.int32]) -> Cell:
    return Cell(
        settings={}, seed=0, source="", data_fingerprint="", truth=tuple(truth.tolist()), parts=tuple(parts.tolist()),
        pass_labels=PASSES, answers={"verdict": tuple(answers.tolist())}, method="", n_steps=0, best_step=0,
        fit_cpu_s=0, cpu_s=0, torch="",
    )  # fmt: skip


def figure(metric: str, truth: NDArray[np.int32], answers: NDArray[np.int32]) -> float:
    """Return a figure by the functions that evaluations use; not a number where it is about no row."""
    if metric == "accuracy":
        return evaluation.accuracy(truth, answers)
    if metric == "balanced accuracy":
        return float(np.mean([(answers[truth == label] == label).mean() for label in np.unique(truth)]))
    rate = evaluation.escape_rate if metric == "escape" else evaluation.overkill_rate
    found = rate(truth, answers, PASSES)
    return float("nan") if found is None else found.value


def drawn(metric: str, truth: NDArray[np.int32], parts: NDArray[np.int64], answers: NDArray[np.int32]) -> list[float]:
    """Resample plainly: parts by their names, rows of each as often as it was drawn, S - 1 seeds; ``difference``'s
    draws come from the same generator in the same order.
    """
    random = np.random.default_rng(0)
    of_seeds = draw_weights(random, N_DRAWS, N_SEEDS - 1, N_SEEDS)
    of_parts = np.vstack([draw_weights(random, size, N_PARTS, N_PARTS) for size in (BLOCK, N_DRAWS - BLOCK)])
    found = []
    for draw in range(N_DRAWS):
        rows = [
            row for part in range(N_PARTS) for row in np.flatnonzero(parts == part).tolist() * int(of_parts[draw, part])
        ]
        values = []
        for seed in range(N_SEEDS):
            one, two = (figure(metric, truth[rows], answers[arm, seed][rows]) for arm in (0, 1))
            values += [two - one] * int(of_seeds[draw, seed])
        found.append(float(np.mean(values)))
    return found


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_is_that_of_resampling_rows_one_by_one(metric: str) -> None:
    random = np.random.default_rng(1)
    truth = random.choice([0, 0, 1, 4], N_ROWS).astype(np.int32)
    parts = random.integers(0, N_PARTS, N_ROWS)
    parts[:N_PARTS] = np.arange(N_PARTS)
    answers = np.where(random.random((2, N_SEEDS, N_ROWS)) < 0.7, truth, random.choice([0, 1, 4], N_ROWS))
    answers = answers.astype(np.int32)
    counts = [
        [metric_counts(metric, cell(truth, parts, answers[arm, seed]), answers[arm, seed]) for seed in range(N_SEEDS)]
        for arm in (0, 1)
    ]
    first, second = ([one for one in arm if one is not None] for arm in counts)

    found = difference(first, second, n_draws=N_DRAWS)

    expected = drawn(metric, truth, parts, answers)
    plain = [figure(metric, truth, answers[1, seed]) - figure(metric, truth, answers[0, seed]) for seed in range(3)]
    assert found.value == pytest.approx(np.mean(plain), abs=1e-12)
    assert (found.low, found.high) == pytest.approx(np.nanquantile(expected, [0.025, 0.975]), abs=1e-12)


def test_parts_weigh_as_often_as_they_are_drawn() -> None:
    weights = draw_weights(np.random.default_rng(0), 500, 7, 10)
    assert weights.shape == (500, 10)
    assert (weights.sum(axis=1) == 7).all()
    assert np.abs(weights.mean(axis=0) - 0.7).max() < 0.15


def ones_of(random: np.random.Generator, share: float, n_parts: int, per_part: int) -> Counts:
    counted = np.repeat(random.random(n_parts) < share, per_part).reshape(n_parts, per_part)
    return Counts(counted.sum(axis=1, keepdims=True).astype(float), np.full((n_parts, 1), float(per_part)))


def test_the_interval_over_parts_is_as_wide_as_theory_says() -> None:
    """Rows of a part stand and fall together: the standard error is that of the parts, not of the rows."""
    random = np.random.default_rng(0)
    first, second = (ones_of(random, share, 400, 5) for share in (0.6, 0.7))
    found = difference([first], [second])
    per_part = (second.counted - first.counted) / 5
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * per_part.std() / np.sqrt(400), rel=0.08)
    assert found.low < found.value < found.high


def test_seeds_that_differ_widen_the_interval() -> None:
    """With parts that all answer alike, what is left is the spread of the seeds: that of their mean."""
    rows = np.ones((50, 1))
    zero = Counts(0 * rows, rows)
    seeds = [Counts(share * rows, rows) for share in (0.1, 0.3, 0.4, 0.6, 0.7)]
    found = difference([zero] * 5, seeds, n_draws=20_000)
    error = np.std([0.1, 0.3, 0.4, 0.6, 0.7], ddof=1) / np.sqrt(5)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.08)


def test_equal_answers_differ_by_nothing() -> None:
    counts = ones_of(np.random.default_rng(0), 0.5, 30, 2)
    found = difference([counts, counts], [counts, counts])
    assert (found.value, found.low, found.high, found.excludes_zero) == (0, 0, 0, False)
