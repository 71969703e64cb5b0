"""The loop that numba compiles for ``comparing``: maps moved to where they fit best, and what is left of them there.

Nothing is compiled when this is imported. It is one module because numba's cache notices a change only in the file of
the function that it has compiled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np

from miwake.indexer.soart3.plain import REGULARISER

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Function = TypeVar("Function", bound=Callable[..., Any])

MOST_CELLS = 2
"""By which a reference map is moved up, down, left and right."""

N_MOVES = 2 * MOST_CELLS + 1
LEAST_SPREAD = 1e-6
"""Of a map on the unit scale: less is flat, and nothing correlates with it."""

LEAST_OWN_SHARE = 1e-3
"""Of the squares of overlapping cells about the mean of the whole map, what is left about their own mean: with less
they are flat, all structure lies outside of them, and rounding would decide."""

WORTH_MOVING = 1e-4
"""By which a correlation must be more than that of a lesser move: far beyond rounding, so that no machine differs."""

NOWHERE = -2.0
"""Less than any correlation."""


def _sum(function: Function) -> Function:
    """Compile into its callers, with sums in any order and maxima of numbers only, so that they are vectorised."""
    fastmath = {"contract", "nsz", "reassoc", "nnan"}
    compiled: Any = numba.njit(fastmath=fastmath, error_model="numpy", forceinline=True)(function)
    return cast("Function", compiled)


@_sum
def _centre(values: Any, centred: Any) -> None:
    """Write the values less their mean: sums of squares of small numbers lose less."""
    total = np.float32(0)
    for j in range(len(values)):
        total += values[j]
    mean = total / np.float32(len(values))
    for j in range(len(values)):
        centred[j] = values[j] - mean


@_sum
def _windows(values: Any, n_columns: int, totals: Any, squares: Any) -> None:
    """Fill the (5, 5) sums, and sums of squares, of what is left when rows and columns are dropped.

    Place (2 + a, 2 + b) is without the first a rows, or the last -a, and without the first b columns, or the last -b.
    """
    n_rows = len(values) // n_columns
    most_rows, most_columns = min(MOST_CELLS, (n_rows - 1) // 2), min(MOST_CELLS, (n_columns - 1) // 2)
    totals[:] = 0.0
    squares[:] = 0.0
    for row in range(n_rows):
        line = values[row * n_columns : (row + 1) * n_columns]
        whole = whole_squares = 0.0
        for j in range(n_columns):
            value = np.float64(line[j])
            whole += value
            whole_squares += value * value
        for b in range(-most_columns, most_columns + 1):
            total, square = whole, whole_squares
            for j in range(b):
                value = np.float64(line[j])
                total -= value
                square -= value * value
            for j in range(n_columns + b, n_columns):
                value = np.float64(line[j])
                total -= value
                square -= value * value
            for a in range(-most_rows, most_rows + 1):
                if a <= row < n_rows + a:
                    totals[MOST_CELLS + a, MOST_CELLS + b] += total
                    squares[MOST_CELLS + a, MOST_CELLS + b] += square


@_sum
def _pad(values: Any, n_columns: int, first: int, padded: Any) -> None:
    """Write a map from place ``first`` on, its rows ``MOST_CELLS`` further apart; what is between stays 0."""
    n_rows = len(values) // n_columns
    for row in range(n_rows):
        start = first + row * (n_columns + MOST_CELLS)
        for j in range(n_columns):
            padded[start + j] = values[row * n_columns + j]


@_sum
def _product(query: Any, reference: Any) -> Any:
    """Return the summed products of two padded maps: where one of them has no cell there is a 0."""
    total = np.float32(0)
    for j in range(len(query)):
        total += query[j] * reference[j]
    return total


@_sum
def _spread(total: Any, squares: Any, n_cells: Any) -> Any:
    """Return the sum of squares of cells about their own mean; 0 where they are flat."""
    spread = squares - total * total / n_cells
    return spread if spread > max(n_cells * LEAST_SPREAD**2, LEAST_OWN_SHARE * squares) else 0.0


@_sum
def _best_move(query: Any, reference: Any, n_rows: int, n_columns: int, sums: Any) -> Any:
    """Return how far down and right the reference correlates most with the query; of those alike the least move.

    ``query`` and ``reference`` are padded, the latter with as much around it as it is moved by. ``sums`` are four
    (5, 5) arrays: totals and squares of the query, totals and squares of the reference.
    """
    stride = n_columns + MOST_CELLS
    middle = MOST_CELLS * stride + MOST_CELLS
    most_rows, most_columns = min(MOST_CELLS, (n_rows - 1) // 2), min(MOST_CELLS, (n_columns - 1) // 2)
    best, best_down, best_right = NOWHERE, 0, 0
    for far in range(2 * MOST_CELLS + 1):
        for down in range(-most_rows, most_rows + 1):
            for right in range(-most_columns, most_columns + 1):
                if abs(down) + abs(right) != far:
                    continue
                n_cells = np.float64((n_rows - abs(down)) * (n_columns - abs(right)))
                own, other = (MOST_CELLS + down, MOST_CELLS + right), (MOST_CELLS - down, MOST_CELLS - right)
                first = middle - down * stride - right
                y_spread = _spread(sums[0][own], sums[1][own], n_cells)
                x_spread = _spread(sums[2][other], sums[3][other], n_cells)
                correlation = NOWHERE
                if min(y_spread, x_spread) > 0:
                    product = np.float64(_product(query, reference[first : first + len(query)]))
                    product -= sums[0][own] * sums[2][other] / n_cells
                    correlation = product / math.sqrt(y_spread * x_spread)
                if correlation > best + WORTH_MOVING:
                    best, best_down, best_right = correlation, down, right
    return best_down, best_right


@_sum
def _moments(query: Any, reference: Any, n_columns: int, down: int, right: int) -> Any:
    """Return the mean and deviation of the overlapping cells of both maps, and beta."""
    n_rows, width = len(query) // n_columns, n_columns - abs(right)
    y_sum = y_squares = x_sum = x_squares = products = 0.0
    for row in range(max(down, 0), n_rows + min(down, 0)):
        first = row * n_columns + max(right, 0)
        from_first = (row - down) * n_columns + max(-right, 0)
        for j in range(width):
            y, x = np.float64(query[first + j]), np.float64(reference[from_first + j])
            y_sum += y
            y_squares += y * y
            x_sum += x
            x_squares += x * x
            products += x * y
    n_cells = (n_rows - abs(down)) * width
    y_mean, x_mean = y_sum / n_cells, x_sum / n_cells
    y_deviation = math.sqrt(max(y_squares / n_cells - y_mean * y_mean, 0.0))
    x_deviation = math.sqrt(max(x_squares / n_cells - x_mean * x_mean, 0.0))
    beta = (products + REGULARISER) / (x_squares + REGULARISER)
    return y_mean, y_deviation, x_mean, x_deviation, beta


@_sum
def _norms(query: Any, reference: Any, n_columns: int, move: Any, y_part: Any, x_part: Any) -> Any:
    """Return L2, L6 and the largest of ``(y - y_part[0]) y_part[1] - (x - x_part[0]) x_part[1]`` over the overlap."""
    down, right = move
    n_rows, width = len(query) // n_columns, n_columns - abs(right)
    squares = sixths = largest = 0.0
    for row in range(max(down, 0), n_rows + min(down, 0)):
        first = row * n_columns + max(right, 0)
        from_first = (row - down) * n_columns + max(-right, 0)
        for j in range(width):
            y, x = np.float64(query[first + j]), np.float64(reference[from_first + j])
            residual = (y - y_part[0]) * y_part[1] - (x - x_part[0]) * x_part[1]
            square = residual * residual
            squares += square
            sixths += square * square * square
            largest = max(largest, square)
    return math.sqrt(squares), sixths ** (1 / 6), math.sqrt(largest)


def compare_maps(queries: Any, references: Any, rows: Any, n_columns: int, out: NDArray[np.float32]) -> None:
    """Fill ``out``, (Q, 11): moves down and right, beta, eta, gamma, raw and standardised L2, L6 and largest.

    Parameters
    ----------
    queries : (Q, V) float32
    references : (R, V) float32
        Both on the unit scale, finite.
    rows : (Q,) int64
        Which reference each query is compared with; what has none, -1, is left as it is.
    n_columns : int
    """
    y, x = np.empty(queries.shape[1], dtype=np.float32), np.empty(queries.shape[1], dtype=np.float32)
    n_rows, stride = queries.shape[1] // n_columns, n_columns + MOST_CELLS
    around = MOST_CELLS * stride + MOST_CELLS
    y_padded = np.zeros(n_rows * stride, dtype=np.float32)
    x_padded = np.zeros(n_rows * stride + 2 * around, dtype=np.float32)
    sums = np.empty((4, N_MOVES, N_MOVES), dtype=np.float64)
    for q in range(len(queries)):
        if rows[q] < 0:
            continue
        query, reference = queries[q], references[rows[q]]
        _centre(query, y)
        _centre(reference, x)
        _windows(y, n_columns, sums[0], sums[1])
        _windows(x, n_columns, sums[2], sums[3])
        _pad(y, n_columns, 0, y_padded)
        _pad(x, n_columns, around, x_padded)
        move = _best_move(y_padded, x_padded, n_rows, n_columns, sums)
        y_mean, y_deviation, x_mean, x_deviation, beta = _moments(query, reference, n_columns, move[0], move[1])
        left = _norms(query, reference, n_columns, move, (0.0, 1.0), (0.0, beta))
        raw = _norms(query, reference, n_columns, move, (0.0, 1.0), (0.0, 1.0))
        y_per_deviation, x_per_deviation = 1 / max(y_deviation, LEAST_SPREAD), 1 / max(x_deviation, LEAST_SPREAD)
        own = _norms(query, reference, n_columns, move, (y_mean, y_per_deviation), (x_mean, x_per_deviation))
        eta = math.log1p(left[0])
        out[q, 0], out[q, 1] = move
        out[q, 2], out[q, 3], out[q, 4] = beta, eta, eta - math.log1p(left[1])
        out[q, 5], out[q, 6], out[q, 7] = raw
        out[q, 8], out[q, 9], out[q, 10] = own
