"""SOART3 straight from its formula in float64: slow, plain, and what the fast and the torch version are held to.

::

    beta  = (x.y + 1e-4) / (x.x + 1e-4)              scale
    m     = |y - beta x|_p_eta
    v     = |y - beta x|_p_gamma
    eta   = ln(1 + m)                                deviation
    gamma = eta - ln(1 + v)                          spread

for a query y and a reference x; see docs/soart3.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import InvalidVectorError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

REGULARISER = 1e-4
"""Added above and below in beta, so that a zero reference stays finite (with beta = 1)."""

P_ETA = 2
P_GAMMA = 6
LARGEST_POWER = 8
"""The p of either norm is an integer in 1 … 8: past that a norm is the largest residual within a few per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """How well each of M references explains each of Q queries.

    Attributes
    ----------
    beta : (Q, M) float64
        Scale: the factor that fits the reference to the query; 1 where their sizes agree, negative where they oppose.
    eta : (Q, M) float64
        Deviation, ≥ 0: what the fitted reference leaves unexplained; 0 where it explains the query fully.
    gamma : (Q, M) float64
        Spread, ≥ 0 for p_eta ≤ p_gamma: 0 where the deviation sits in one cell, growing with the number of cells.
    """

    beta: NDArray[np.float64]
    eta: NDArray[np.float64]
    gamma: NDArray[np.float64]


def measures(queries: ArrayLike, references: ArrayLike, *, p_eta: int = P_ETA, p_gamma: int = P_GAMMA) -> Measures:
    """Compute beta, eta and gamma of every query with each of its own references.

    Parameters
    ----------
    queries : (Q, D)
    references : (Q, M, D)
        M for each query.
    p_eta, p_gamma : int
        Which norms of the residuals make eta and gamma, 1 … 8.

    Returns
    -------
    Measures
        Each (Q, M) float64.

    Raises
    ------
    InvalidVectorError
        If the arrays have other dimensions or disagree on Q or D.
    ValueError
        If a p is no integer in 1 … 8.

    Examples
    --------
    >>> found = measures([[2.0, 4.0]], [[[1.0, 2.0]]])
    >>> found.beta.round(3), found.eta.round(3)
    (array([[2.]]), array([[0.]]))
    """
    check_powers(p_eta, p_gamma)
    y = np.asarray(queries, dtype=np.float64)
    x = np.asarray(references, dtype=np.float64)
    if y.ndim != 2:
        raise InvalidVectorError(expected="(Q, D)", actual=y.shape)
    if x.ndim != 3 or (len(x), x.shape[2]) != y.shape:
        raise InvalidVectorError(expected=f"({y.shape[0]}, M, {y.shape[1]})", actual=x.shape)
    y = y[:, np.newaxis]
    beta = ((x * y).sum(axis=-1) + REGULARISER) / ((x * x).sum(axis=-1) + REGULARISER)
    residuals = y - beta[..., np.newaxis] * x
    # ln(1 + m) as it is defined, not log1p: the two differ by a rounding, 1e-12 of the smallest golden values.
    eta = np.log(1 + _norm(residuals, p_eta))
    return Measures(beta=beta, eta=eta, gamma=eta - np.log(1 + _norm(residuals, p_gamma)))


def check_powers(p_eta: int, p_gamma: int) -> None:
    """Raise a ``ValueError`` unless both are integers in 1 … 8."""
    for name, power in (("p_eta", p_eta), ("p_gamma", p_gamma)):
        if int(power) != power or not 1 <= power <= LARGEST_POWER:
            message = f"{name} = {power}: expected an integer in 1 … {LARGEST_POWER}"
            raise ValueError(message)


def _norm(residuals: NDArray[np.float64], power: int) -> NDArray[np.float64]:
    """Return the p-norms over the last axis."""
    sizes = np.abs(residuals)
    # Scaled by the largest, so that the power neither overflows nor vanishes.
    largest = sizes.max(axis=-1, initial=0.0)
    scale = np.where(largest > 0, largest, 1.0)
    shares = sizes / scale[..., np.newaxis]
    norms: NDArray[np.float64] = scale * (shares**power).sum(axis=-1) ** (1 / power)
    return norms
