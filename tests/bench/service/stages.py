"""Where the time of the index goes: by stage, and its own search of inverted lists against FAISS's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from bench.service.in_process import BATCH
from bench.timing import median_seconds
from miwake.indexer.index import DEFAULT_NEIGHBOURS
from miwake.indexer.search.proposing import propose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.index import InspectionIndex

    Vectors = NDArray[np.float32]

SIZES = (1, 16, 64)
"""Queries in a batch."""

N_BATCHES = 40
N_ROUNDS = 3
N_CANDIDATES = 100


def stages(index: InspectionIndex, queries: Vectors) -> dict[str, float]:
    """Return ``stage_STAGE_us`` of a vector in batches of 64 by the clock, and the processor time of both searches."""
    return _by_stage(index, queries) | _both_searches(index, queries)


def _by_stage(index: InspectionIndex, queries: Vectors) -> dict[str, float]:
    taken = [
        index.classify(queries[start : start + BATCH], n_neighbours=DEFAULT_NEIGHBOURS).stage_seconds
        for start in range(0, len(queries) - BATCH + 1, BATCH)
    ]
    return {f"stage_{name}_us": 1e6 * float(np.median([one[name] for one in taken])) / BATCH for name in taken[0]}


def _both_searches(index: InspectionIndex, queries: Vectors) -> dict[str, float]:
    """Return ``lists_N_us`` and ``faiss_N_us`` a query, N of them at once; both look into the same lists."""
    references = index.contents.faiss_index
    make: Any = faiss.SearchParametersIVF
    parameters = make(nprobe=references.parameters["n_probes"])
    embedded = index.contents.embedder.embed(queries[: max(SIZES) * N_BATCHES])
    found: dict[str, float] = {}
    for size in SIZES:

        def batch(call: int, size: int = size) -> Vectors:
            start = call * size % (len(embedded) - size)
            return embedded[start : start + size]

        sides = {
            "lists": lambda call: propose(references, batch(call), N_CANDIDATES),
            "faiss": lambda call: references.approximate.search(batch(call), N_CANDIDATES, params=parameters),
        }
        seconds = median_seconds(sides, n_rounds=N_ROUNDS, n_in_a_row=N_BATCHES)
        found |= {f"{name}_{size}_us": 1e6 * taken / size for name, taken in seconds.items()}
    return found
