"""Exhaustive search against sorting everything: in any space, over references stored and added, in any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.indexer.search.exhaustive import N_QUERIES, N_ROWS, best_matches
from miwake.indexer.search.rows import LiveRows
from miwake.indexer.search.spaces import LiveSpace
from miwake.indexer.soart3 import plain as soart3
from miwake.indexer.verdict.calibration import RerankSettings, Space
from miwake.indexer.verdict.match import MatchMix

MIX = MatchMix(scale_weight=2.0, deviation_weight=3.0, spread_weight=-1.0, bias=0.5)


def normal(*shape: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def live_rows(n_stored: int, n_added: int, *, holds_raw: bool = False) -> LiveRows:
    vectors, added = 100 * normal(n_stored, 12, seed=1), 100 * normal(n_added, 12, seed=2)
    return LiveRows(
        embeddings=normal(n_stored, 8, seed=3),
        vectors=vectors,
        raw=(vectors / np.float32(100)) if holds_raw else None,
        added_embeddings=normal(n_added, 8, seed=4),
        added_vectors=added,
        value_range=(0.0, 100.0),
    )


def by_hand(
    rows: LiveRows,
    settings: RerankSettings,
    embedded: NDArray[np.float32],
    vectors: NDArray[np.float32],
    positions: NDArray[np.int64],
    n_best: int,
) -> tuple[list[list[int]], NDArray[np.float64]]:
    """Return positions and scores of the best, from every reference, in float64."""
    is_embedding = settings.space == "embedding"
    queries = embedded if is_embedding else vectors / np.float32(100)
    embeddings = np.concatenate([rows.embeddings, rows.added_embeddings])
    references = embeddings if is_embedding else np.concatenate([rows.vectors, rows.added_vectors]) / np.float32(100)
    chosen = np.broadcast_to(references[positions], (len(queries), len(positions), references.shape[1]))
    found = soart3.measures(queries, chosen, p_eta=settings.p_eta, p_gamma=settings.p_gamma)
    scores = MIX.scores(found.beta, found.eta, found.gamma)
    order = np.argsort(scores, axis=1, kind="stable")[:, :n_best]
    return positions[order].tolist(), np.take_along_axis(scores, order, axis=1)


@pytest.mark.parametrize("holds_raw", [False, True])
@pytest.mark.parametrize(("space", "p_eta", "p_gamma"), [("embedding", 2, 6), ("embedding", 1, 4), ("raw", 3, 8)])
def test_the_best_of_all_are_found(space: Space, p_eta: int, p_gamma: int, holds_raw: bool) -> None:
    rows = live_rows(2 * N_ROWS + 5, 7, holds_raw=holds_raw)
    settings = RerankSettings(space=space, p_eta=p_eta, p_gamma=p_gamma)
    embedded, vectors = normal(N_QUERIES + 3, 8, seed=5), 100 * normal(N_QUERIES + 3, 12, seed=6)
    positions = np.arange(2 * N_ROWS + 12)
    live = LiveSpace(rows, settings)

    found = best_matches(live, embedded, live.queries(vectors, embedded), positions, MIX, 6)

    expected, scores = by_hand(rows, settings, embedded[:5], vectors[:5], positions, 6)
    assert found.positions[:5].tolist() == expected
    np.testing.assert_allclose(MIX.scores(found.beta, found.eta, found.gamma)[:5], scores, rtol=1e-5, atol=1e-5)
    references = np.concatenate([rows.embeddings, rows.added_embeddings])
    distances = np.linalg.norm(embedded[:, None] - references[found.positions], axis=2)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)


def test_only_the_given_positions_are_found() -> None:
    rows = live_rows(300, 20)
    settings = RerankSettings()
    embedded = normal(4, 8, seed=5)
    positions = np.concatenate([np.arange(1, 300, 7), [301, 302, 319]])

    found = best_matches(LiveSpace(rows, settings), embedded, embedded, positions, MIX, 10)

    assert found.positions.tolist() == by_hand(rows, settings, embedded, embedded, positions, 10)[0]


def test_equal_references_come_by_position_whatever_the_block() -> None:
    rows = live_rows(N_ROWS + 10, 0)
    rows.embeddings[:] = rows.embeddings[0]
    embedded = normal(1, 8, seed=5)

    found = best_matches(LiveSpace(rows, RerankSettings()), embedded, embedded, np.arange(N_ROWS + 10), MIX, 4)

    assert found.positions.tolist() == [[0, 1, 2, 3]]


def test_every_reference_may_be_asked_for() -> None:
    rows = live_rows(N_ROWS + 1, 2)
    embedded = normal(2, 8, seed=5)

    found = best_matches(LiveSpace(rows, RerankSettings()), embedded, embedded, np.arange(N_ROWS + 3), MIX, N_ROWS + 3)

    assert [sorted(row) for row in found.positions.tolist()] == [list(range(N_ROWS + 3))] * 2


@pytest.mark.parametrize("space", ["embedding", "raw"])
def test_candidates_are_measured_where_they_lie(space: Space) -> None:
    rows = live_rows(50, 5)
    settings = RerankSettings(space=space, p_eta=1, p_gamma=5)
    live = LiveSpace(rows, settings)
    embedded, vectors = normal(3, 8, seed=5), 100 * normal(3, 12, seed=6)
    positions = np.array([[0, 54, 7], [7, 7, 50], [49, 0, 1]])

    found = live.measure(embedded, live.queries(vectors, embedded), positions)

    every = live.measure_every(embedded, live.queries(vectors, embedded), np.arange(55))
    for one, all_of_them in zip(found.columns(), every.columns(), strict=True):
        np.testing.assert_allclose(one, np.take_along_axis(all_of_them, positions, axis=1), rtol=1e-6, atol=1e-6)


def test_many_candidates_are_measured_in_pieces() -> None:
    rows = live_rows(3000, 0)
    live = LiveSpace(rows, RerankSettings(space="raw"))
    embedded, vectors = normal(4, 8, seed=5), 100 * normal(4, 12, seed=6)
    positions = np.tile(np.arange(3000), (4, 1))

    found = live.measure(embedded, live.queries(vectors, embedded), positions)

    every = live.measure_every(embedded, live.queries(vectors, embedded), np.arange(3000))
    np.testing.assert_allclose(found.gamma, every.gamma, rtol=1e-6, atol=1e-6)
