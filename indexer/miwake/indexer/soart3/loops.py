"""The loops that numba compiles for ``kernel``; nothing is compiled when this is imported.

The letters are those of docs/soart3.md, equations 5 and 6. With the difference d = y - x and c = beta - 1,

::

    c          = x.d / (x.x + 1e-4)
    y - beta x = d - c x
    |d|^2      = |d - c x|^2 + c^2 (x.x + 2e-4)

so that what is small, as in near-duplicates of long vectors, never comes from the difference of two large sums. Where
c x cancels most of d all the same, or a power leaves the range of float32, the pair is computed anew in float64.

This is one long module because numba's cache notices a change only in the file of the function that it has compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

from miwake.indexer.soart3.plain import REGULARISER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float32]
    Rows = NDArray[np.int64]
    Powers = tuple[int, int]
    Four = tuple[np.float32, np.float32, np.float32, np.float32]
    FourRows = tuple[Values, Values, Values, Values]
    Workspace = tuple[Rows, Rows, Values, Values]

BLOCK = 128
"""References measured before their roots and logarithms are taken, which are loops of their own and stay in L1."""

GROUP = 4
"""References measured side by side, which hides the latency of their sums; six or eight are no faster."""

LINE = 16
"""float32 values in a cache line."""

FETCHED_AHEAD = 256
"""Values of a row that are asked for ahead; the hardware follows a longer row by itself."""

LOWEST, HIGHEST = np.float32(1e-25), np.float32(1e30)
"""Sums of powers outside are not trusted: something in them may have under- or overflowed."""

CANCELLED = np.float32(4)
"""Where |c x|^2 is more than this many times 1 + |d - c x|^2, too little of float32 is left in d - c x."""

ZERO, ONE, TWO, NAN = np.float32(0), np.float32(1), np.float32(2), np.float32(np.nan)
ADDED, ADDED_TWICE = np.float32(REGULARISER), np.float32(2 * REGULARISER)
LN_2 = np.float32(math.log(2))
ARTANH = np.float32(2 / 3), np.float32(2 / 5), np.float32(2 / 7), np.float32(2 / 9)
"""2 artanh(h) / h - 2 as a series in h^2; for h up to 0.172 the next term is below 1e-8."""

EXPONENT_BIT, EXPONENT_BIAS = np.int32(23), np.int32(127)
ROOT_HALF_BITS = np.int32(0x3F3504F3)
"""The bits of sqrt(1/2) as a float32."""

ONE_BITS, GUESS_BITS = np.float32(0x3F800000), np.float32(0.0375 * 2**23)
"""The bits of 1 as a float32, and what centres the error of a root guessed by dividing bits."""

Function = TypeVar("Function", bound=Callable[..., Any])


def _loop(function: Function) -> Function:
    """Compile as a function of its own, each operation rounded as it stands."""
    compiled: Any = numba.njit(fastmath={"contract"}, error_model="numpy")(function)
    return cast("Function", compiled)


def _part(function: Function) -> Function:
    """Compile into its callers, each operation rounded as it stands: a difference keeps its meaning."""
    compiled: Any = numba.njit(fastmath={"contract"}, error_model="numpy", forceinline=True)(function)
    return cast("Function", compiled)


def _sum(function: Function) -> Function:
    """Compile into its callers, with sums in any order, so that they are vectorised; NaN keeps its meaning."""
    fastmath = {"contract", "nsz", "reassoc"}
    compiled: Any = numba.njit(fastmath=fastmath, error_model="numpy", forceinline=True)(function)
    return cast("Function", compiled)


def _instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    return intrinsic(function)


@_instruction
def _bits(_context: Any, _number: Any) -> Any:
    """Return the bits of a float32 as an int32."""
    return types.int32(types.float32), lambda _c, builder, _s, given: builder.bitcast(given[0], ir.IntType(32))


@_instruction
def _from_bits(_context: Any, _bits: Any) -> Any:
    """Return the float32 that has the bits of an int32."""
    return types.float32(types.int32), lambda _c, builder, _s, given: builder.bitcast(given[0], ir.FloatType())


@_instruction
def _fetch_line(_context: Any, matrix: Any, row: Any, column: Any) -> Any:
    """Ask for the cache line around one element of a matrix, without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind, byte, number = signature.args[0], ir.IntType(8).as_pointer(), ir.IntType(32)
        array = context.make_array(kind)(context, builder, given[0])
        place: Any = cgutils.get_item_pointer  # numba declares no types for these two
        declare: Any = cgutils.get_or_insert_function
        address = place(context, builder, kind, array, [given[1], given[2]], wraparound=False)
        hint = declare(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0"
        )
        to_read, into_l1, data = number(0), number(3), number(1)
        builder.call(hint, [builder.bitcast(address, byte), to_read, into_l1, data])
        return context.get_dummy_value()

    return types.void(matrix, row, column), generate


