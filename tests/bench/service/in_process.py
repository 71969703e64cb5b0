"""The twin of the server: the same index in this process, with no messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.index import DEFAULT_NEIGHBOURS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from miwake.indexer.index import InspectionIndex

    Vectors = NDArray[np.float32]

BATCH = 64


def classify_us(index: InspectionIndex, queries: Vectors) -> float:
    """Return the processor time of a vector in batches of 64, embedding included, in µs."""

    def classify() -> None:
        for start in range(0, len(queries), BATCH):
            index.classify(queries[start : start + BATCH], n_neighbours=DEFAULT_NEIGHBOURS)

    return processor_us(classify) / len(queries)


def compute_ms(index: InspectionIndex, queries: Vectors, size: int, *, gap_s: float, n_rounds: int = 200) -> float:
    """Return how long a batch of this size takes by the clock, the median in ms.

    ``gap_s`` lies between two of them, as on a server that is not busy: the caches are colder then.
    """
    taken = []
    for number in range(n_rounds):
        start = number * size % (len(queries) - size)
        time.sleep(gap_s)
        begin = time.perf_counter()
        index.classify(queries[start : start + size], n_neighbours=DEFAULT_NEIGHBOURS)
        taken.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(taken))


def processor_us(run: Callable[[], None]) -> float:
    """Return the processor time that this process takes for it, in µs."""
    begin = time.process_time()
    run()
    return 1e6 * (time.process_time() - begin)
