"""SOART3 three times over: plain float64, the fused float32 kernel and torch say the same, whatever they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from miwake.indexer.soart3 import kernel
from miwake.indexer.soart3 import plain as soart3
from miwake.training import soart3 as soart3_torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Batch = tuple[NDArray[np.float32], NDArray[np.float32]]

FLOAT32_ERROR, FLOAT64_ERROR = 1e-6, 1e-12
"""Over max(1, |value|)."""

powers = st.tuples(st.integers(1, 8), st.integers(1, 8))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Queries (Q, D) and references (N, D): alike or not, long or short, in any number, from a drawn seed."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_queries, n_references = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    n_dimensions = draw(st.integers(1, 70) | st.just(1404))
    queries = random.standard_normal((n_queries, n_dimensions))
    others = random.standard_normal((n_references, n_dimensions))
    likeness = draw(st.sampled_from([0.0, 0.9, 0.999]))
    gain = draw(st.sampled_from([1.0, 0.8, -1.0]))
    near = gain * queries[random.integers(0, n_queries, n_references)]
    size = draw(st.sampled_from([1e-3, 1.0, 30.0, 255.0]))
    references = size * (likeness * near + (1 - likeness) * others)
    return (size * queries).astype(np.float32), references.astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    kernel.warm_up()


def assert_near(found: NDArray[np.floating], expected: NDArray[np.float64], error: float) -> None:
    assert (np.abs(found - expected) / np.maximum(1, np.abs(expected))).max() <= error


def unit_norm(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@given(batches(), powers)
@settings(deadline=None)
def test_the_kernel_agrees_with_the_definition(batch: Batch, powers: tuple[int, int]) -> None:
    queries, references = batch

    found = kernel.measures_all(queries, references, p_eta=powers[0], p_gamma=powers[1])

    expected = soart3.measures(queries, np.stack([references] * len(queries)), p_eta=powers[0], p_gamma=powers[1])
    assert_near(found.beta, expected.beta, FLOAT32_ERROR)
    assert_near(found.eta, expected.eta, FLOAT32_ERROR)
    assert_near(found.gamma, expected.gamma, FLOAT32_ERROR)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, FLOAT32_ERROR), (torch.float64, FLOAT64_ERROR)])
@given(batch=batches(), powers=powers)
@settings(deadline=None)
def test_torch_agrees_with_the_definition(
    batch: Batch,
    powers: tuple[int, int],
    dtype: torch.dtype,
    error: float,
) -> None:
    queries, references = batch

    found = soart3_torch.measures(
        torch.from_numpy(queries).to(dtype),
        torch.from_numpy(references).to(dtype)[None],
        p_eta=powers[0],
        p_gamma=powers[1],
    )

    expected = soart3.measures(queries, np.stack([references] * len(queries)), p_eta=powers[0], p_gamma=powers[1])
    assert_near(found.beta.numpy(), expected.beta, error)
    assert_near(found.eta.numpy(), expected.eta, error)
    assert_near(found.gamma.numpy(), expected.gamma, error)


@given(batches(), powers)
@settings(deadline=None)
def test_a_vector_explains_itself(batch: Batch, powers: tuple[int, int]) -> None:
    queries, _ = batch
    itself = np.arange(len(queries))[:, None]

    found = kernel.measures_by_id(queries, queries, itself, p_eta=powers[0], p_gamma=powers[1])

    np.testing.assert_array_equal(found.beta, 1)
    np.testing.assert_array_equal(found.eta, 0)
    np.testing.assert_array_equal(found.gamma, 0)
    np.testing.assert_array_equal(found.distance, 0)


@given(batches(), powers)
@settings(deadline=None)
def test_gamma_bears_the_sign_of_the_order_of_the_powers(batch: Batch, powers: tuple[int, int]) -> None:
    low, high = sorted(powers)

    rising = kernel.measures_all(*batch, p_eta=low, p_gamma=high).gamma
    falling = kernel.measures_all(*batch, p_eta=high, p_gamma=low).gamma

    assert (rising >= -FLOAT32_ERROR).all()
    np.testing.assert_allclose(falling, -rising, atol=FLOAT32_ERROR)


@given(batches(), st.integers(0, 2**32 - 1), powers)
@settings(deadline=None)
def test_the_order_of_the_references_changes_nothing(batch: Batch, seed: int, powers: tuple[int, int]) -> None:
    queries, references = batch
    order = np.random.default_rng(seed).permutation(len(references))

    found = kernel.measures_all(queries, references[order], p_eta=powers[0], p_gamma=powers[1])

    expected = kernel.measures_all(queries, references, p_eta=powers[0], p_gamma=powers[1])
    np.testing.assert_array_equal(found.eta, expected.eta[:, order])
    np.testing.assert_array_equal(found.gamma, expected.gamma[:, order])
    np.testing.assert_array_equal(found.distance, expected.distance[:, order])


@given(batches())
@settings(deadline=None)
def test_on_unit_norm_beta_is_the_cosine_and_eta_follows_from_it(batch: Batch) -> None:
    queries, references = (unit_norm(vectors.astype(np.float64)) for vectors in batch)

    found = soart3.measures(queries, np.stack([references] * len(queries)))

    cosine = np.clip(queries @ references.T, -1, 1)
    assert np.abs(found.beta - cosine).max() <= 2e-4
    squares = np.maximum(1 - cosine**2, 0) + (found.beta - cosine) ** 2
    np.testing.assert_allclose(found.eta, np.log1p(np.sqrt(squares)), atol=1e-6)


@given(batches(), powers)
@settings(deadline=None)
def test_the_deviation_and_beta_make_up_the_distance(batch: Batch, powers: tuple[int, int]) -> None:
    queries, references = batch

    found = kernel.measures_all(queries, references, p_eta=powers[0], p_gamma=powers[1])

    expected = np.linalg.norm(queries[:, None].astype(np.float64) - references, axis=2)
    np.testing.assert_allclose(found.distance, expected, rtol=FLOAT32_ERROR)
