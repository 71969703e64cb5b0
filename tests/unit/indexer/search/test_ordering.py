"""Candidates put in order by compiled loops, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.search.ordering import order_by_distance, pick


def some(n_queries: int, n_candidates: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(n_candidates)
    distances = (random.integers(0, 20, (n_queries, n_candidates)) / 8).astype(np.float32)
    distances[:, n_candidates // 2] = np.inf
    return distances, random.integers(0, 2**31, (n_queries, n_candidates))


@pytest.mark.parametrize("n_candidates", [1, 2, 15, 100, 300])
@pytest.mark.parametrize("n_kept", [1, 40, 1000])
def test_the_order_is_by_distance_and_then_by_position(n_candidates: int, n_kept: int) -> None:
    distances, positions = some(7, n_candidates)
    expected = np.lexsort((positions, distances), axis=1)[:, :n_kept]
    assert np.array_equal(order_by_distance(distances, positions, n_kept), expected)


@pytest.mark.parametrize("nothing", [np.nan, -np.nan])
def test_what_is_missing_comes_last(nothing: float) -> None:
    distances = np.array([[nothing, 2.0, nothing, np.inf, 0.0]], dtype=np.float32)
    positions = np.array([[-1, 5, -1, 6, 7]])
    assert order_by_distance(distances, positions, 5).tolist() == [[4, 1, 3, 0, 2]]


def test_twins_are_in_the_order_of_their_positions() -> None:
    order = order_by_distance(np.ones((1, 3), dtype=np.float32), np.array([[9, 4, 7]]), 2)
    assert order.tolist() == [[1, 2]]


@pytest.mark.parametrize("n_columns", [4, 5])
def test_what_is_picked_lies_where_the_order_says(n_columns: int) -> None:
    distances, positions = some(6, 30)
    columns = [distances + number for number in range(n_columns)]
    order = order_by_distance(distances, positions, 11)
    found_positions, found = pick(order, positions, columns)
    assert np.array_equal(found_positions, np.take_along_axis(positions, order, axis=1))
    assert np.array_equal(found, [np.take_along_axis(column, order, axis=1) for column in columns])
