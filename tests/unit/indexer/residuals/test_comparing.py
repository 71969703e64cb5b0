"""The compiled comparison with reference maps beside a plain twin, which tries every move in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.indexer.answers import ReferenceMap, ResidualBatch
from miwake.indexer.errors import InvalidVectorError
from miwake.indexer.residuals.comparing import MEASURES, compare
from miwake.indexer.soart3 import plain

SHAPE = (12, 9)
TOLERANCE = 2e-6
"""Of the compiled measures over the greater of 1 and their value: they are stored in float32."""


def overlapping(
    query: NDArray[np.float64], reference: NDArray[np.float64], down: int, right: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cells (n,) of both maps in which both lie where the reference is moved."""
    rows, columns = query.shape
    own = query[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)]
    other = reference[max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)]
    return own.ravel(), other.ravel()


def best_move(query: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[int, int]:
    moves = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    correlations = [np.corrcoef(*overlapping(query, reference, *move))[0, 1] for move in moves]
    return moves[int(np.argmax(correlations))]


def norms(residuals: NDArray[np.float64]) -> list[float]:
    return [float(np.linalg.norm(residuals, order)) for order in (2, 6, np.inf)]


def measured_plainly(query: NDArray[np.float32], reference: NDArray[np.float32]) -> list[float]:
    """Return the move and the nine measures of one pair of maps."""
    whole, other = query.astype(np.float64).reshape(SHAPE), reference.astype(np.float64).reshape(SHAPE)
    move = best_move(whole, other)
    y, x = overlapping(whole, other, *move)
    soart3 = plain.measures(y[None], x[None, None])
    own = [(one - one.mean()) / max(one.std(), 1e-6) for one in (y, x)]
    return [
        *move,
        float(soart3.beta[0, 0]),
        float(soart3.eta[0, 0]),
        float(soart3.gamma[0, 0]),
        *norms(y - x),
        *norms(own[0] - own[1]),
    ]


def told(batch: ResidualBatch) -> NDArray[np.float64]:
    """Return the moves and measures of a batch, (Q, 11)."""
    return np.column_stack([batch.shift_rows, batch.shift_columns, *(getattr(batch, name) for name in MEASURES)])


def maps_of(n: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((n, SHAPE[0] * SHAPE[1]), dtype=np.float32)


def moved(maps: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """Return maps moved round their edge."""
    return np.roll(maps.reshape(-1, *SHAPE), (down, right), (1, 2)).reshape(len(maps), -1)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, -2), (-1, 2), (0, 1)])
@pytest.mark.parametrize("gain", [1.0, 0.4])
def test_the_loop_agrees_with_its_plain_twin(down: int, right: int, gain: float) -> None:
    references = maps_of(20, 1)
    queries = (gain * moved(references, down, right) + 0.1 * maps_of(20, 2)).astype(np.float32)

    found = told(compare(queries, references, np.arange(20), SHAPE, ReferenceMap.TEMPLATE))

    expected = np.array([measured_plainly(*pair) for pair in zip(queries, references, strict=True)])
    assert (found[:, :2] == [down, right]).all()
    np.testing.assert_array_less(np.abs(found - expected) / np.maximum(1, np.abs(expected)), TOLERANCE)


def test_a_map_moved_under_another_gain_is_explained_fully() -> None:
    references = maps_of(3, 1)

    found = compare(np.float32(0.5) * moved(references, 1, -2), references, np.arange(3), SHAPE, ReferenceMap.TEMPLATE)

    np.testing.assert_allclose(found.beta, 0.5, atol=1e-5)
    assert max(found.eta.max(), found.standardised_largest.max()) < 1e-4
    assert found.largest.min() > 0.3


def test_what_a_move_brings_in_at_the_border_is_not_compared() -> None:
    reference = maps_of(1, 1)
    query = moved(reference, 2, 0)
    query[:, : 2 * SHAPE[1]] = 0

    found = compare(query, reference, np.zeros(1, dtype=np.int64), SHAPE, ReferenceMap.TEMPLATE)

    assert (found.shift_rows[0], found.l2[0]) == (2, 0)


def test_a_move_that_leaves_only_flat_cells_explains_nothing() -> None:
    query, reference = np.full(SHAPE, 0.3, dtype=np.float32), np.full(SHAPE, 0.3, dtype=np.float32)
    query[0], reference[-2:] = 0.9, 0.8  # moved down by two rows, both would lose all that they show

    found = compare(
        query.reshape(1, -1), reference.reshape(1, -1), np.zeros(1, dtype=np.int64), SHAPE, ReferenceMap.TEMPLATE
    )

    assert found.shift_rows[0] == 0
    np.testing.assert_allclose(found.l2[0], np.sqrt(9 * 0.6**2 + 18 * 0.5**2), rtol=1e-5)


def test_a_map_is_not_moved_for_next_to_nothing() -> None:
    striped = np.tile(np.array([0, 1], dtype=np.float32), SHAPE[0] * SHAPE[1])[: SHAPE[0] * (SHAPE[1] - 1)]
    query = striped.reshape(1, -1)

    found = compare(query, query, np.zeros(1, dtype=np.int64), (SHAPE[0], SHAPE[1] - 1), ReferenceMap.TEMPLATE)

    assert (found.shift_rows[0], found.shift_columns[0], found.largest[0]) == (0, 0, 0)


def test_a_flat_reference_map_says_where_something_is_that_should_not_be() -> None:
    query = np.full((1, SHAPE[0] * SHAPE[1]), 0.25, dtype=np.float32)
    query[0, 40] = 0.75

    found = compare(query, np.full_like(query, 0.25), np.zeros(1, dtype=np.int64), SHAPE, ReferenceMap.TEMPLATE)

    assert (found.shift_rows[0], found.shift_columns[0], found.largest[0]) == (0, 0, 0.5)
    assert np.isfinite(told(found)).all()


def test_queries_share_a_reference_map_or_have_none() -> None:
    references, queries = maps_of(2, 1), maps_of(3, 2)

    found = compare(queries, references, np.array([1, -1, 1]), SHAPE, ReferenceMap.CLASS_MEAN)

    alone = compare(queries[2:], references[1:], np.zeros(1, dtype=np.int64), SHAPE, ReferenceMap.CLASS_MEAN)
    assert found.reference.tolist() == [ReferenceMap.CLASS_MEAN, ReferenceMap.NONE, ReferenceMap.CLASS_MEAN]
    assert np.isnan(told(found)[1, 2:]).all()
    np.testing.assert_array_equal(told(found)[2], told(alone)[0])


@pytest.mark.parametrize("shape", [(1, 12), (4, 3), (2, 2)])
def test_a_small_map_is_compared_too(shape: tuple[int, int]) -> None:
    maps = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32)[None] ** 2

    found = compare(maps, maps, np.zeros(1, dtype=np.int64), shape, ReferenceMap.TEMPLATE)

    assert found.l2[0] == 0
    assert found.standardised_l2[0] == pytest.approx(0, abs=1e-6)


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(InvalidVectorError, match=r"expected \(Q, 108\)"):
        compare(maps_of(1, 1)[:, :-1], maps_of(1, 1), np.zeros(1, dtype=np.int64), SHAPE, ReferenceMap.TEMPLATE)


def test_a_reference_map_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="row 1 of 1 reference maps"):
        compare(maps_of(1, 1), maps_of(1, 2), np.ones(1, dtype=np.int64), SHAPE, ReferenceMap.TEMPLATE)
