"""The loop that numba compiles for ``inverted``: the lists of an inverted file, met one by one by all who look into it.

A list's codes are turned into float32 once for all queries of a batch, in the cache. What is nearest is chosen by
counting, which is vectorised, and not by a heap. Nothing is compiled when this is imported. It is one module because
numba's cache notices a change only in the file of the function that it has compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float32]
    Keys = NDArray[np.int32]
    Rows = NDArray[np.int64]
    Function = TypeVar("Function", bound=Callable[..., Any])

BLOCK = 32
"""Codes turned into float32 at once: 16 kB of 128 dimensions, which stay in L1 for every query of the list."""

GROUP = 4
"""References compared side by side, which hides the latency of their sums."""

FOLDS = 8
"""Of many values the least of each eight bound the k-th smallest, and few others are left to look at."""

ZERO, TWO = np.float32(0), np.float32(2)
SIGN_LESS, INFINITE = np.int32(0x7FFFFFFF), np.int32(0x7F800000)
"""The bits of a float32 without its sign; those of infinity, beyond which is what is not a number."""

SIGN_BIT = np.int32(31)

HALF_BYTES, LINE_BYTES = 2, 64

_pointer: Any = types.CPointer  # numba declares no types for these two
_array_at: Any = cast("Any", numba).carray


def _loop(function: Function) -> Function:
    """Compile as a function of its own."""
    compiled: Any = numba.njit(error_model="numpy")(function)
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
def _from_half(_context: Any, _bits: Any) -> Any:
    """Return the float32 of a half, which comes as an int16 with its bits."""

    def generate(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.fpext(builder.bitcast(given[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.int16), generate


@_instruction
def _halves_at(_context: Any, _address: Any) -> Any:
    """Return a pointer to the halves at an address."""
    kind = _pointer(types.int16)
    return kind(types.int64), lambda _c, builder, _s, given: builder.inttoptr(given[0], ir.IntType(16).as_pointer())


@_instruction
def _ids_at(_context: Any, _address: Any) -> Any:
    """Return a pointer to the ids at an address."""
    kind = _pointer(types.int64)
    return kind(types.int64), lambda _c, builder, _s, given: builder.inttoptr(given[0], ir.IntType(64).as_pointer())


@_instruction
def _fetch_line(_context: Any, _address: Any) -> Any:
    """Ask for the cache line at an address, without waiting for it."""

    def generate(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        declare: Any = cgutils.get_or_insert_function
        hint = declare(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0"
        )
        to_read, into_l1, data = number(0), number(3), number(1)
        builder.call(hint, [builder.inttoptr(given[0], byte), to_read, into_l1, data])
        return _context.get_dummy_value()

    return types.void(types.int64), generate


@_loop
def _unpack(address: int, out: Values) -> None:
    """Fill ``out`` with the float32 of the halves at an address."""
    halves = _array_at(_halves_at(address), len(out))
    for j in range(len(out)):
        out[j] = _from_half(halves[j])


@_sum
def _compare_four(y: Values, x: Values, out: Values) -> None:
    """Write the squared distances of four rows, one after the other in ``x``."""
    n = len(y)
    x0, x1, x2, x3 = x[:n], x[n : 2 * n], x[2 * n : 3 * n], x[3 * n : 4 * n]
    a0 = a1 = a2 = a3 = ZERO
    for j in range(n):
        d0, d1, d2, d3 = y[j] - x0[j], y[j] - x1[j], y[j] - x2[j], y[j] - x3[j]
        a0 += d0 * d0
        a1 += d1 * d1
        a2 += d2 * d2
        a3 += d3 * d3
    out[0], out[1], out[2], out[3] = a0, a1, a2, a3


@_loop
def _write_keys(values: Values, keys: Keys) -> None:
    """Write keys that are in the order of values which are not negative; what is not a number comes last."""
    for j in range(len(values)):
        keys[j] = _bits(values[j]) & SIGN_LESS


@_loop
def _count_to(keys: Keys, highest: np.int32) -> Any:
    n_keys = np.int32(0)
    for j in range(len(keys)):
        n_keys += np.int32(keys[j] <= highest)
    return n_keys


@_loop
def _kth(keys: Keys, k: int) -> Any:
    """Return the k-th smallest key, from 1, by halving the range that it is in."""
    low = high = keys[0]
    for j in range(len(keys)):
        low, high = min(low, keys[j]), max(high, keys[j])
    while low < high:
        middle = low + (high - low) // np.int32(2)
        if _count_to(keys, middle) >= k:
            high = middle
        else:
            low = middle + np.int32(1)
    return low


@_loop
def _bound(keys: Keys, k: int, least: Keys) -> Any:
    """Return a key that at least k are not above, and not many more: the k-th smallest of the least of each few."""
    n_least = len(keys) // FOLDS
    if n_least < k:
        return SIGN_LESS
    least = least[:n_least]
    least[:] = keys[:n_least]
    for fold in range(1, FOLDS):
        part = keys[fold * n_least : (fold + 1) * n_least]
        for j in range(n_least):
            least[j] = min(least[j], part[j])
    return _kth(least, k)


@_loop
def _choose(keys: Keys, k: int, room: Any, chosen: Keys) -> int:
    """Write the places of the k smallest keys, ascending, the first of equal ones; return how many there are."""
    if not len(keys):
        return 0
    least, few, places = room
    bound = _bound(keys, k, least)
    n_few = 0
    for j in range(len(keys)):
        few[n_few] = keys[j]
        places[n_few] = j
        n_few += keys[j] <= bound
    if n_few <= k:
        chosen[:n_few] = places[:n_few]
        return n_few
    highest = _kth(few[:n_few], k)
    n_equal = k - _count_to(few[:n_few], highest - np.int32(1))
    n_chosen = 0
    for j in range(n_few):
        is_equal = few[j] == highest
        if few[j] < highest or (is_equal and n_equal > 0):
            n_equal -= is_equal
            chosen[n_chosen] = places[j]
            n_chosen += 1
    return n_chosen


@_loop
def _make_room(n_keys: int) -> Any:
    return np.empty(n_keys, np.int32), np.empty(n_keys, np.int32), np.empty(n_keys, np.int32)


@_loop
def _choose_lists(products: Values, squares: Values, probes: Keys) -> None:
    """Fill ``probes``, (Q, P), with the lists whose centres are nearest, from products (Q, L) with the centres."""
    n_lists = len(squares)
    keys, room = np.empty(n_lists, np.int32), _make_room(n_lists)
    for q in range(len(probes)):
        product = products[q]
        for j in range(n_lists):
            bits = _bits(squares[j] - TWO * product[j])
            keys[j] = bits ^ ((bits >> SIGN_BIT) & SIGN_LESS)  # which puts those of negative numbers in their order
        _choose(keys, probes.shape[1], room, probes[q])


@_loop
def _by_list(probes: Keys, n_lists: int) -> Any:
    """Return who looks into each list: queries, and where in them those of each list begin."""
    starts = np.zeros(n_lists + 1, np.int32)
    queries = np.empty(probes.size, np.int32)
    for one in probes.ravel():
        starts[one + 1] += 1
    for j in range(n_lists):
        starts[j + 1] += starts[j]
    ends = starts[:-1].copy()
    for q in range(len(probes)):
        for one in probes[q]:
            queries[ends[one]] = q
            ends[one] += 1
    return starts, queries


@_loop
def _list_blocks(starts: Keys, sizes: Rows) -> Any:
    """Return the blocks of codes that anybody looks into: their list, and their first code in it."""
    n_blocks = 0
    for one in range(len(sizes)):
        if starts[one] < starts[one + 1]:
            n_blocks += (sizes[one] + BLOCK - 1) // BLOCK
    blocks = np.empty((n_blocks, 2), np.int64)
    n_blocks = 0
    for one in range(len(sizes)):
        if starts[one] < starts[one + 1]:
            for first in range(0, sizes[one], BLOCK):
                blocks[n_blocks, 0], blocks[n_blocks, 1] = one, first
                n_blocks += 1
    return blocks


@_loop
def _compare(y: Values, probes: Keys, codes: Rows, sizes: Rows, found: Values, looked_into: Keys) -> None:
    """Fill a row of ``found`` with the squared distances of what is in a query's lists, which ``looked_into`` names."""
    n_dimensions = y.shape[1]
    starts, queries = _by_list(probes, len(sizes))
    blocks = _list_blocks(starts, sizes)
    filled, n_lists = np.zeros(len(y), np.int64), np.zeros(len(y), np.int64)
    block = np.zeros((BLOCK + GROUP) * n_dimensions, np.float32)
    for number in range(len(blocks)):
        one, first = blocks[number]
        following, following_first = blocks[min(number + 1, len(blocks) - 1)]
        n_codes = min(BLOCK, sizes[one] - first)
        ahead = codes[following] + HALF_BYTES * n_dimensions * following_first
        line_ends = ahead + HALF_BYTES * n_dimensions * min(BLOCK, sizes[following] - following_first)
        _unpack(codes[one] + HALF_BYTES * n_dimensions * first, block[: n_codes * n_dimensions])
        for at in range(starts[one], starts[one + 1]):
            q = queries[at]
            if not first:
                looked_into[q, n_lists[q]] = one
                n_lists[q] += 1
            row, start = found[q], filled[q]
            for k in range(0, n_codes, GROUP):
                stop = min(line_ends, ahead + HALF_BYTES * n_dimensions * GROUP)
                while ahead < stop:
                    _fetch_line(ahead)
                    ahead += LINE_BYTES
                _compare_four(y[q], block[k * n_dimensions :], row[start + k :])
            filled[q] += n_codes


