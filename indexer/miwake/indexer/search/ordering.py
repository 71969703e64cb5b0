"""Candidates put in order, and those picked that are wanted; compiled, for whole batches.

The loops are in ``order_loops``, which is imported, and compiled or read from numba's cache, at the first call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.compiling import compile_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MOST_COUNTED = 256
"""Candidates that are put in order by counting: of more, sorting is sooner done."""


def order_by_distance(distances: NDArray[np.float32], positions: NDArray[np.int64], n_kept: int) -> NDArray[np.int64]:
    """Return the columns (Q, K) of the nearest of (Q, M) candidates, nearest first, ties by position.

    Distances are not negative; what is not a number comes last.
    """
    if distances.shape[1] > MOST_COUNTED:
        return np.lexsort((positions, distances), axis=1)[:, :n_kept]
    order = np.empty((len(distances), min(n_kept, distances.shape[1])), dtype=np.int64)
    _compiled().order(np.ascontiguousarray(distances), np.ascontiguousarray(positions), order)
    return order


def pick(
    order: NDArray[np.int64], positions: NDArray[np.int64], columns: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the positions (Q, K) and columns (n, Q, K) float32 at the places that ``order``, (Q, K), names.

    Parameters
    ----------
    positions : (Q, M) int64
    columns : four or five (Q, M) float32
    """
    picked_positions = np.empty(order.shape, dtype=np.int64)
    picked = np.empty((len(columns), *order.shape), dtype=np.float32)
    whole = tuple(map(np.ascontiguousarray, columns))
    _compiled().pick(np.ascontiguousarray(order), np.ascontiguousarray(positions), whole, picked_positions, picked)
    return picked_positions, picked


@dataclass(frozen=True, slots=True)
class _Loops:
    order: Callable[..., None]
    pick: Callable[..., None]


@cache
def _compiled() -> _Loops:
    import numba  # noqa: PLC0415 - heavy; who only names these functions does not pay for it

    from miwake.indexer.search import order_loops  # noqa: PLC0415 - likewise

    types: Any = numba.types
    given = types.Array(types.float32, 2, "C", readonly=True)
    rows = types.Array(types.int64, 2, "C", readonly=True)
    out_rows, out = types.Array(types.int64, 2, "C"), types.Array(types.float32, 3, "C")
    picking = [types.void(rows, rows, types.UniTuple(given, n), out_rows, out) for n in (4, 5)]
    return _Loops(
        compile_loop(order_loops.order_by_distance, types.void(given, rows, out_rows)),
        compile_loop(order_loops.pick, *picking),
    )