@_part
def _fetch(x: Values, row: np.int64) -> None:
    for j in range(0, min(x.shape[1], FETCHED_AHEAD), LINE):
        _fetch_line(x, row, j)


@_part
def _difference(y: Any, x: Any) -> Any:
    return y - x


@_part
def _residual(y: Any, x: Any, c: Any) -> Any:
    return (y - x) - c * x


@_sum
def _fit_four(y: Values, x: FourRows) -> tuple[Four, Four]:
    """Return c and x.x of four references."""
    x0, x1, x2, x3 = x
    a0 = a1 = a2 = a3 = ZERO
    b0 = b1 = b2 = b3 = ZERO
    for j in range(len(y)):
        a0 += x0[j] * _difference(y[j], x0[j])
        a1 += x1[j] * _difference(y[j], x1[j])
        a2 += x2[j] * _difference(y[j], x2[j])
        a3 += x3[j] * _difference(y[j], x3[j])
        b0 += x0[j] * x0[j]
        b1 += x1[j] * x1[j]
        b2 += x2[j] * x2[j]
        b3 += x3[j] * x3[j]
    c = a0 / (b0 + ADDED), a1 / (b1 + ADDED), a2 / (b2 + ADDED), a3 / (b3 + ADDED)
    return c, (b0, b1, b2, b3)


@_sum
def _sum_squares_and_sixths(y: Values, x: FourRows, c: Four) -> tuple[Four, Four]:
    """Return the sums of the squares and of the sixth powers of the residuals of four references."""
    x0, x1, x2, x3 = x
    s0 = s1 = s2 = s3 = ZERO
    v0 = v1 = v2 = v3 = ZERO
    for j in range(len(y)):
        r0 = _residual(y[j], x0[j], c[0])
        r1 = _residual(y[j], x1[j], c[1])
        r2 = _residual(y[j], x2[j], c[2])
        r3 = _residual(y[j], x3[j], c[3])
        r0, r1, r2, r3 = r0 * r0, r1 * r1, r2 * r2, r3 * r3
        s0 += r0
        s1 += r1
        s2 += r2
        s3 += r3
        v0 += r0 * r0 * r0
        v1 += r1 * r1 * r1
        v2 += r2 * r2 * r2
        v3 += r3 * r3 * r3
    return (s0, s1, s2, s3), (v0, v1, v2, v3)


@_sum
def _write_sizes(y: Values, x: Values, c: np.float32, sizes: Values) -> np.float32:
    """Write the sizes of the residuals of one reference; return the sum of their squares."""
    squares = ZERO
    for j in range(len(y)):
        residual = _residual(y[j], x[j], c)
        squares += residual * residual
        sizes[j] = abs(residual)
    return squares


@_part
def _to_the(number: Any, power: int) -> Any:
    """Return number ** power, 1 … 8; with a power that the caller names as a constant nothing is left to decide."""
    square = number * number
    fourth = square * square
    raised = ONE
    if power & 1:
        raised *= number
    if power & 2:
        raised *= square
    if power & 4:
        raised *= fourth
    if power & 8:
        raised *= fourth * fourth
    return raised


