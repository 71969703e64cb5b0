"""Comparing maps with their reference maps, compiled; held to a plain twin by the tests.

The loop is imported, and compiled or read from numba's cache, at the first call or by ``warm_up``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.answers import ReferenceMap, ResidualBatch
from miwake.indexer.compiling import compile_loop
from miwake.indexer.errors import InvalidVectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MEASURES = (
    "beta", "eta", "gamma", "l2", "l6", "largest", "standardised_l2", "standardised_l6", "standardised_largest",
)  # fmt: skip
"""The columns of a ``ResidualBatch`` that are measures, in the order of the loop."""


def compare(
    queries: NDArray[np.float32],
    references: NDArray[np.float32],
    rows: NDArray[np.int64],
    shape: tuple[int, int],
    kind: ReferenceMap,
) -> ResidualBatch:
    """Return how maps differ from reference maps, each moved by up to two cells to where it correlates most.

    Only the cells in which both lie are compared: nothing is known of what would come in at the border.

    Parameters
    ----------
    queries : (Q, V) float32
    references : (R, V) float32
        Both on the unit scale, finite.
    rows : (Q,) int64
        Which reference map each query is compared with; -1 for none.
    shape : (rows, columns)
        rows x columns = V.
    kind : ReferenceMap
        What the reference maps are.

    Raises
    ------
    InvalidVectorError
        If the maps are not (Q, V) and (R, V).
    IndexError
        If there is no such reference map.

    Notes
    -----
    A map of fewer than five rows or columns is moved by less. beta, eta and gamma with powers 2 and 6 as in
    ``miwake.indexer.soart3.plain``.
    """
    n_values = shape[0] * shape[1]
    for maps in (queries, references):
        if maps.ndim != 2 or maps.shape[1] != n_values:
            raise InvalidVectorError(expected=f"(Q, {n_values})", actual=maps.shape)
    if len(rows) and rows.max() >= len(references):
        message = f"row {rows.max()} of {len(references)} reference maps"
        raise IndexError(message)
    out = np.full((len(queries), 2 + len(MEASURES)), np.nan, dtype=np.float32)
    out[:, :2] = 0
    asked = np.ascontiguousarray(rows, dtype=np.int64)
    _compiled()(_dense(queries), _dense(references), asked, shape[1], out)
    return ResidualBatch(
        reference=np.where(asked >= 0, kind, ReferenceMap.NONE).astype(np.uint8),
        shift_rows=out[:, 0].astype(np.int8),
        shift_columns=out[:, 1].astype(np.int8),
        **{name: out[:, column].copy() for column, name in enumerate(MEASURES, start=2)},
    )


def _dense(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.require(maps, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def warm_up() -> None:
    """Compile the loop, or read it from the cache on disk, so that the first query does not wait for it."""
    _compiled()


@cache
def _compiled() -> Callable[..., None]:
    import numba  # noqa: PLC0415 - heavy; who only names these functions does not pay for it

    from miwake.indexer.residuals import loops  # noqa: PLC0415 - likewise

    types: Any = numba.types
    maps = types.Array(types.float32, 2, "C", readonly=True)
    rows = types.Array(types.int64, 1, "C", readonly=True)
    out = types.Array(types.float32, 2, "C")
    return compile_loop(loops.compare_maps, types.void(maps, maps, rows, types.int64, out))
