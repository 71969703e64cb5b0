"""The health statistics of many inspection vectors, compiled, in float32; held to the plain twin ``plain``.

The loop is imported, and compiled or read from numba's cache, at the first call or by ``warm_up``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.answers import HealthStatistic
from miwake.indexer.compiling import compile_loop
from miwake.indexer.errors import InvalidVectorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

N_STATISTICS = len(HealthStatistic)


def statistics(
    vectors: NDArray[np.float32],
    anchor: NDArray[np.float32],
    shape: tuple[int, int],
    value_range: tuple[float, float],
) -> NDArray[np.float32]:
    """Return the statistics of inspection vectors, a column for each ``HealthStatistic``.

    Parameters
    ----------
    vectors : (Q, V) float32
        Raw values, finite.
    anchor : (V,) float32
        The mean map of ordinary passes, on the unit scale.
    shape : (rows, columns)
        rows x columns = V.
    value_range : (low, high)
        What becomes 0 and 1 on the unit scale.

    Returns
    -------
    (Q, 6) float32

    Raises
    ------
    InvalidVectorError
        If the vectors are not (Q, V).

    Notes
    -----
    ``miwake.indexer.health.plain`` has the definitions.
    """
    n_values = shape[0] * shape[1]
    if vectors.ndim != 2 or vectors.shape[1] != n_values:
        raise InvalidVectorError(expected=f"(Q, {n_values})", actual=vectors.shape)
    low, high = value_range
    out = np.empty((len(vectors), N_STATISTICS), dtype=np.float32)
    maps = np.require(vectors, np.float32, ["C_CONTIGUOUS", "ALIGNED"])
    _compiled()(maps, anchor, shape[1], np.float32(low), np.float32(1 / (high - low)), out)
    return out


def warm_up() -> None:
    """Compile the loop, or read it from the cache on disk, so that the first query does not wait for it."""
    _compiled()


@cache
def _compiled() -> Callable[..., None]:
    import numba  # noqa: PLC0415 - heavy; who only names these functions does not pay for it

    from miwake.indexer.health import loops  # noqa: PLC0415 - likewise

    types: Any = numba.types
    maps = types.Array(types.float32, 2, "C", readonly=True)
    anchor = types.Array(types.float32, 1, "C", readonly=True)
    out = types.Array(types.float32, 2, "C")
    signature = types.void(maps, anchor, types.int64, types.float32, types.float32, out)
    return compile_loop(loops.measure_maps, signature)
