"""SOART3 fused and compiled, in float32: by row number, without gathering rows first, or against every reference.

The loops are in ``loops``, which is imported, and compiled or read from numba's cache, at the first call or by
``warm_up``. They run on one thread and without the interpreter's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from miwake.indexer.compiling import compile_loop
from miwake.indexer.errors import InvalidVectorError
from miwake.indexer.soart3.plain import P_ETA, P_GAMMA, check_powers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuresF32:
    """How well references explain queries, and how far they lie from them.

    Attributes
    ----------
    beta, eta, gamma : (Q, M) float32
        As in ``miwake.indexer.soart3.plain``.
    distance : (Q, M) float32
        Euclidean, from residuals (docs/soart3.md, equation 6): exactly 0 from a vector to itself.
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
    rows = _plain(ids, np.int64)
    out = np.empty((4, *rows.shape), dtype=np.float32)
    refused = _compiled().by_id(y, x, rows, (int(p_eta), int(p_gamma)), out)
    if refused >= 0:
        query, candidate = divmod(refused, rows.shape[1])
        message = f"ids[{query}, {candidate}] = {rows[query, candidate]}: expected -1 or a row in 0 … {len(x) - 1}"
        raise ValueError(message)
    return MeasuresF32(beta=out[0], eta=out[1], gamma=out[2], distance=out[3])


def measures_all(
    queries: NDArray[np.float32], references: NDArray[np.float32], *, p_eta: int = P_ETA, p_gamma: int = P_GAMMA
) -> MeasuresF32:
    """Compute the measures of each query with every reference.

    Parameters
    ----------
    queries : (Q, D) float32
    references : (N, D) float32
    p_eta, p_gamma : int
        Which norms of the residuals make eta and gamma, 1 … 8.

    Returns
    -------
    MeasuresF32
        Each (Q, N) float32.

    Raises
    ------
    InvalidVectorError
        If the arrays have other dimensions or disagree on D.
    ValueError
        If a p is no integer in 1 … 8.
    """
    check_powers(p_eta, p_gamma)
    y, x = _checked(queries, references)
    out = np.empty((4, len(y), len(x)), dtype=np.float32)
    _compiled().all(y, x, (int(p_eta), int(p_gamma)), out)
    return MeasuresF32(beta=out[0], eta=out[1], gamma=out[2], distance=out[3])


def warm_up() -> None:
    """Compile the loops, or read them from the cache on disk, so that the first query does not wait for it."""
    _compiled()


def _checked(
    queries: NDArray[np.float32], references: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if queries.ndim != 2:
        raise InvalidVectorError(expected="(Q, D)", actual=queries.shape)
    if references.ndim != 2 or references.shape[1] != queries.shape[1]:
        raise InvalidVectorError(expected=f"(N, {queries.shape[1]})", actual=references.shape)
    return _plain(queries, np.float32), _plain(references, np.float32)


def _plain(array: NDArray[Number], dtype: type[Number]) -> NDArray[Number]:
    """Return the array in the one form that was compiled for; what has it already is not copied."""
    if type(array) is np.ndarray and array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])


@dataclass(frozen=True, slots=True)
class _Loops:
    by_id: Callable[..., int]
    all: Callable[..., None]


@cache
def _compiled() -> _Loops:
    import numba  # noqa: PLC0415 - heavy; who only names these functions does not pay for it

    from miwake.indexer.soart3 import loops  # noqa: PLC0415 - likewise

    types: Any = numba.types
    # Read-only, so that arrays which are (memory-mapped ones) need no second version.
    vectors = types.Array(types.float32, 2, "C", readonly=True)
    ids = types.Array(types.int64, 2, "C", readonly=True)
    powers = types.UniTuple(types.int64, 2)
    out = types.Array(types.float32, 3, "C")
    return _Loops(
        compile_loop(loops.measure_by_id, types.int64(vectors, vectors, ids, powers, out)),
        compile_loop(loops.measure_all, types.void(vectors, vectors, powers, out)),
    )
