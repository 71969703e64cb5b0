"""The nearest references of a pool against comparing all of it, with an index of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.indexer.search.kinds import build_kind, efforts
from miwake.indexer.search.pool import Pool, propose_among
from miwake.indexer.search.proposing import ReferenceIndex, exact_index

KINDS = ["flat", "ivf-flat", "hnsw", "ivf-pq"]
N, D = 3000, 16


def clustered(n: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((30, D))
    return (centres[random.integers(0, 30, n)] + 0.2 * random.standard_normal((n, D))).astype(np.float32)


EMBEDDINGS = clustered(N, 1)
QUERIES = clustered(40, 2)


@pytest.fixture(scope="module", params=KINDS)
def index(request: pytest.FixtureRequest) -> ReferenceIndex:
    if request.param == "flat":
        return exact_index(EMBEDDINGS)
    found, settled = build_kind(request.param, EMBEDDINGS, seed=0)
    return ReferenceIndex(EMBEDDINGS, found, list(efforts(request.param, settled))[-1])


def nearest_by_hand(positions: NDArray[np.int64], n_nearest: int) -> list[set[int]]:
    distances = np.linalg.norm(QUERIES[:, None].astype(np.float64) - EMBEDDINGS[positions], axis=2)
    return [set(positions[row].tolist()) for row in distances.argsort(axis=1)[:, :n_nearest]]


def is_superset(found: NDArray[np.int64], wanted: list[set[int]]) -> list[bool]:
    return [set(row) >= expected for row, expected in zip(found.tolist(), wanted, strict=True)]


@pytest.mark.parametrize("share", [0.002, 0.1, 0.7, 1.0])
def test_small_pools_are_compared_whole_with_any_kind(index: ReferenceIndex, share: float) -> None:
    stored = np.flatnonzero(np.random.default_rng(3).random(N) < share)
    pool = Pool(stored, np.array([N, N + 4]))

    found = propose_among(pool, index, QUERIES, 20)

    assert all(is_superset(found, nearest_by_hand(stored, 20)))
    assert set(np.unique(found)) <= set(pool.positions.tolist())
    assert (found[:, -2:] == [N, N + 4]).all()


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_the_index_proposes_from_large_pools(index: ReferenceIndex, share: float) -> None:
    stored = np.flatnonzero(np.random.default_rng(3).random(N) < share)

    found = propose_among(Pool(stored, np.empty(0, dtype=np.int64)), index, QUERIES, 20, exact_at_most=0)

    assert set(np.unique(found)) <= set(stored.tolist())
    hits = [len(set(row) & wanted) for row, wanted in zip(found.tolist(), nearest_by_hand(stored, 20), strict=True)]
    assert sum(hits) >= 0.99 * 20 * len(QUERIES)


def test_a_pool_of_added_references_alone_needs_no_index(index: ReferenceIndex) -> None:
    found = propose_among(Pool(np.empty(0, dtype=np.int64), np.array([N, N + 1])), index, QUERIES, 20)

    assert found.tolist() == [[N, N + 1]] * len(QUERIES)


def test_a_pool_smaller_than_what_is_wanted_is_all_there_is(index: ReferenceIndex) -> None:
    stored = np.array([5, 17, 2999])

    found = propose_among(Pool(stored, np.empty(0, dtype=np.int64)), index, QUERIES, 20)

    assert [sorted(row) for row in found.tolist()] == [[5, 17, 2999]] * len(QUERIES)
