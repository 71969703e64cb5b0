"""Agreement with exact search, held to counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.search.agreement import AgreementTest
from miwake.indexer.search.proposing import ReferenceIndex, exact_index


class Forgetful:
    """Proposes like exact search, but never finds what is odd."""

    def __init__(self, embeddings: np.ndarray) -> None:
        self._embeddings = embeddings

    def search(self, queries: np.ndarray, n_proposed: int, *, params: object) -> tuple[np.ndarray, np.ndarray]:
        del params
        distances = np.linalg.norm(self._embeddings[None] - queries[:, None], axis=2)
        distances[:, 1::2] = np.inf
        order = np.argsort(distances, axis=1)[:, :n_proposed]
        return np.take_along_axis(distances, order, axis=1), order


def copies() -> np.ndarray:
    """Return 22 rows at each of 20 places."""
    return np.repeat(np.arange(20, dtype=np.float32), 22)[:, None] * np.ones((1, 3), dtype=np.float32)


def line() -> np.ndarray:
    return np.arange(400, dtype=np.float32)[:, None] * np.ones((1, 3), dtype=np.float32)


def test_exact_search_agrees_with_itself() -> None:
    embeddings = np.random.default_rng(0).standard_normal((300, 16), dtype=np.float32)
    found = AgreementTest(embeddings, 100, seed=0).agreement(exact_index(embeddings))
    assert (found.references, found.between, found.n_queries) == (1.0, 1.0, 300)


def test_what_an_index_never_finds_is_missing_from_the_agreement() -> None:
    index = ReferenceIndex(line(), Forgetful(line()), {"ef_search": 1})
    found = AgreementTest(line(), 15, seed=0).agreement(index)
    assert found.references == pytest.approx(0.5, abs=0.05)
    assert found.worst < 0.6


def test_copies_count_whichever_of_them_are_found() -> None:
    index = ReferenceIndex(copies(), Forgetful(copies()), {"ef_search": 1})
    # Half of the copies are never found, and ten others lie at the same place.
    assert AgreementTest(copies(), 100, seed=0).agreement(index).references == 1.0


def test_as_many_are_counted_as_there_are() -> None:
    embeddings = np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)
    found = AgreementTest(embeddings, 100, seed=0).agreement(exact_index(embeddings))
    assert (found.worst, found.n_queries) == (1.0, 5)


def test_few_candidates_are_held_to_as_many() -> None:
    embeddings = np.random.default_rng(0).standard_normal((50, 4), dtype=np.float32)
    assert AgreementTest(embeddings, 3, seed=0).agreement(exact_index(embeddings)).worst == 1.0