@_sum
def _sum_powers(sizes: Values, power: int) -> Four:
    """Return the sums of the given power of four rows."""
    s0 = s1 = s2 = s3 = ZERO
    z0, z1, z2, z3 = sizes[0], sizes[1], sizes[2], sizes[3]
    for j in range(len(z0)):
        s0 += _to_the(z0[j], power)
        s1 += _to_the(z1[j], power)
        s2 += _to_the(z2[j], power)
        s3 += _to_the(z3[j], power)
    return s0, s1, s2, s3


@_loop
def _sum_any_powers(sizes: Values, power: int) -> Four:  # noqa: PLR0911
    """Choose among the loops, each of which is compiled for its own power."""
    if power == 1:
        return _sum_powers(sizes, 1)
    if power == 2:
        return _sum_powers(sizes, 2)
    if power == 3:
        return _sum_powers(sizes, 3)
    if power == 4:
        return _sum_powers(sizes, 4)
    if power == 5:
        return _sum_powers(sizes, 5)
    if power == 6:
        return _sum_powers(sizes, 6)
    if power == 7:
        return _sum_powers(sizes, 7)
    return _sum_powers(sizes, 8)


@_part
def _measure_four(y: Values, x: Values, rows: Rows, powers: Powers, sizes: Values) -> Any:
    """Return c, x.x and the sums of the squares and of either power of the first four rows, each for all four.

    Behind the rows to measure come the next ones, which are fetched meanwhile: half of them before each pass, since
    only a dozen lines can be under way at a time.
    """
    four = x[rows[0]], x[rows[1]], x[rows[2]], x[rows[3]]
    _fetch(x, rows[4])
    _fetch(x, rows[5])
    c, b = _fit_four(y, four)
    _fetch(x, rows[6])
    _fetch(x, rows[7])
    s0 = _write_sizes(y, four[0], c[0], sizes[0])
    s1 = _write_sizes(y, four[1], c[1], sizes[1])
    s2 = _write_sizes(y, four[2], c[2], sizes[2])
    s3 = _write_sizes(y, four[3], c[3], sizes[3])
    return c, b, (s0, s1, s2, s3), _sum_any_powers(sizes, powers[0]), _sum_any_powers(sizes, powers[1])


@_part
def _measure_four_2_6(y: Values, x: Values, rows: Rows) -> Any:
    """As ``_measure_four`` for p_eta = 2 and p_gamma = 6, the residuals never leaving the registers."""
    four = x[rows[0]], x[rows[1]], x[rows[2]], x[rows[3]]
    _fetch(x, rows[4])
    _fetch(x, rows[5])
    c, b = _fit_four(y, four)
    _fetch(x, rows[6])
    _fetch(x, rows[7])
    s, v = _sum_squares_and_sixths(y, four, c)
    return c, b, s, s, v


@_part
def _keep_four(measured: Any, found: Values, k: int) -> None:
    """Write what was measured of four references into columns k … k + 3."""
    c, b, s, u, v = measured
    found[0, k], found[0, k + 1], found[0, k + 2], found[0, k + 3] = c
    found[1, k], found[1, k + 1], found[1, k + 2], found[1, k + 3] = b
    found[2, k], found[2, k + 1], found[2, k + 2], found[2, k + 3] = s
    found[3, k], found[3, k + 1], found[3, k + 2], found[3, k + 3] = u
    found[4, k], found[4, k + 1], found[4, k + 2], found[4, k + 3] = v


@_part
def _log1p(number: np.float32) -> Any:
    """Return ln(1 + number) for a number > -1, with a relative error below 2e-7; a loop over it is vectorised.

    1 + number = 2^k (1 + g) with 1 + g in sqrt(1/2) … sqrt(2), where g is found with a single rounding, and
    ln(1 + g) = 2 artanh(g / (2 + g)).
    """
    k = (_bits(ONE + number) - ROOT_HALF_BITS) >> EXPONENT_BIT
    scale = _from_bits(np.int32((EXPONENT_BIAS - k) << EXPONENT_BIT))
    g = number * scale + (scale - ONE)
    h = g / (TWO + g)
    z = h * h
    series = ARTANH[0] + z * (ARTANH[1] + z * (ARTANH[2] + z * ARTANH[3]))
    return np.float32(k) * LN_2 + h * (TWO + z * series)


