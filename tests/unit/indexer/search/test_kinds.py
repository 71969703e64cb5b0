"""Indexes of every kind, built in this process, against exact search by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from miwake.indexer.errors import EmbedderError
from miwake.indexer.search.kinds import build_kind, efforts, least_probes
from miwake.indexer.search.proposing import ReferenceIndex, exact_index, propose

N, D = 400, 8
APPROXIMATE = ("ivf-flat", "hnsw", "ivf-pq")


def clusters(n_rows: int = N, n_dimensions: int = D) -> np.ndarray:
    random = np.random.default_rng(0)
    centres = random.standard_normal((10, n_dimensions))
    rows = centres[random.integers(0, 10, n_rows)] + 0.1 * random.standard_normal((n_rows, n_dimensions))
    return rows.astype(np.float32)


def index_of(kind: str, embeddings: np.ndarray, *, effort: int = -1) -> ReferenceIndex:
    if kind == "flat":
        return exact_index(embeddings)
    built, settled = build_kind(kind, embeddings, seed=0)
    return ReferenceIndex(embeddings, built, efforts(kind, settled)[effort])


def nearest_by_hand(embeddings: np.ndarray, queries: np.ndarray, n_nearest: int) -> np.ndarray:
    distances = np.linalg.norm(embeddings[None].astype(np.float64) - queries[:, None], axis=2)
    return np.argsort(distances, axis=1, kind="stable")[:, :n_nearest]


@pytest.mark.parametrize("kind", ["flat", *APPROXIMATE])
def test_every_kind_at_its_greatest_effort_proposes_the_true_nearest(kind: str) -> None:
    embeddings = clusters()
    queries = embeddings[:20] + np.float32(0.01)
    found = propose(index_of(kind, embeddings), queries, 30)
    expected = nearest_by_hand(embeddings, queries, 10)
    assert all(set(expected[row]) <= set(found[row]) for row in range(20))


@pytest.mark.parametrize("kind", ["flat", *APPROXIMATE])
def test_a_selector_lets_only_its_own_be_found(kind: str) -> None:
    embeddings = clusters()
    allowed = np.arange(0, N, 2)
    found = propose(index_of(kind, embeddings), embeddings[1:6], 40, selector=faiss.IDSelectorBatch(allowed))
    expected = allowed[nearest_by_hand(embeddings[allowed], embeddings[1:6], 10)]
    assert (found % 2 == 0).all()
    assert all(set(expected[row]) <= set(found[row]) for row in range(5))


@pytest.mark.parametrize("kind", ["flat", *APPROXIMATE])
def test_a_selector_of_fewer_than_asked_for_leaves_the_rest_empty(kind: str) -> None:
    embeddings = clusters()
    selector = faiss.IDSelectorBatch(np.array([3, 333]))
    found = propose(index_of(kind, embeddings), embeddings[:4], 5, selector=selector)
    assert np.sort(found, axis=1).tolist() == [[-1, -1, -1, 3, 333]] * 4


@pytest.mark.parametrize("kind", ["flat", *APPROXIMATE])
def test_a_lone_query_finds_what_it_finds_in_a_batch(kind: str) -> None:
    embeddings = clusters()
    index = index_of(kind, embeddings, effort=0)
    together = propose(index, embeddings[:64], 10)
    assert set(propose(index, embeddings[7:8], 10)[0]) == set(together[7])


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_where_the_lists_looked_into_hold_too_few_all_are_compared(kind: str) -> None:
    embeddings = clusters()
    found = propose(index_of(kind, embeddings, effort=0), embeddings[:3], N)
    assert np.sort(found, axis=1).tolist() == [list(range(N))] * 3


@pytest.mark.parametrize("kind", ["flat", *APPROXIMATE])
def test_a_query_that_is_no_number_is_an_error_and_no_neighbour(kind: str) -> None:
    embeddings = clusters()
    with pytest.raises(EmbedderError, match="not finite"):
        propose(index_of(kind, embeddings), np.full((1, D), np.nan, dtype=np.float32), 5)


@pytest.mark.parametrize("kind", ["ivf-flat", "ivf-pq"])
def test_copies_of_one_embedding_are_all_proposed(kind: str) -> None:
    embeddings = clusters()
    embeddings[100:130] = embeddings[5]
    found = propose(index_of(kind, embeddings), embeddings[5:6], 40)
    assert {5, *range(100, 130)} <= set(found[0])


@pytest.mark.parametrize("n_dimensions", [1, 3, 6, 7])
def test_codes_divide_any_number_of_dimensions(n_dimensions: int) -> None:
    embeddings = clusters(n_dimensions=n_dimensions)
    found = propose(index_of("ivf-pq", embeddings), embeddings[:5], 40)
    assert all(row in found[row] for row in range(5))


def test_the_lists_are_as_many_as_eight_roots_of_the_references() -> None:
    _, settled = build_kind("ivf-flat", clusters(20_000, 2), seed=0)
    assert 1100 <= settled["n_lists"] <= 1160


def probes(n_lists: int, n_references: int, n_candidates: int) -> list[int]:
    settled = {"n_lists": n_lists}
    least = least_probes(settled, n_references=n_references, n_candidates=n_candidates)
    return [one["n_probes"] for one in efforts("ivf-flat", settled, least=least)]


def test_an_effort_beyond_all_lists_is_not_tried() -> None:
    assert probes(7, 7000, 1) == [4, 6, 7]


def test_no_effort_looks_into_lists_that_hold_too_few_candidates() -> None:
    # Twenty references a list, and two hundred to be met.
    assert probes(1000, 20_000, 100)[:4] == [10, 12, 14, 16]


def test_with_more_candidates_than_references_all_lists_are_looked_into() -> None:
    assert probes(7, 140, 1000) == [7]


def test_no_more_than_the_share_of_lists_that_pays_is_looked_into() -> None:
    found = efforts("ivf-flat", {"n_lists": 100}, least=1, most_share=0.1)
    assert [one["n_probes"] for one in found] == [4, 6, 8, 10]


def test_another_library_that_patches_faiss_does_no_harm(tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
from faiss.contrib import torch_utils
from miwake.indexer.search.kinds import build_kind, efforts
from miwake.indexer.search.proposing import ReferenceIndex, propose
embeddings = np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32)
index, settled = build_kind("ivf-flat", embeddings, seed=0)
found = propose(ReferenceIndex(embeddings, index, efforts("ivf-flat", settled)[-1]), embeddings[:3], 1)
sys.stdout.write(str(found[:, 0].tolist()))
"""
    pytest.importorskip("torch", reason="the library that patches FAISS needs torch")
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)  # noqa: S603

    assert (ended.stdout, ended.returncode) == ("[0, 1, 2]", 0), ended.stderr
