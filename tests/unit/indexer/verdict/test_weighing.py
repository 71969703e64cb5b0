"""Votes held by compiled loops, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.search.candidates import Candidates
from miwake.indexer.verdict import weighing
from miwake.indexer.verdict.calibration import VoteSettings
from miwake.indexer.verdict.match import MatchMix
from miwake.indexer.verdict.votes import Classes
from support import plain_votes

N = 500
MIX = MatchMix(scale_weight=3.0, deviation_weight=2.0, spread_weight=-1.0, bias=-2.0)


def candidates(n_queries: int, n_candidates: int, *, is_spread: bool = False) -> Candidates:
    random = np.random.default_rng(n_queries * 1000 + n_candidates)
    shape = (n_queries, n_candidates)
    distances = np.sort(random.exponential(200 if is_spread else 1, shape), axis=1).astype(np.float32)
    distances[n_queries // 2, n_candidates - n_candidates // 3 :] = np.inf
    # Equal measures, so that ties are met.
    measures = [(random.integers(0, 6, shape) / 4).astype(np.float32) for _ in range(3)]
    return Candidates(random.integers(0, N, shape), distances, *measures)


def classes_of(labels: np.ndarray, pass_labels: tuple[int, ...]) -> Classes:
    return Classes.of(labels, pass_labels)


def labels() -> np.ndarray:
    return np.random.default_rng(5).choice(7, N, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.04, 0.01]).astype(np.int32)


@pytest.mark.parametrize("pass_labels", [(0,), (0, 2), (), (0, 1, 2, 3, 4, 5, 6)])
@pytest.mark.parametrize(("n_queries", "n_candidates"), [(1, 100), (40, 100), (5, 3), (4, 300)])
def test_both_votes_come_out_as_counted_by_hand(
    n_queries: int, n_candidates: int, pass_labels: tuple[int, ...]
) -> None:
    among = classes_of(labels(), pass_labels)
    anchors = np.random.default_rng(1).random((n_queries, len(among.labels)), dtype=np.float32)
    asked = (candidates(n_queries, n_candidates), anchors, among.columns(labels()), among, MIX, VoteSettings())
    found, expected = weighing.weigh(*asked), plain_votes.weigh(*asked)
    assert np.array_equal(found.ranking, expected.ranking)
    assert np.array_equal(found.method_columns, expected.method_columns)
    np.testing.assert_allclose(found.match_distances, expected.match_distances, rtol=1e-6)
    np.testing.assert_allclose(found.features.by_class, expected.features.by_class, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.features.sides, expected.features.sides, rtol=1e-9, atol=1e-9)


def test_a_query_is_weighed_alone_as_among_others() -> None:
    among = classes_of(labels(), (0,))
    anchors = np.random.default_rng(1).random((30, len(among.labels)), dtype=np.float32)
    every = candidates(30, 100)
    rest = among.columns(labels()), among, MIX, VoteSettings()
    together = weighing.weigh(every, anchors, *rest)
    alone = weighing.weigh(every.take(np.array([17])), anchors[17:18], *rest)
    assert np.array_equal(alone.features.by_class[0], together.features.by_class[17])
    assert np.array_equal(alone.ranking[0], together.ranking[17])


def test_far_queries_keep_finite_weights() -> None:
    among = classes_of(labels(), (0,))
    anchors = np.ones((10, len(among.labels)), dtype=np.float32)
    vote = VoteSettings(bandwidth=1e-3)
    asked = (candidates(10, 50, is_spread=True), anchors, among.columns(labels()), among, MIX, vote)
    found, expected = weighing.weigh(*asked), plain_votes.weigh(*asked)
    assert np.isfinite(found.features.by_class).all()
    np.testing.assert_allclose(found.features.by_class, expected.features.by_class, rtol=1e-9)


@pytest.mark.parametrize("n_voting", [1, 15, 200])
def test_failure_modes_are_voted_for_by_those_of_the_class(n_voting: int) -> None:
    random = np.random.default_rng(2)
    among = classes_of(labels(), (0,))
    columns = among.columns(labels())
    every = candidates(60, 100)
    anchors = np.ones((60, len(among.labels)), dtype=np.float32)
    weighed = weighing.weigh(every, anchors, columns, among, MIX, VoteSettings())
    codes = random.integers(0, 4, N).astype(np.int32)
    # Weights that no two sums of are equal, so that rounding decides nothing.
    weighed.match_distances[:] = random.random(weighed.match_distances.shape, dtype=np.float32)
    answered = random.integers(0, len(among.labels), 60)
    asked = (every, weighed, answered, columns, codes, np.arange(len(among.labels)) + 10, n_voting)
    found = weighing.vote_failure_modes(*asked)
    assert np.array_equal(found, plain_votes.vote_failure_modes(*asked))
    assert n_voting > 1 or (found >= 10).any()
