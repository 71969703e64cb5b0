"""What ``auto`` makes of many references: against exact search, and what a million of them cost when they are open."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from bench.jittered import jittered, origin
from bench.opening import found_station, open_many
from bench.timing import median_seconds
from miwake.indexer.search.agreement import N_NEAREST, TOLERANCE
from miwake.indexer.search.building import SearchSettings, build_search
from miwake.indexer.search.loading import INDEX_FILE, load_index
from miwake.indexer.search.proposing import propose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bench.jittered import Origin
    from miwake.indexer.search.card import Kind
    from miwake.indexer.search.proposing import ReferenceIndex

    Vectors = NDArray[np.float32]

KINDS: tuple[Kind, ...] = ("ivf-flat", "hnsw", "ivf-pq")
N_BY_KIND = 100_000
"""References on which the kinds are compared with each other."""

SIZES = {"20k": 20_000, "50k": 50_000, "100k": 100_000, "1m": 1_000_000}
OPENED = {"100k": SIZES["100k"], "1m": SIZES["1m"]}
N_CANDIDATES = 100
"""As a build sets it: so many are proposed, and compared exactly."""

N_IN_A_BATCH = 64
N_BATCHES = 10
BLAS_THRESHOLDS = (1, 1024, 16_384, 128_000)
"""Where FAISS turns to BLAS; exact search is timed with the best of them for each number of references."""

EMBEDDINGS_FILE = "embeddings.npy"
FOLDER = Path("build")


def measure() -> dict[str, float]:
    """Return speed-ups and agreements by size, and what opening and holding a generation costs."""
    faiss.omp_set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="bench-search-") as name:
        made = origin(Path(name))
        for size, n_references in SIZES.items():
            found |= {f"{key}_{size}": value for key, value in _against_exact(Path(name), made, n_references)}
        found |= _by_kind(Path(name), made)
        station = found_station(Path(name), made)
        for size, n_references in OPENED.items():
            opened = open_many(station, made, n_references)
            found[f"open_{size}_s"] = opened.seconds
        found["anonymous_bytes_per_reference"] = opened.anonymous_bytes
    return found


def _against_exact(folder: Path, made: Origin, n_references: int) -> Iterator[tuple[str, float]]:
    """Yield the speed-up of proposing candidates in batches, for as many as the product asks for, and for ten."""
    embeddings = jittered(made.training, n_references, made.scale, seed=1)
    np.save(folder / EMBEDDINGS_FILE, embeddings)
    card = build_search(folder, EMBEDDINGS_FILE, SearchSettings(kind="auto" if n_references > 50_000 else "ivf-flat"))
    index = load_index(folder, card, np.load(folder / EMBEDDINGS_FILE, mmap_mode="r"))
    queries = jittered(made.held_out, N_IN_A_BATCH * N_BATCHES, made.scale, seed=2)
    exact = faiss.IndexFlatL2(embeddings.shape[1])
    exact.add(embeddings)
    threshold = _best_threshold(exact, queries)
    yield "blas_threshold", threshold
    for key, n_proposed in (("", N_CANDIDATES), ("_k10", N_NEAREST)):
        seconds = _seconds(exact, index, queries, n_proposed, threshold)
        yield f"speedup{key}", seconds["exact"] / seconds["index"]
        yield f"exact{key}_us", seconds["exact"] / N_IN_A_BATCH * 1e6
        yield f"index{key}_us", seconds["index"] / N_IN_A_BATCH * 1e6
    yield "recall", _recall(exact, index, embeddings, queries)
    yield from ((name, float(value)) for name, value in card.parameters.items())


def _by_kind(folder: Path, made: Origin) -> dict[str, float]:
    """Return what each kind costs at the effort at which it agrees enough: in time, to build, and on disk."""
    embeddings = jittered(made.training, N_BY_KIND, made.scale, seed=1)
    np.save(folder / EMBEDDINGS_FILE, embeddings)
    queries = jittered(made.held_out, N_IN_A_BATCH * N_BATCHES, made.scale, seed=2)
    exact = faiss.IndexFlatL2(embeddings.shape[1])
    exact.add(embeddings)
    found: dict[str, float] = {}
    for kind in KINDS:
        start = time.perf_counter()
        card = build_search(folder, EMBEDDINGS_FILE, SearchSettings(kind=kind))
        built = time.perf_counter() - start
        index = load_index(folder, card, np.load(folder / EMBEDDINGS_FILE, mmap_mode="r"))
        seconds = median_seconds(
            {"": lambda call, index=index: propose(index, _batch(queries, call), N_CANDIDATES)},  # type: ignore[misc]
            n_rounds=3,
            n_in_a_row=N_BATCHES,
        )
        found |= {
            f"us_{kind}": seconds[""] / N_IN_A_BATCH * 1e6,
            f"recall_{kind}": _recall(exact, index, embeddings, queries),
            f"build_s_{kind}": built,
            f"bytes_{kind}": (folder / INDEX_FILE).stat().st_size / N_BY_KIND,
        }
    return found


def _batch(queries: Vectors, call: int) -> Vectors:
    start = call % N_BATCHES * N_IN_A_BATCH
    return queries[start : start + N_IN_A_BATCH]


def _best_threshold(exact: Any, queries: Vectors) -> int:
    def search(threshold: int, call: int) -> None:
        faiss.cvar.distance_compute_blas_threshold = threshold
        exact.search(_batch(queries, call), N_CANDIDATES)

    seconds = median_seconds(
        {str(one): lambda call, one=one: search(one, call) for one in BLAS_THRESHOLDS},  # type: ignore[misc]
        n_rounds=2,
    )
    return int(min(seconds, key=lambda one: seconds[one]))


def _seconds(exact: Any, index: ReferenceIndex, queries: Vectors, n_proposed: int, threshold: int) -> dict[str, float]:
    """Time both in turn; the index several times a turn, as in steady work."""
    rounds = {"n_rounds": 5, "n_in_a_row": 1}

    def search_exactly(call: int) -> None:
        faiss.cvar.distance_compute_blas_threshold = threshold
        exact.search(_batch(queries, call), n_proposed)

    faster = {"index": lambda call: propose(index, _batch(queries, call), n_proposed)}
    found = median_seconds({"exact": search_exactly}, **rounds)
    found |= median_seconds(faster, n_rounds=3, n_in_a_row=N_BATCHES)
    return found | median_seconds({"exact": search_exactly}, **rounds)


def _recall(exact: Any, index: ReferenceIndex, embeddings: Vectors, queries: Vectors) -> float:
    hits = 0
    for call in range(N_BATCHES):
        batch = _batch(queries, call)
        truth = _distances(embeddings, batch, exact.search(batch, 2 * N_NEAREST)[1])
        limits = np.sort(truth, axis=1)[:, N_NEAREST - 1 : N_NEAREST]
        found = _distances(embeddings, batch, propose(index, batch, N_CANDIDATES))
        hits += int(np.minimum((found <= limits + TOLERANCE).sum(axis=1), N_NEAREST).sum())
    return hits / len(queries) / N_NEAREST


def _distances(embeddings: Vectors, queries: Vectors, positions: NDArray[np.int64]) -> Vectors:
    residuals = embeddings[positions] - queries[:, None]
    return np.asarray(np.sqrt(np.einsum("qmd,qmd->qm", residuals, residuals)))