@_part
def _odd_root(number: np.float32, power: int) -> Any:
    """Return the 3rd, 5th or 7th root: guessed within 4 % by dividing the bits, and three of Newton's steps."""
    share = np.float32(1 / power)
    root = _from_bits(np.int32(np.float32(_bits(number)) * share + (ONE_BITS * (ONE - share) - GUESS_BITS)))
    for _ in range(3):
        square = root * root
        divisor = square
        if power >= 5:
            divisor *= square
        if power >= 7:
            divisor *= square
        root -= (root - number / divisor) * share
    return root


@_loop
def _take_root(numbers: Values, power: int) -> None:
    """Take the power-th root of each number in place."""
    while power % 2 == 0:
        power //= 2
        for k in range(len(numbers)):
            numbers[k] = math.sqrt(numbers[k])
    if power == 3:
        for k in range(len(numbers)):
            numbers[k] = _odd_root(numbers[k], 3)
    elif power == 5:
        for k in range(len(numbers)):
            numbers[k] = _odd_root(numbers[k], 5)
    elif power == 7:
        for k in range(len(numbers)):
            numbers[k] = _odd_root(numbers[k], 7)


@_loop
def _finish(found: Values, powers: Powers, n_found: int) -> None:
    """Turn c, x.x, squares and both sums into beta, distance, squares, eta and gamma; NaN for a gamma not trusted."""
    c, b, s, u, v = found[0, :n_found], found[1, :n_found], found[2, :n_found], found[3, :n_found], found[4, :n_found]
    for k in range(n_found):
        is_held = c[k] * c[k] * b[k] <= CANCELLED * (ONE + s[k])
        v[k] = v[k] if is_held & (min(u[k], v[k]) > LOWEST) & (max(u[k], v[k]) < HIGHEST) else NAN
    for k in range(n_found):
        b[k] = math.sqrt(s[k] + c[k] * c[k] * (b[k] + ADDED_TWICE))
    for k in range(n_found):
        c[k] += ONE
    _take_root(u, powers[0])
    _take_root(v, powers[1])
    for k in range(n_found):
        # gamma = ln((1 + m) / (1 + v)), from the larger and the smaller: the difference of two logarithms loses digits.
        v[k] = math.copysign(_log1p(abs(u[k] - v[k]) / (ONE + min(u[k], v[k]))), u[k] - v[k])
    for k in range(n_found):
        u[k] = _log1p(u[k])


@_sum
def _fit_exactly(y: Values, x: Values, sizes: NDArray[np.float64]) -> tuple[float, float, float]:
    """Write the sizes of the residuals in float64; return c, the distance, and the 2-norm of the residuals."""
    xd = xx = dd = squares = 0.0
    for j in range(len(y)):
        d = _difference(np.float64(y[j]), np.float64(x[j]))
        xd += np.float64(x[j]) * d
        xx += np.float64(x[j]) * np.float64(x[j])
        dd += d * d
    c = xd / (xx + REGULARISER)
    for j in range(len(y)):
        r = _residual(np.float64(y[j]), np.float64(x[j]), c)
        squares += r * r
        sizes[j] = abs(r)
    return c, math.sqrt(dd), math.sqrt(squares)


@_loop
def _measure_exactly(y: Values, x: Values, powers: Powers, sizes: NDArray[np.float64]) -> Any:
    """Return beta, distance, eta and gamma of one reference, from float64."""
    c, distance, norm = _fit_exactly(y, x, sizes)
    m = v = 0 * norm  # 0, or NaN
    if norm > 0:
        for j in range(len(y)):
            sizes[j] /= norm  # so that no power leaves the range
        for j in range(len(y)):
            m += _to_the(sizes[j], powers[0])
            v += _to_the(sizes[j], powers[1])
        m = norm * m ** (1 / powers[0])
        v = norm * v ** (1 / powers[1])
    return 1 + c, distance, math.log1p(m), math.log1p((m - v) / (1 + v))