@_loop
def _write_ids(chosen: Keys, keys: Keys, lists: Keys, sizes: Rows, ids: Rows, out: Rows) -> None:
    """Write the ids behind chosen places, ascending, among all that is in some lists; the rest of ``out`` is -1."""
    number, first, n_written = 0, np.int64(0), 0
    for place in chosen:
        while place >= first + sizes[lists[number]]:
            first += sizes[lists[number]]
            number += 1
        if keys[place] < INFINITE:
            one = lists[number]
            out[n_written] = _array_at(_ids_at(ids[one]), sizes[one])[place - first]
            n_written += 1
    out[n_written:] = -1


def nearest_in_lists(y: Values, products: Values, squares: Values, n_probes: int, lists: Rows, out: Rows) -> None:
    """Fill ``out``, (Q, M), with the ids that are nearest; where there are fewer, -1 comes last.

    ``lists`` has the addresses of each list's codes and of its ids, and its size.
    """
    codes, ids, sizes = lists
    n_queries, n_wanted = out.shape
    probes = np.empty((n_queries, n_probes), np.int32)
    _choose_lists(products, squares, probes)
    n_met = np.zeros(n_queries, np.int64)
    for q in range(n_queries):
        for one in probes[q]:
            n_met[q] += sizes[one]
    most = n_met.max()
    found = np.empty((n_queries, most + GROUP), np.float32)
    looked_into = np.empty((n_queries, n_probes), np.int32)
    _compare(y, probes, codes, sizes, found, looked_into)
    keys, chosen, room = np.empty(most, np.int32), np.empty(n_wanted, np.int32), _make_room(most + 1)
    for q in range(n_queries):
        met = keys[: n_met[q]]
        _write_keys(found[q, : n_met[q]], met)
        n_chosen = _choose(met, n_wanted, room, chosen)
        _write_ids(chosen[:n_chosen], met, looked_into[q], sizes, ids, out[q])
