"""Inverted lists searched for a batch at once, held to FAISS, which searches them query by query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from miwake.indexer.search.inverted import MET_AT_ONCE, InvertedLists
from miwake.indexer.search.kinds import build_kind

N_PROBES, N_CANDIDATES = 6, 40


def clusters(n_rows: int, n_dimensions: int) -> np.ndarray:
    random = np.random.default_rng(3)
    centres = 4 * random.standard_normal((30, n_dimensions))
    rows = centres[random.integers(0, 30, n_rows)] + random.standard_normal((n_rows, n_dimensions))
    return rows.astype(np.float32)


def built(embeddings: np.ndarray) -> Any:
    return build_kind("ivf-flat", embeddings, seed=0)[0]


def by_faiss(index: Any, queries: np.ndarray, n_nearest: int, n_probes: int) -> Any:
    make: Any = faiss.SearchParametersIVF
    search = getattr(index, "search_numpy", index.search)  # as ``proposing`` does: other libraries patch FAISS
    return search(queries, n_nearest, params=make(nprobe=n_probes))


# 13 and 100 dimensions leave something over, whatever the width of a processor's vectors.
@pytest.mark.parametrize("n_dimensions", [1, 13, 64, 100, 128])
@pytest.mark.parametrize("n_queries", [1, 2, 70])
def test_what_is_found_is_what_faiss_finds(n_dimensions: int, n_queries: int) -> None:
    embeddings = clusters(3000, n_dimensions)
    index = built(embeddings)
    queries = clusters(3100, n_dimensions)[3000 : 3000 + n_queries]
    distances, expected = by_faiss(index, queries, N_CANDIDATES, N_PROBES)
    lists = InvertedLists.of(index)
    assert lists is not None
    found = lists.search(queries, N_CANDIDATES, N_PROBES)
    # What is as far as the last of them, but for rounding, may be another.
    nearer = distances < distances[:, -1:] * (1 - 1e-5)
    assert all(set(expected[row][nearer[row]]) <= set(found[row].tolist()) for row in range(n_queries))
    assert all(len(set(row)) == N_CANDIDATES for row in found.tolist())


def test_a_query_finds_the_same_alone_and_beside_any_others() -> None:
    embeddings = clusters(3000, 24)
    lists = InvertedLists.of(built(embeddings))
    assert lists is not None
    together = lists.search(embeddings[:50], N_CANDIDATES, N_PROBES)
    alone = np.vstack([lists.search(embeddings[row : row + 1], N_CANDIDATES, N_PROBES) for row in range(50)])
    assert np.array_equal(together, alone)


def test_where_the_lists_hold_too_few_the_rest_are_missing_and_come_last() -> None:
    embeddings = clusters(300, 8)
    index = built(embeddings)
    lists = InvertedLists.of(index)
    assert lists is not None
    found = lists.search(embeddings[:5], 300, 1)
    expected = by_faiss(index, embeddings[:5], 300, 1)[1]
    assert np.array_equal(np.sort(found, axis=1), np.sort(expected, axis=1))
    assert (found[:, -1] == -1).all()
    assert (np.diff((found < 0).astype(int), axis=1) >= 0).all()


def test_more_lists_than_there_are_are_all_of_them() -> None:
    embeddings = clusters(300, 8)
    lists = InvertedLists.of(built(embeddings))
    assert lists is not None
    assert np.array_equal(np.sort(lists.search(embeddings[:2], 300, 1000)), [np.arange(300)] * 2)


def test_equal_references_are_each_found_once() -> None:
    embeddings = np.repeat(clusters(100, 8), 4, axis=0)
    lists = InvertedLists.of(built(embeddings))
    assert lists is not None
    found = lists.search(embeddings[:3], 2, 100)
    assert ((found // 4) == 0).all()
    assert (found[:, 0] != found[:, 1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_query_that_is_not_finite_finds_nothing_and_its_neighbours_what_they_find_alone(value: float) -> None:
    embeddings = clusters(3000, 8)
    lists = InvertedLists.of(built(embeddings))
    assert lists is not None
    queries = embeddings[:3].copy()
    queries[1, 2] = value
    found = lists.search(queries, N_CANDIDATES, N_PROBES)
    assert (found[1] == -1).all()
    assert np.array_equal(found[[0, 2]], lists.search(embeddings[[0, 2]], N_CANDIDATES, N_PROBES))


def test_queries_that_meet_very_many_references_find_the_same_in_pieces() -> None:
    embeddings = clusters(3000, 8)
    lists = InvertedLists.of(built(embeddings))
    assert lists is not None
    n_queries = MET_AT_ONCE // len(embeddings) + 50
    found = lists.search(embeddings[:n_queries], 5, 1000)
    assert np.array_equal(found[-100:], lists.search(embeddings[n_queries - 100 : n_queries], 5, 1000))


@pytest.mark.parametrize("kind", ["hnsw", "ivf-pq"])
def test_other_kinds_have_no_such_lists(kind: str) -> None:
    assert InvertedLists.of(build_kind(kind, clusters(400, 8), seed=0)[0]) is None


def test_lists_in_which_there_is_nothing_are_searched_past(tmp_path: Path) -> None:
    embeddings = np.repeat(clusters(40, 8), 25, axis=0)  # fewer kinds of rows than lists
    index = built(embeddings)
    faiss.write_index(index, str(tmp_path / "index.faiss"))
    stored: Any = faiss.read_index(str(tmp_path / "index.faiss"))
    for one in (index, stored):
        assert min(one.invlists.list_size(number) for number in range(one.nlist)) == 0
        lists = InvertedLists.of(one)
        assert lists is not None
        found = lists.search(embeddings[::25], 25, one.nlist)
        assert np.array_equal(np.sort(found, axis=1), np.arange(len(embeddings)).reshape(40, 25))


def of_kind(*settings: Any) -> Any:
    """Return an inverted file of halves, made and filled by FAISS itself."""
    embeddings = clusters(400, 8)
    flat: Any = faiss.IndexFlatL2(8)
    make: Any = faiss.IndexIVFScalarQuantizer
    index = make(flat, 8, 4, faiss.ScalarQuantizer.QT_fp16, *settings)
    flat.this.disown()
    index.own_fields = True
    index.train(embeddings)
    index.add(embeddings)
    return index


def test_lists_that_hold_something_else_than_vectors_are_left_to_faiss() -> None:
    assert InvertedLists.of(of_kind(faiss.METRIC_L2, False)) is not None
    assert InvertedLists.of(of_kind(faiss.METRIC_L2, True)) is None
    assert InvertedLists.of(of_kind(faiss.METRIC_INNER_PRODUCT, False)) is None
