"""The health statistics as they are defined, in float64: what the compiled loop is held to.

On the unit scale, u = (value - low) / (high - low), with the pass anchor a, the mean map of ordinary passes:

::

    mean        the mean of u
    spread      the standard deviation of u
    gain        (a.u + 1e-4) / (a.a + 1e-4)            SOART3's beta of the map against the anchor
    focus       the smaller, over both axes, of        (curves + 3 slack) / (steps + slack)
                steps  = sum of (u[i + 1] - u[i])^2     along the axis
                curves = sum of (u[i + 2] - 2 u[i + 1] + u[i])^2
    saturation  the share of cells within 0.01 of 0 or 1, or beyond them
    dead lines  the share of rows and columns whose steps are, squared and summed, at most 0.001^2

Focus is high-pass energy as a share of the energy of edges, a mean squared spatial frequency: 3 for white noise,
towards 0 for a blur. It depends neither on gain nor on how many edges a part has, and the smaller of both axes also
tells a blur along one of them. docs/adr/0009-input-health.md has the figures of the definitions that were compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.soart3.plain import REGULARISER

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

SATURATED = 0.01
"""How near to an end of the value range a cell is saturated, as a share of the range."""

DEAD = 1e-3
"""A line all of whose steps are together smaller than this, a quarter of one grey level of 256, is dead."""

SLACK = 1e-3
"""An axis with hardly any steps says nothing of focus: it counts as sharp."""

SHARP = 3.0
"""Focus of white noise."""

CURVE = 3
"""Cells that a second difference takes."""


def statistics(
    vectors: NDArray[np.floating[Any]],
    anchor: NDArray[np.floating[Any]],
    shape: tuple[int, int],
    value_range: tuple[float, float],
) -> NDArray[np.float64]:
    """Return the statistics of inspection vectors, a column for each ``HealthStatistic``.

    Parameters
    ----------
    vectors : (Q, V)
        Raw values.
    anchor : (V,)
        On the unit scale.
    shape : (rows, columns)
        rows x columns = V; axes of fewer than three cells tell nothing of focus, of one cell nothing of dead lines.
    value_range : (low, high)

    Returns
    -------
    (Q, 6) float64
    """
    low, high = value_range
    flat = (np.asarray(vectors, dtype=np.float64) - low) / (high - low)
    maps = flat.reshape(len(flat), *shape)
    anchor = np.asarray(anchor, dtype=np.float64)
    return np.stack(
        [
            flat.mean(axis=1),
            flat.std(axis=1),
            (flat @ anchor + REGULARISER) / (anchor @ anchor + REGULARISER),
            _focus(maps),
            ((flat <= SATURATED) | (flat >= 1 - SATURATED)).mean(axis=1),
            _dead_lines(maps),
        ],
        axis=1,
    )


def _focus(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    axes = [axis for axis in (1, 2) if maps.shape[axis] >= CURVE]
    if not axes:
        return np.full(len(maps), SHARP)
    return np.asarray(np.min([_sharpness(maps, axis) for axis in axes], axis=0))


def _sharpness(maps: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    steps = np.square(np.diff(maps, axis=axis)).sum(axis=(1, 2))
    curves = np.square(np.diff(maps, n=2, axis=axis)).sum(axis=(1, 2))
    return np.asarray((curves + SHARP * SLACK) / (steps + SLACK))


def _dead_lines(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    _, n_rows, n_columns = maps.shape
    rows = (np.square(np.diff(maps, axis=2)).sum(axis=2) <= DEAD**2) & (n_columns > 1)
    columns = (np.square(np.diff(maps, axis=1)).sum(axis=1) <= DEAD**2) & (n_rows > 1)
    return np.asarray((rows.sum(axis=1) + columns.sum(axis=1)) / (n_rows + n_columns))
