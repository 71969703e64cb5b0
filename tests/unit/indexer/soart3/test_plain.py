"""SOART3 in plain float64: the formula, its corners, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.errors import InvalidVectorError
from miwake.indexer.soart3.plain import measures
from support.soart3_cases import Soart3Case, all_cases

RELATIVE = 1e-12
"""Rounding of float64 in sums of up to 1,404 terms stays well below."""


@pytest.mark.parametrize("case", all_cases())
def test_the_definition_gives_what_was_worked_out(case: Soart3Case) -> None:
    found = measures([case.query], [[case.reference]], p_eta=case.p_eta, p_gamma=case.p_gamma)

    assert found.beta[0, 0] == pytest.approx(case.beta, rel=RELATIVE, abs=0)
    assert found.eta[0, 0] == pytest.approx(case.eta, rel=RELATIVE, abs=0)
    assert found.gamma[0, 0] == pytest.approx(case.gamma, rel=RELATIVE, abs=0)


def test_a_scaled_reference_explains_its_query_whatever_the_scale() -> None:
    reference = np.array([3.0, -5.0, 8.0])

    found = measures([-4 * reference], [[reference]])

    assert found.beta[0, 0] == pytest.approx(-4, abs=1e-5)  # 5e-4 / 98, the share of what is added to x.x
    assert found.eta[0, 0] == pytest.approx(0, abs=1e-4)


def test_every_query_meets_its_own_references() -> None:
    queries = np.array([[1.0, 0.0], [0.0, 1.0]])
    references = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])

    found = measures(queries, references)

    np.testing.assert_array_equal(found.eta[:, 0], [0.0, 0.0])
    np.testing.assert_array_equal(found.eta[0], found.eta[1])


def test_the_largest_residuals_do_not_overflow() -> None:
    found = measures([[1e60, 1e60]], [[[0.0, 0.0]]], p_eta=8, p_gamma=8)

    assert found.eta[0, 0] == pytest.approx(np.log(1e60) + np.log(2) / 8, rel=1e-12)
    assert found.gamma[0, 0] == 0


def test_no_references_give_no_measures() -> None:
    assert measures(np.ones((3, 4)), np.ones((3, 0, 4))).beta.shape == (3, 0)


def test_references_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidVectorError, match=r"vectors of shape \(2, 3, 5\), expected \(2, M, 4\)"):
        measures(np.ones((2, 4)), np.ones((2, 3, 5)))


def test_a_query_that_is_no_batch_is_refused() -> None:
    with pytest.raises(InvalidVectorError, match=r"vectors of shape \(4,\), expected \(Q, D\)"):
        measures(np.ones(4), np.ones((1, 3, 4)))


@pytest.mark.parametrize(
    ("p_eta", "p_gamma", "message"),
    [
        (0, 6, "p_eta = 0: expected an integer in 1 … 8"),
        (2, 9, "p_gamma = 9: expected an integer in 1 … 8"),
        (2.5, 6, "p_eta = 2.5: expected an integer in 1 … 8"),
    ],
)
def test_other_powers_are_refused(p_eta: float, p_gamma: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measures(np.ones((1, 2)), np.ones((1, 1, 2)), p_eta=p_eta, p_gamma=p_gamma)  # type: ignore[arg-type]


def test_gamma_depends_on_the_unit() -> None:
    even = np.ones((1, 16))  # m = 4 and v = 16^(1/6): their ratio is the same in every unit

    gammas = [measures(unit * even, np.zeros((1, 1, 16))).gamma.item() for unit in (1e-3, 1.0, 1e3)]

    assert gammas == pytest.approx([0.0024, 0.6588, 0.9238], abs=1e-4)


def test_beta_reads_the_gain_of_a_noisy_map() -> None:
    random = np.random.default_rng(0)
    reference = random.random(36 * 39)
    query = 0.8 * reference + random.normal(scale=0.02, size=36 * 39)

    # The noise of beta is that of a cell over |x|: 0.02 / 21.9.
    assert measures([query], [[reference]]).beta.item() == pytest.approx(0.8, abs=4 * 0.02 / 21.9)
