"""Timing two sides of a ratio fairly: in turn, so that a busy machine slows both, and by the median."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def median_seconds(sides: Mapping[str, Callable[[int], object]], *, n_repeats: int) -> dict[str, float]:
    """Return the median time of each side in seconds.

    Parameters
    ----------
    sides : name → function
        Called in turn with the number of the repeat, so that every repeat can have its own input.
    n_repeats : int
        After one call each that is not counted.
    """
    seconds = {name: np.empty(n_repeats) for name in sides}
    for run in sides.values():
        run(0)
    for repeat in range(n_repeats):
        for name, run in sides.items():
            start = time.perf_counter()
            run(repeat)
            seconds[name][repeat] = time.perf_counter() - start
    return {name: float(np.median(measured)) for name, measured in seconds.items()}
