"""The loop that numba compiles for ``measuring``: the statistics of ``plain`` in float32, each map read once from L1.

Nothing is compiled when this is imported. It is one module because numba's cache notices a change only in the file of
the function that it has compiled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np

from miwake.indexer.health.plain import CURVE, DEAD, SATURATED, SHARP, SLACK
from miwake.indexer.soart3.plain import REGULARISER

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float32]
    Function = TypeVar("Function", bound=Callable[..., Any])

ZERO = np.float32(0)
NEAR_LOW, NEAR_HIGH = np.float32(SATURATED), np.float32(1 - SATURATED)
DEAD_SQUARED, ADDED = np.float32(DEAD**2), np.float32(SLACK)
SHARP_FOCUS, REGULAR = np.float32(SHARP), np.float32(REGULARISER)
DEAD_SUM = np.float32(0.1)
"""More than the steps of a dead line can add up to, of up to ten thousand cells."""


def _sum(function: Function) -> Function:
    """Compile into its callers, with sums in any order, so that they are vectorised."""
    fastmath = {"contract", "nsz", "reassoc"}
    compiled: Any = numba.njit(fastmath=fastmath, error_model="numpy", forceinline=True)(function)
    return cast("Function", compiled)


@_sum
def _scale(vector: Values, low: np.float32, per_width: np.float32, anchor: Values, u: Values) -> Any:
    """Write the vector on the unit scale; return its sum, its product with the anchor and its saturated cells."""
    total = product = ended = ZERO
    for j in range(len(u)):
        value = (vector[j] - low) * per_width
        u[j] = value
        total += value
        product += value * anchor[j]
        ended += np.float32((value <= NEAR_LOW) | (value >= NEAR_HIGH))
    return total, product, ended


@_sum
def _squares(u: Values, mean: np.float32) -> Any:
    total = ZERO
    for j in range(len(u)):
        total += (u[j] - mean) * (u[j] - mean)
    return total


@_sum
def _along(u: Values, steps_count: Values, curves_count: Values) -> Any:
    """Return the squared steps and curves along the rows, summed; the counts are 0 where a row ends, else 1."""
    steps = curves = ZERO
    for j in range(len(u) - 1):
        step = u[j + 1] - u[j]
        steps += steps_count[j] * (step * step)
    for j in range(len(u) - 2):
        curve = (u[j + 2] - u[j + 1]) - (u[j + 1] - u[j])
        curves += curves_count[j] * (curve * curve)
    return steps, curves


@_sum
def _down(u: Values, columns: Values) -> Any:
    """Write the squared steps of each column into ``columns``; return their squared curves, summed over all of them."""
    n_columns = len(columns)
    columns[:] = ZERO
    for first in range(0, len(u) - n_columns, n_columns):
        for j in range(n_columns):
            step = u[first + n_columns + j] - u[first + j]
            columns[j] += step * step
    curves = ZERO
    for j in range(len(u) - 2 * n_columns):
        curve = (u[j + 2 * n_columns] - u[j + n_columns]) - (u[j + n_columns] - u[j])
        curves += curve * curve
    return curves


@_sum
def _is_dead(row: Values) -> Any:
    """Return whether a row hardly steps; most that do are told by their two ends."""
    if abs(row[-1] - row[0]) > DEAD_SUM:
        return False
    steps = ZERO
    for j in range(len(row) - 1):
        steps += (row[j + 1] - row[j]) * (row[j + 1] - row[j])
    return steps <= DEAD_SQUARED


@_sum
def _count_dead(u: Values, n_rows: int, columns: Values) -> Any:
    n_columns = len(columns)
    n_dead = 0
    if n_columns > 1:
        for row in range(n_rows):
            n_dead += _is_dead(u[row * n_columns : (row + 1) * n_columns])
    if n_rows > 1:
        for j in range(n_columns):
            n_dead += columns[j] <= DEAD_SQUARED
    return n_dead


@_sum
def _focus(along: Any, down: Any, n_rows: int, n_columns: int) -> Any:
    """Return the focus from the squared steps and curves of both axes."""
    focus = SHARP_FOCUS
    if n_columns >= CURVE:
        focus = (along[1] + SHARP_FOCUS * ADDED) / (along[0] + ADDED)
    if n_rows >= CURVE:
        of_columns = (down[1] + SHARP_FOCUS * ADDED) / (down[0] + ADDED)
        focus = min(focus, of_columns) if n_columns >= CURVE else of_columns
    return focus


def measure_maps(
    vectors: Values, anchor: Values, n_columns: int, low: np.float32, per_width: np.float32, out: Values
) -> None:
    """Fill ``out``, (Q, 6), a column for each ``HealthStatistic``."""
    n_values = len(anchor)
    n_rows = n_values // n_columns
    u = np.empty(n_values, dtype=np.float32)
    columns = np.empty(n_columns, dtype=np.float32)
    steps_count, curves_count = np.ones(n_values, dtype=np.float32), np.ones(n_values, dtype=np.float32)
    steps_count[n_columns - 1 :: n_columns] = ZERO
    curves_count[n_columns - 1 :: n_columns] = ZERO
    if n_columns > 1:
        curves_count[n_columns - 2 :: n_columns] = ZERO
    size = REGULAR
    for j in range(n_values):
        size += anchor[j] * anchor[j]
    for q in range(len(vectors)):
        total, product, ended = _scale(vectors[q], low, per_width, anchor, u)
        mean = total / np.float32(n_values)
        out[q, 0] = mean
        out[q, 1] = math.sqrt(_squares(u, mean) / np.float32(n_values))
        out[q, 2] = (product + REGULAR) / size
        curves = _down(u, columns)
        out[q, 3] = _focus(_along(u, steps_count, curves_count), (columns.sum(), curves), n_rows, n_columns)
        out[q, 4] = ended / np.float32(n_values)
        out[q, 5] = np.float32(_count_dead(u, n_rows, columns)) / np.float32(n_rows + n_columns)
