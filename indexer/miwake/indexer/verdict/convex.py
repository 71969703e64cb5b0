"""Fitting a few weights, some of which have a least value, to many terms: Newton's method, projected.

The losses that calibration fits have four weights at most and tens of thousands of terms: what counts is how often
these are summed up. Newton's method needs about seven sums where a quasi-Newton one needs sixteen, and no BLAS of its
own, whose threads wait for each other longer than such sums take.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MAX_ROUNDS = 100
"""Far more than Newton's method needs; it ends where nothing is gained any more."""

MAX_HALVINGS = 40
LEFT = 1e-11
"""Of a loss of about 1, what a further step may promise to gain and not be taken: rounding is hardly less."""

GAINED = 1e-4
"""The least share of what the slope promises that a step must gain (Armijo)."""

FLATTEST = 1e-12
"""Added to the curvature, which rounding may take from a loss that is all but linear."""

Evaluate = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64], NDArray[np.float64]]]
"""Returns loss, slope (k,) and curvature (k, k) at (k,) weights."""


def minimise(evaluate: Evaluate, start: NDArray[np.float64], least: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights (k,) float64 with the least loss, none below its least value.

    Weights that lie on their bound and would leave it are held; the others take a Newton step, which is cut off at
    their bounds and halved until it gains (D. P. Bertsekas, Projected Newton Methods, SIAM J. Control 20, 1982).

    Parameters
    ----------
    evaluate : callable
        Of a convex function with positive definite curvature.
    start : (k,) float64
    least : (k,) float64
        Minus infinity where there is no bound.
    """
    weights = np.maximum(start, least)
    loss, slope, curvature = evaluate(weights)
    for _ in range(MAX_ROUNDS):
        free = np.flatnonzero((weights > least) | (slope < 0))
        step = np.zeros_like(weights)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)] + FLATTEST * np.eye(len(free)), slope[free])
        if slope @ step <= LEFT:
            break
        share = 1.0
        for _ in range(MAX_HALVINGS):
            tried = np.maximum(weights - share * step, least)
            found = evaluate(tried)
            if found[0] <= loss - GAINED * float(slope @ (weights - tried)):
                break
            share /= 2
        else:  # what could still be gained is less than rounding
            break
        weights, (loss, slope, curvature) = tried, found
    return weights


def fit_logistic(
    columns: NDArray[np.floating],
    is_one: NDArray[np.bool_],
    start: NDArray[np.float64],
    least: NDArray[np.float64],
    *,
    ridge: float,
) -> NDArray[np.float64]:
    """Return the weights (k + 1,) of the log odds of ``is_one``, the last of them the bias, by penalised likelihood.

    Parameters
    ----------
    columns : (k, P) float
        What is weighed.
    is_one : (P,) bool
    start, least : (k + 1,) float64
        See ``minimise``.
    ridge : float
        Penalty on the squared weights but the bias.
    """
    rows = np.vstack([columns, np.ones(columns.shape[1])])
    sign, n_terms = np.where(is_one, -1.0, 1.0), columns.shape[1]
    penalty = np.append(np.full(len(columns), ridge), 0.0)

    def evaluate(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        margin = sign * (weights @ rows)
        raised = np.exp(-np.abs(margin))
        likely = 1.0 / (1.0 + raised)
        unlikely = raised * likely
        loss = float((np.maximum(margin, 0.0) + np.log(1.0 + raised)).mean() + penalty @ weights**2)
        error = sign * np.where(margin > 0, likely, unlikely)
        slope = rows @ error / n_terms + 2 * penalty * weights
        curvature = (rows * (likely * unlikely)) @ rows.T / n_terms + 2 * np.diag(penalty)
        return loss, slope, curvature

    return minimise(evaluate, start, least)
