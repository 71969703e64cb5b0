"""The loops that numba compiles for ``ordering``; nothing is compiled when this is imported.

It is one module because numba's cache notices a change only in the file of the function that it has compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float32]
    Rows = NDArray[np.int64]
    Function = TypeVar("Function", bound=Callable[..., Any])

SIGN_LESS = np.int32(0x7FFFFFFF)
"""The bits of a float32 without its sign: in the order of numbers that are not negative, and not a number last."""

DISTANCE_SHIFT, POSITION_MASK = np.int64(32), np.int64(0xFFFFFFFF)
"""A distance and a position make one key: generations have fewer than 2^32 references."""


def _part(function: Function) -> Function:
    compiled: Any = numba.njit(error_model="numpy", forceinline=True)(function)
    return cast("Function", compiled)


def _instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    return intrinsic(function)


@_instruction
def _bits(_context: Any, _number: Any) -> Any:
    """Return the bits of a float32 as an int32."""
    return types.int32(types.float32), lambda _c, builder, _s, given: builder.bitcast(given[0], ir.IntType(32))


@_part
def _rank_of(keys: Rows, place: int) -> Any:
    """Return how many keys come before the one at a place; of equal ones the first does."""
    key, n_before = keys[place], np.int64(0)
    for j in range(place):
        n_before += np.int64(keys[j] <= key)
    for j in range(place + 1, len(keys)):
        n_before += np.int64(keys[j] < key)
    return n_before


def order_by_distance(distances: Values, positions: Rows, order: Rows) -> None:
    """Fill ``order``, (Q, K), with the columns of (Q, M) candidates, nearest first, ties by position.

    Each counts those before it, which is vectorised: of a hundred sooner done than sorting.
    """
    keys = np.empty(distances.shape[1], np.int64)
    n_kept = order.shape[1]
    for q in range(len(order)):
        for k in range(len(keys)):
            distance = np.int64(_bits(distances[q, k]) & SIGN_LESS)
            keys[k] = (distance << DISTANCE_SHIFT) | (positions[q, k] & POSITION_MASK)
        for k in range(len(keys)):
            rank = _rank_of(keys, k)
            if rank < n_kept:
                order[q, rank] = k


def pick(order: Rows, positions: Rows, columns: tuple[Values, ...], picked_positions: Rows, picked: Values) -> None:
    """Fill with the entries of (Q, M) positions and columns that ``order``, (Q, K), names."""
    for q in range(order.shape[0]):
        for k in range(order.shape[1]):
            picked_positions[q, k] = positions[q, order[q, k]]
    for number in range(len(columns)):
        column = columns[number]
        for q in range(order.shape[0]):
            for k in range(order.shape[1]):
                picked[number, q, k] = column[q, order[q, k]]
