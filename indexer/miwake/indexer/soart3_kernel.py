"""SOART3 fused and compiled: float32, one pass over each reference, by row number or against all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numba
import numpy as np

from miwake.indexer.errors import InvalidVectorError
from miwake.indexer.soart3 import P_ETA, P_GAMMA, REGULARISER, check_powers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NO_REFERENCE = -1
"""An id that stands for no reference: its measures are NaN."""

FASTMATH = frozenset({"reassoc", "contract", "nsz", "arcp"})
"""Sums may be reordered, which lets them be vectorised; NaN and infinity keep their meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuresF32:
    """How well references explain queries, and how far they lie from them.

    Attributes
    ----------
    beta, eta, gamma : (Q, M) float32
        As in ``miwake.indexer.soart3``.
    distance : (Q, M) float32
        Euclidean, from the differences y - x themselves: exactly 0 from a vector to itself.
    """

    beta: NDArray[np.float32]
    eta: NDArray[np.float32]
    gamma: NDArray[np.float32]
    distance: NDArray[np.float32]


def measures_by_id(
    queries: NDArray[np.float32],
    references: NDArray[np.float32],
    ids: NDArray[np.int64],
    *,
    p_eta: int = P_ETA,
    p_gamma: int = P_GAMMA,
) -> MeasuresF32:
    """Compute the measures of each query with its own candidates, which are read where they lie.

    Parameters
    ----------
    queries : (Q, D) float32
    references : (N, D) float32
    ids : (Q, M) int64
        Rows of ``references``; -1 stands for none, and gives NaN.
    p_eta, p_gamma : int
        Which norms of the residuals make eta and gamma, 1 … 8.

    Returns
    -------
    MeasuresF32
        Each (Q, M) float32.

    Raises
    ------
    InvalidVectorError
        If the arrays have other dimensions or disagree on Q or D.
    ValueError
        If an id is neither -1 nor a row of ``references``, or a p is no integer in 1 … 8.
    """
    check_powers(p_eta, p_gamma)
    y, x = _checked(queries, references)
    if ids.ndim != 2 or len(ids) != len(y):
        raise InvalidVectorError(expected=f"({len(y)}, M) ids", actual=ids.shape)
    rows = np.require(ids, np.int64, ["C", "A"])
    if rows.size and (rows.min() < NO_REFERENCE or rows.max() >= len(x)):
        query, candidate = np.argwhere((rows < NO_REFERENCE) | (rows >= len(x)))[0]
        message = f"ids[{query}, {candidate}] = {rows[query, candidate]}: expected -1 or a row in 0 … {len(x) - 1}"
        raise ValueError(message)
    out = np.empty((4, *rows.shape), dtype=np.float32)
    _compiled()(y, x, rows, p_eta, p_gamma, out)
    return MeasuresF32(beta=out[0], eta=out[1], gamma=out[2], distance=out[3])


def measures_all(
    queries: NDArray[np.float32], references: NDArray[np.float32], *, p_eta: int = P_ETA, p_gamma: int = P_GAMMA
) -> MeasuresF32:
    """Compute the measures of each query with every reference.

    As ``measures_by_id``; each result is (Q, N) float32.
    """
    ids = np.broadcast_to(np.arange(len(references)), (len(queries), len(references)))
    return measures_by_id(queries, references, ids, p_eta=p_eta, p_gamma=p_gamma)


def warm_up() -> None:
    """Compile the kernels, or load them from the cache on disk, so that the first query does not wait for it."""
    _compiled()


def _checked(
    queries: NDArray[np.float32], references: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if queries.ndim != 2:
        raise InvalidVectorError(expected="(Q, D)", actual=queries.shape)
    if references.ndim != 2 or references.shape[1] != queries.shape[1]:
        raise InvalidVectorError(expected=f"(N, {queries.shape[1]})", actual=references.shape)
    return np.require(queries, np.float32, ["C", "A"]), np.require(references, np.float32, ["C", "A"])


@cache
def _compiled() -> Callable[..., None]:
    f32, i64 = numba.float32, numba.int64
    vectors, rows = numba.types.Array(f32, 2, "C", readonly=True), numba.types.Array(i64, 2, "C", readonly=True)
    signature = numba.void(vectors, vectors, rows, i64, i64, numba.types.Array(f32, 3, "C"))
    compiled: Callable[..., None] = numba.njit([signature], cache=True, nogil=True, fastmath=set(FASTMATH))(_measure)
    return compiled


def _measure(y, x, ids, p_eta, p_gamma, out):  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
    n_dimensions = y.shape[1]
    for q in range(ids.shape[0]):
        for k in range(ids.shape[1]):
            row = ids[q, k]
            if row < 0:
                out[:, q, k] = np.nan
                continue
            xy = xx = 0.0
            for j in range(n_dimensions):
                xy += np.float64(x[row, j]) * y[q, j]
                xx += np.float64(x[row, j]) * x[row, j]
            beta = (xy + REGULARISER) / (xx + REGULARISER)
            largest = 0.0
            squares = 0.0
            for j in range(n_dimensions):
                largest = max(largest, abs(y[q, j] - beta * x[row, j]))
                squares += (np.float64(y[q, j]) - x[row, j]) ** 2
            m = v = 0.0
            if largest > 0:
                for j in range(n_dimensions):
                    share = abs(y[q, j] - beta * x[row, j]) / largest
                    m += share**p_eta
                    v += share**p_gamma
                m = largest * m ** (1 / p_eta)
                v = largest * v ** (1 / p_gamma)
            out[0, q, k] = beta
            out[1, q, k] = math.log1p(m)
            out[2, q, k] = math.log1p((m - v) / (1 + v))
            out[3, q, k] = math.sqrt(squares)
