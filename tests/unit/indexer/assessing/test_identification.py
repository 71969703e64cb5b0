from __future__ import annotations

import numpy as np

from miwake.indexer.assessing.identification import Search, search, search_anchors, search_references
from miwake.indexer.assessing.roc import FALSE_RATES, AtRate
from support.trials import random_trial

LABELS = np.array([0, 1], dtype=np.int32)
FOUND = search(
    np.array([[[1, 5], [2, 3]], [[1, 2], [2, 9]], [[4, 5], [3, np.inf]]], dtype=np.float32),
    np.array([0, 1, 7], dtype=np.int32),
    LABELS,
    3,
)
"""Two queries whose class is in the gallery, and one whose is not."""


def everyone(n_queries: int) -> np.ndarray:
    return np.ones(n_queries, dtype=np.bool_)


def test_the_rank_is_one_more_than_what_is_no_farther() -> None:
    assert FOUND.ranks[:2].tolist() == [1, 3]
    assert FOUND.mated.tolist() == [1, 2, np.inf]
    assert FOUND.nonmated.tolist() == [2, 1, 3]


def test_the_match_curve_counts_ranks() -> None:
    found = FOUND.identification(everyone(3), ["a", "b", "c"])
    assert found.n_queries == 2
    assert found.cumulative == (0.5, 0.5, 1.0)
    assert found.rank_1 is not None
    assert found.rank_5 is not None
    assert (found.rank_1.value, found.rank_5.value) == (0.5, 1.0)


def test_three_alarms_are_too_few_for_any_rate() -> None:
    found = FOUND.identification(everyone(3), ["a", "b", "c"])
    assert found.detected == tuple(AtRate(rate, None) for rate in FALSE_RATES)


def test_queries_whose_class_is_not_there_have_no_rank() -> None:
    found = FOUND.identification(np.array([False, False, True]), ["a", "b", "c"])
    assert (found.n_queries, found.rank_1, found.cumulative) == (0, None, ())
    assert found.curve[-1] == AtRate(1.0, None)


def test_rows_of_one_part_widen_the_interval() -> None:
    ranks = np.repeat([1, 2], 20)
    one = Search(np.ones(40, dtype=np.float32), np.ones(40, dtype=np.float32), ranks, 5)
    apart = one.identification(everyone(40), [str(row) for row in range(40)]).rank_1
    together = one.identification(everyone(40), [str(row // 10) for row in range(40)]).rank_1
    assert apart is not None
    assert together is not None
    assert together.high - together.low > apart.high - apart.low


def test_detected_agrees_with_trying_every_threshold() -> None:
    rng = np.random.default_rng(2)
    mated = np.round(rng.normal(1, 0.5, 2000), 2).astype(np.float32)
    nonmated = np.round(rng.normal(1.6, 0.5, 2000), 2).astype(np.float32)
    ranks = np.where(mated < nonmated, 1, 2)
    found = Search(mated, nonmated, ranks, 5).identification(everyone(2000), [""] * 2000)
    slow = [
        max(
            float(((ranks == 1) & (mated <= bound)).mean())
            for bound in [-1.0, *np.unique(mated)]
            if (nonmated <= bound).mean() <= allowed
        )
        for allowed in FALSE_RATES
    ]
    assert [one.true_rate for one in found.detected] == slow


def test_ranks_agree_with_sorting_the_whole_gallery() -> None:
    trial = random_trial()
    lists = np.stack([trial.nearest(np.flatnonzero(trial.references.labels == one), 20) for one in (0, 4, 5)], axis=1)
    found = search_references(trial, {"euclidean": lists})["euclidean"]
    everything = trial.nearest(np.arange(90), 20)
    for row, positions in enumerate(everything):
        own = trial.references.labels[positions[positions >= 0]] == trial.queries.labels[row]
        assert min(found.ranks[row], 21) == (int(own.argmax()) + 1 if own.any() else 21)


def test_anchors_rank_as_many_as_there_are() -> None:
    found = search_anchors(random_trial(space="raw"))["soart3"].identification(everyone(40), [""] * 40)
    assert len(found.cumulative) == 3
    assert found.cumulative[-1] == 1.0
