"""Waiting for what another process does in its own time."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BETWEEN_S = 0.02


def eventually(holds: Callable[[], bool], *, within_s: float) -> None:
    """Return once something holds; fail where it does not in time."""
    give_up_at = monotonic() + within_s
    between = threading.Event()
    while not holds():
        if monotonic() > give_up_at:
            message = f"it does not hold after {within_s} s"
            raise AssertionError(message)
        between.wait(BETWEEN_S)
