"""The fused kernel: right in float32, safe with any ids, the same alone as in a batch."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.errors import InvalidVectorError
from miwake.indexer.soart3 import plain as soart3
from miwake.indexer.soart3.kernel import MeasuresF32, measures_all, measures_by_id
from support.soart3_cases import Soart3Case, all_cases

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ERROR = 1e-6
"""Over max(1, |value|): what float32 leaves of ordinary inputs."""

FIELDS = ("beta", "eta", "gamma", "distance")


def random_vectors(n: int, n_dimensions: int = 33, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, n_dimensions), dtype=np.float32)


def stacked(found: MeasuresF32) -> NDArray[np.float32]:
    return np.stack([getattr(found, field) for field in FIELDS])


@pytest.mark.parametrize("case", all_cases())
def test_float32_gives_what_was_worked_out(case: Soart3Case) -> None:
    query, reference = np.array([case.query], dtype=np.float32), np.array([case.reference], dtype=np.float32)

    found = measures_by_id(query, reference, np.array([[0]]), p_eta=case.p_eta, p_gamma=case.p_gamma)

    assert abs(float(found.beta[0, 0]) - case.beta) <= ERROR * max(1, abs(case.beta))
    assert abs(float(found.eta[0, 0]) - case.eta) <= ERROR * max(1, abs(case.eta))
    assert abs(float(found.gamma[0, 0]) - case.gamma) <= ERROR * max(1, abs(case.gamma))


def test_the_distance_is_euclidean() -> None:
    queries, references = random_vectors(3), random_vectors(200, seed=1)

    found = measures_all(queries, references)

    expected = np.linalg.norm(queries[:, None].astype(np.float64) - references, axis=2)
    np.testing.assert_allclose(found.distance, expected, rtol=ERROR)


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1, 255, 1e4, 1e18])
def test_a_vector_is_exactly_itself(scale: float) -> None:
    vectors = random_vectors(5, 1404) * np.float32(scale)

    found = measures_by_id(vectors, vectors, np.arange(5)[:, None])

    np.testing.assert_array_equal(found.distance, 0)
    np.testing.assert_array_equal(found.beta, 1)
    np.testing.assert_array_equal(found.eta, 0)
    np.testing.assert_array_equal(found.gamma, 0)


@pytest.mark.parametrize("powers", [(2, 6), (1, 4), (8, 8), (7, 3)])
@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e-4, 255, 1e4, 1.4e7, 1e18])
def test_no_scale_overflows(scale: float, powers: tuple[int, int]) -> None:
    queries, references = random_vectors(4) * np.float32(scale), random_vectors(9, seed=1) * np.float32(scale)

    found = measures_all(queries, references, p_eta=powers[0], p_gamma=powers[1])

    expected = soart3.measures(queries, np.stack([references] * 4), p_eta=powers[0], p_gamma=powers[1])
    np.testing.assert_allclose(found.beta, expected.beta, rtol=ERROR, atol=ERROR)
    np.testing.assert_allclose(found.eta, expected.eta, rtol=ERROR, atol=ERROR)
    np.testing.assert_allclose(found.gamma, expected.gamma, rtol=ERROR, atol=ERROR)


@pytest.mark.parametrize("gain", [-1, 0.5, 0.97, 3])
def test_near_copies_of_long_vectors_keep_their_small_residuals(gain: float) -> None:
    references = np.random.default_rng(0).random((4, 1404), dtype=np.float32) * 255
    queries = np.float32(gain) * references + random_vectors(4, 1404) * np.float32(0.01)

    found = measures_by_id(queries, references, np.arange(4)[:, None], p_eta=1, p_gamma=4)

    expected = soart3.measures(queries, references[:, None], p_eta=1, p_gamma=4)
    np.testing.assert_allclose(found.eta, expected.eta, rtol=ERROR, atol=ERROR)
    np.testing.assert_allclose(found.gamma, expected.gamma, rtol=ERROR, atol=ERROR)


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e-7, 1e-3, 0.4, 0.5, 1, 1e3, 1e9, 1e30])
def test_logarithms_are_right_for_every_size(size: float) -> None:
    found = measures_all(np.array([[size]], dtype=np.float32), np.zeros((1, 1), dtype=np.float32))

    assert float(found.eta[0, 0]) == pytest.approx(np.log1p(float(np.float32(size))), rel=3e-7, abs=0)
    assert found.gamma[0, 0] == pytest.approx(0, abs=ERROR)


def test_an_id_of_minus_one_stands_for_no_reference() -> None:
    queries, references = random_vectors(1), random_vectors(3, seed=1)

    found = stacked(measures_by_id(queries, references, np.array([[2, -1, 0]])))

    assert np.isnan(found[:, 0, 1]).all()
    np.testing.assert_array_equal(found[:, 0, [2, 0]], stacked(measures_all(queries, references))[:, 0, [0, 2]])


@pytest.mark.parametrize("wrong", [3, -2, 2**62, -(2**62)])
def test_an_id_that_is_no_row_is_refused(wrong: int) -> None:
    ids = np.zeros((2, 5), dtype=np.int64)
    ids[1, 3] = wrong

    with pytest.raises(ValueError, match=rf"ids\[1, 3\] = {wrong}: expected -1 or a row in 0 … 2"):
        measures_by_id(random_vectors(2), random_vectors(3), ids)


def test_without_references_there_is_nothing_to_measure() -> None:
    none = np.empty((0, 33), dtype=np.float32)

    assert np.isnan(stacked(measures_by_id(random_vectors(2), none, np.full((2, 7), -1)))).all()
    assert measures_all(random_vectors(2), none).eta.shape == (2, 0)


def test_without_queries_there_is_nothing_to_measure() -> None:
    none = np.empty((0, 33), dtype=np.float32)

    assert measures_by_id(none, random_vectors(2), np.empty((0, 4), dtype=np.int64)).eta.shape == (0, 4)
    assert measures_all(none, random_vectors(2)).eta.shape == (0, 2)


@pytest.mark.parametrize("powers", [(2, 6), (1, 4)])
def test_a_query_gets_the_same_alone_as_in_a_batch(powers: tuple[int, int]) -> None:
    queries, references = random_vectors(6, 128), random_vectors(301, 128, seed=1)

    together = stacked(measures_all(queries, references, p_eta=powers[0], p_gamma=powers[1]))

    alone = [stacked(measures_all(queries[[q]], references, p_eta=powers[0], p_gamma=powers[1])) for q in range(6)]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=1))


@pytest.mark.parametrize("n_candidates", [1, 2, 3, 5, 17, 127, 128, 129, 300])
def test_by_id_and_against_all_are_the_same(n_candidates: int) -> None:
    queries, references = random_vectors(2, 128), random_vectors(300, 128, seed=1)
    ids = np.random.default_rng(2).integers(0, 300, (2, n_candidates))

    chosen = stacked(measures_by_id(queries, references, ids))

    every = stacked(measures_all(queries, references))
    np.testing.assert_array_equal(chosen, np.take_along_axis(every, np.broadcast_to(ids, chosen.shape), axis=2))


def test_arrays_of_any_make_are_taken(tmp_path: Path) -> None:
    queries, references = random_vectors(3), random_vectors(8, seed=1)
    np.save(tmp_path / "references.npy", references)
    mapped = np.load(tmp_path / "references.npy", mmap_mode="r")
    expected = stacked(measures_all(queries, references))

    np.testing.assert_array_equal(stacked(measures_all(queries, mapped)), expected)
    np.testing.assert_array_equal(stacked(measures_all(np.asfortranarray(queries), references)), expected)
    np.testing.assert_array_equal(stacked(measures_all(queries.astype(np.float64), references)), expected)
    np.testing.assert_array_equal(stacked(measures_all(queries, references.astype(">f4"))), expected)


def test_nan_stays_nan() -> None:
    queries = random_vectors(2)
    queries[0, 7] = np.nan

    found = stacked(measures_all(queries, random_vectors(5, seed=1)))

    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()


def test_threads_do_not_disturb_each_other() -> None:
    queries, references = random_vectors(8, 128), random_vectors(500, 128, seed=1)
    expected = stacked(measures_all(queries, references))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: stacked(measures_all(queries, references)), range(16)))

    np.testing.assert_array_equal(np.stack(answers), np.broadcast_to(expected, (16, *expected.shape)))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidVectorError, match=r"shape \(3, 5\), expected \(N, 4\)"):
        measures_all(random_vectors(1, 4), random_vectors(3, 5))
    with pytest.raises(InvalidVectorError, match=r"shape \(2, 3\), expected \(1, M\) ids"):
        measures_by_id(random_vectors(1, 4), random_vectors(3, 4), np.zeros((2, 3), dtype=np.int64))


def test_other_powers_are_refused() -> None:
    with pytest.raises(ValueError, match="p_gamma = 9: expected an integer in 1 … 8"):
        measures_all(random_vectors(1), random_vectors(1), p_gamma=9)


def test_the_import_neither_compiles_nor_loads_numba() -> None:
    program = "import sys, miwake.indexer.soart3.kernel; sys.exit('numba' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)  # noqa: S603 - our own program

    assert done.returncode == 0
