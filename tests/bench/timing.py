"""Timing the sides of a ratio fairly: in turn, so that a busy machine slows both, and by the median.

What is timed is the processor time of this thread, so that being interrupted does not count: every side runs on one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def median_seconds(
    sides: Mapping[str, Callable[[int], object]], *, n_rounds: int, n_in_a_row: int = 1
) -> dict[str, float]:
    """Return the median processor time of a call of each side, in seconds.

    Parameters
    ----------
    sides : name → function
        Called in turn with the number of the call, 0 … n_rounds x n_in_a_row - 1, so that each can have its own input.
    n_rounds : int
        How often every side has its turn, after one call each that is not counted.
    n_in_a_row : int
        Calls in a turn: with several, most find the caches as their own last call left them, as in steady work.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        run(0)
    for turn in range(n_rounds):
        for name, run in sides.items():
            for call in range(turn * n_in_a_row, (turn + 1) * n_in_a_row):
                start = time.thread_time()
                run(call)
                seconds[name].append(time.thread_time() - start)
    return {name: float(np.median(measured)) for name, measured in seconds.items()}
