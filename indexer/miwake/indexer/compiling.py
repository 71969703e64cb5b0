"""Compiling loops with numba, once on a machine where there is a folder to keep the result in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def compile_loop(function: Callable[..., Any], *signatures: object) -> Callable[..., Any]:
    """Return ``function`` compiled for its signatures: read from numba's cache, else compiled and kept there.

    It runs without the interpreter's lock.
    """
    import numba  # noqa: PLC0415 - heavy; who only names this function does not pay for it

    njit: Any = numba.njit
    compiled: Callable[..., Any]
    try:
        compiled = njit(list(signatures), cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no folder that it may keep compiled code in
        compiled = njit(list(signatures), nogil=True)(function)
    return compiled