@_loop
def _replace_untrusted(y: Values, x: Values, ids: Rows, powers: Powers, found: Values) -> None:
    sizes = np.empty(len(y), dtype=np.float64)
    for k in range(len(ids)):
        if ids[k] < 0:
            found[0, k] = found[1, k] = found[3, k] = found[4, k] = NAN
        elif math.isnan(found[4, k]):
            found[0, k], found[1, k], found[3, k], found[4, k] = _measure_exactly(y, x[ids[k]], powers, sizes)


@_loop
def _count_untrusted(ids: Rows, gammas: Values) -> int:
    n_untrusted = 0
    for k in range(len(ids)):
        n_untrusted += (ids[k] < 0) | math.isnan(gammas[k])
    return n_untrusted


@_loop
def _make_workspace(n_dimensions: int) -> Workspace:
    """Return room for the ids of a block, its rows and those behind it, the residuals of a group, what is found."""
    return (
        np.empty(BLOCK, dtype=np.int64),
        np.empty(BLOCK + 2 * GROUP, dtype=np.int64),
        np.empty((GROUP, n_dimensions), dtype=np.float32),
        np.empty((5, BLOCK + GROUP), dtype=np.float32),
    )


@_loop
def _measure_block(y: Values, x: Values, powers: Powers, workspace: Workspace, n_found: int) -> None:
    """Measure the references that the workspace names, at most BLOCK; those with an id below 0 become NaN."""
    ids, rows, sizes, found = workspace
    if powers[0] == 2 and powers[1] == 6:
        for k in range(0, n_found, GROUP):
            _keep_four(_measure_four_2_6(y, x, rows[k:]), found, k)
    else:
        for k in range(0, n_found, GROUP):
            _keep_four(_measure_four(y, x, rows[k:], powers, sizes), found, k)
    _finish(found, powers, (n_found + LINE - 1) // LINE * LINE)  # whole vectors: what comes out behind is not read
    if _count_untrusted(ids[:n_found], found[4]) > 0:
        _replace_untrusted(y, x, ids[:n_found], powers, found)


@_part
def _copy_out(found: Values, out: Values, q: int, start: int, n_found: int) -> None:
    for k in range(n_found):
        out[0, q, start + k] = found[0, k]
        out[1, q, start + k] = found[3, k]
        out[2, q, start + k] = found[4, k]
        out[3, q, start + k] = found[1, k]


def measure_by_id(y: Values, x: Values, ids: Rows, powers: Powers, out: Values) -> int:
    """Fill ``out``; return -1, or the first place in ``ids`` that is neither -1 nor a row of ``x``: then do nothing."""
    flat = ids.reshape(ids.size)
    for place in range(flat.size):
        if flat[place] < -1 or flat[place] >= len(x):
            return place
    if len(x) == 0:
        out[:] = NAN
        return -1
    workspace = _make_workspace(y.shape[1])
    near, rows, _, found = workspace
    n_candidates = ids.shape[1]
    for q in range(len(y)):
        for start in range(0, n_candidates, BLOCK):
            n_found = min(BLOCK, n_candidates - start)
            place = q * n_candidates + start
            near[:n_found] = flat[place : place + n_found]
            for k in range(n_found + 2 * GROUP):
                rows[k] = max(0, flat[min(place + k, flat.size - 1)])
            _measure_block(y[q], x, powers, workspace, n_found)
            _copy_out(found, out, q, start, n_found)
    return -1


def measure_all(y: Values, x: Values, powers: Powers, out: Values) -> None:
    """Fill ``out``; a block of references meets every query while it is in the cache."""
    workspace = _make_workspace(y.shape[1])
    ids, rows, _, found = workspace
    for start in range(0, len(x), BLOCK):
        n_found = min(BLOCK, len(x) - start)
        for k in range(n_found + 2 * GROUP):
            rows[k] = min(start + k, len(x) - 1)
        ids[:] = rows[:BLOCK]
        for q in range(len(y)):
            _measure_block(y[q], x, powers, workspace, n_found)
            _copy_out(found, out, q, start, n_found)
