"""SOART3: the fused kernel against the plain scipy loop, against float64, and against faiss over all references."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
from scipy.spatial import distance

from bench.timing import median_seconds
from miwake.indexer.soart3 import plain as soart3
from miwake.indexer.soart3.kernel import measures_all, measures_by_id, warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

N_REFERENCES, N_DIMENSIONS, N_CANDIDATES = 20_000, 128, 100
N_QUERIES = 64
"""A batch as the service forms them."""

N_NEAR = 1_000
"""References that fit into a core's own cache."""

NANOSECONDS = 1e9
START = """
import time
from miwake.indexer.soart3.kernel import warm_up
start = time.perf_counter()
warm_up()
print(time.perf_counter() - start)
"""


def measure() -> dict[str, float]:
    """Return the ratios, the times behind them in ns a pair, the largest error, and how long a start takes in s."""
    warm_up()
    random = np.random.default_rng(0)
    references = random.standard_normal((N_REFERENCES, N_DIMENSIONS), dtype=np.float32)
    queries = random.standard_normal((N_QUERIES, N_DIMENSIONS), dtype=np.float32)
    return {
        **_by_id(queries, references, random),
        **_exhaustive(queries, references),
        "max_error": max(_errors(random)),
        **_starts(),
    }


def _by_id(queries: Vectors, references: Vectors, random: np.random.Generator) -> dict[str, float]:
    """Time candidates anywhere among the references, others each time; and among few, where memory costs nothing.

    ``gather`` only copies the same rows: what memory alone costs.
    """
    n_rounds, n_in_a_row = 11, 5
    ids = random.integers(0, N_REFERENCES, (n_rounds * n_in_a_row, N_QUERIES, N_CANDIDATES))
    near = ids % N_NEAR
    gathered = np.empty((N_QUERIES, N_CANDIDATES, N_DIMENSIONS), dtype=np.float32)
    seconds = median_seconds(
        {
            "scipy": lambda call: scipy_loop(queries[0], references[ids[call, 0]]),
            "gather": lambda call: np.take(references, ids[call], axis=0, out=gathered),
            "by_id": lambda call: measures_by_id(queries, references, ids[call]),
            "by_id_near": lambda call: measures_by_id(queries, references, near[call]),
            "by_id_near_1_4": lambda call: measures_by_id(queries, references, near[call], p_eta=1, p_gamma=4),
            "by_id_one_query": lambda call: measures_by_id(queries[:1], references, ids[call, :1]),
        },
        n_rounds=n_rounds,
        n_in_a_row=n_in_a_row,
    )
    alone = {"scipy", "by_id_one_query"}
    times = {name: value / N_CANDIDATES / (1 if name in alone else N_QUERIES) for name, value in seconds.items()}
    return {
        "speedup": times["scipy"] / times["by_id"],
        "speedup_near": times["scipy"] / times["by_id_near"],
        **{f"{name}_ns": value * NANOSECONDS for name, value in times.items()},
    }


def scipy_loop(query: NDArray[Any], candidates: NDArray[Any]) -> NDArray[np.float64]:
    """Return beta, eta and gamma (3, M) as one would write them down: a loop, numpy and scipy."""
    found = np.empty((3, len(candidates)))
    for k, reference in enumerate(candidates):
        beta = (np.dot(reference, query) + 1e-4) / (np.dot(reference, reference) + 1e-4)
        eta = np.log(1 + distance.minkowski(query, beta * reference, 2))
        gamma = eta - np.log(1 + distance.minkowski(query, beta * reference, 6))
        found[:, k] = beta, eta, gamma
    return found


def _exhaustive(queries: Vectors, references: Vectors) -> dict[str, float]:
    """Time one query at a time against every reference, beside faiss searching the same for its 15 nearest."""
    faiss.omp_set_num_threads(1)
    index: Any = faiss.IndexFlatL2(N_DIMENSIONS)
    index.add(references)
    seconds = median_seconds(
        {
            "faiss_flat": lambda call: index.search(queries[[call % N_QUERIES]], 15),
            "exhaustive": lambda call: measures_all(queries[[call % N_QUERIES]], references),
        },
        n_rounds=301,
    )
    return {
        "exhaustive_ratio": seconds["exhaustive"] / seconds["faiss_flat"],
        **{f"{name}_ns": value / N_REFERENCES * NANOSECONDS for name, value in seconds.items()},
    }


def _errors(random: np.random.Generator) -> Iterator[float]:
    """Yield the largest error of each set of ordinary inputs, over max(1, value), for two pairs of powers."""
    for queries, references in _ordinary_inputs(random):
        for p_eta, p_gamma in ((2, 6), (1, 4)):
            found = measures_all(queries, references, p_eta=p_eta, p_gamma=p_gamma)
            expected = soart3.measures(
                queries, np.broadcast_to(references, (len(queries), *references.shape)), p_eta=p_eta, p_gamma=p_gamma
            )
            for name in ("beta", "eta", "gamma"):
                right = getattr(expected, name)
                yield float((np.abs(getattr(found, name) - right) / np.maximum(1, np.abs(right))).max())


def _ordinary_inputs(random: np.random.Generator) -> Iterator[tuple[Vectors, Vectors]]:
    """Yield queries and references: embeddings of any length and of unit length, near ones, raw maps under a gain."""
    queries = random.standard_normal((100, N_DIMENSIONS), dtype=np.float32)
    references = random.standard_normal((1000, N_DIMENSIONS), dtype=np.float32)
    yield queries, references
    yield _unit(queries), _unit(references)
    near = np.repeat(queries[:20], 20, axis=0) + np.float32(0.02) * references[:400]
    yield 30 * queries[:20], 30 * near
    yield _unit(queries[:20]), _unit(near)
    maps = random.random((20, 36 * 39), dtype=np.float32)
    seen = np.float32(0.9) * maps + np.float32(0.02) * random.standard_normal(maps.shape, dtype=np.float32)
    yield seen, maps
    yield 255 * seen, 255 * maps


def _unit(vectors: Vectors) -> Vectors:
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def _starts() -> dict[str, float]:
    """Time ``warm_up`` in a process of its own: with an empty cache it compiles, then it reads what was compiled."""
    with tempfile.TemporaryDirectory() as folder:
        times = [_start(folder), _start(folder)]
    return {"start_compiling_s": times[0], "start_cached_s": times[1]}


def _start(cache: str) -> float:
    command = [sys.executable, "-c", START]
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603 - our own
    return float(done.stdout)
