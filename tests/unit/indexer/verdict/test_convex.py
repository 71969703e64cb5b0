import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from miwake.indexer.verdict.convex import fit_logistic, minimise

RIDGE = 1e-3
NO_BOUND = -np.inf


def terms(seed: int, weights: tuple[float, float, float], n_terms: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = rng.normal(0, 1, (2, n_terms))
    return columns, rng.random(n_terms) < expit(np.array(weights[:2]) @ columns + weights[2])


def plain_loss(weights: np.ndarray, columns: np.ndarray, is_one: np.ndarray) -> float:
    odds = weights[:-1] @ columns + weights[-1]
    return float(np.logaddexp(0, np.where(is_one, -odds, odds)).mean() + RIDGE * (weights[:-1] ** 2).sum())


@pytest.mark.parametrize("weights", [(1.0, 2.0, 0.5), (-1.0, 2.0, 0.0), (-1.0, -1.0, -2.0), (30.0, 30.0, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_weights_are_those_of_a_quasi_newton_method(weights: tuple[float, float, float], seed: int) -> None:
    columns, is_one = terms(seed, weights)
    least = np.array([0.0, 0.25, NO_BOUND])
    start = np.array([0.0, 0.25, 0.0])

    found = fit_logistic(columns, is_one, start, least, ridge=RIDGE)

    bounds = [(0.0, None), (0.25, None), (None, None)]
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000}
    plain = minimize(plain_loss, start, (columns, is_one), method="L-BFGS-B", bounds=bounds, options=options)
    assert plain_loss(found, columns, is_one) <= plain.fun + 1e-10
    np.testing.assert_allclose(found, plain.x, rtol=1e-3, atol=1e-3)


def test_no_weight_falls_below_its_least_value() -> None:
    columns, is_one = terms(0, (-3.0, -3.0, 0.0))

    found = fit_logistic(columns, is_one, np.ones(3), np.array([0.0, 0.25, NO_BOUND]), ridge=RIDGE)

    assert found[:2].tolist() == [0.0, 0.25]


def test_terms_that_are_told_apart_without_an_error_have_finite_weights() -> None:
    columns = np.linspace(-1, 1, 40)[None]

    found = fit_logistic(columns, columns[0] > 0, np.zeros(2), np.full(2, NO_BOUND), ridge=RIDGE)

    assert 1 < found[0] < 1000
    assert abs(found[1]) < 1e-4


def test_a_column_that_says_nothing_weighs_nothing() -> None:
    columns, is_one = terms(0, (1.0, 1.0, 0.0))
    columns[1] = 0

    found = fit_logistic(columns, is_one, np.ones(3), np.full(3, NO_BOUND), ridge=RIDGE)

    assert found[1] == pytest.approx(0, abs=1e-5)


def test_a_step_that_would_lose_is_halved() -> None:
    def evaluate(weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        root = np.sqrt(1 + weights**2)  # Newton's whole steps diverge beyond 1
        return float(root.sum()), weights / root, np.diag(root**-3)

    found = minimise(evaluate, np.array([3.0]), np.array([NO_BOUND]))

    assert found[0] == pytest.approx(0, abs=1e-5)
