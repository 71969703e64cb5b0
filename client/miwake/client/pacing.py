"""When each vector of a replay is to be sent: evenly, or at random as parts arrive."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def arrivals(rate: float, *, poisson: bool, seed: int = 0) -> Iterator[float]:
    """Yield without end when each vector arrives, in seconds from the start.

    Parameters
    ----------
    rate : float
        Vectors a second.
    poisson : bool
        Whether the times between two are exponential, as with parts that know nothing of each other; else all equal.
    seed : int
        Of the exponential times.
    """
    if not poisson:
        yield from (place / rate for place in count())
    generator = np.random.default_rng(seed)
    at_s = 0.0
    while True:
        yield at_s
        at_s += generator.exponential(1 / rate)


def paced(
    items: Iterable[T],
    times_s: Iterable[float],
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[T]:
    """Yield each item when its time has come, counted from the first call; one that is late comes at once."""
    started = now()
    for item, at_s in zip(items, times_s, strict=False):
        early_s = started + at_s - now()
        if early_s > 0:
            sleep(early_s)
        yield item
