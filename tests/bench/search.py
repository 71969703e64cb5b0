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
from miwake.indexer.search.building import AUTO_FLAT_AT_MOST, SearchSettings, build_search
from miwake.indexer.search.card import read_card
from miwake.indexer.search.loading import INDEX_FILE, load_index
from miwake.indexer.search.proposing import propose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from bench.jittered import Origin
    from miwake.indexer.search.card import Kind, KindOrAuto
    from miwake.indexer.search.proposing import ReferenceIndex

    Vectors = NDArray[np.float32]

KINDS: tuple[Kind, ...] = ("ivf-flat", "hnsw", "ivf-pq")
N_BY_KIND = 100_000
"""References on which the kinds are compared with each other."""

SMALL = {"20k": 20_000, "50k": 50_000}
LARGE = {"100k": 100_000, "1m": 1_000_000}
"""The latter are whole generations, which are opened too. All are searched as ``auto`` does, and 20,000 by lists."""

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
        for size, n_references in SMALL.items():
            kind: KindOrAuto = "auto" if n_references > AUTO_FLAT_AT_MOST else "ivf-flat"
            _build(Path(name), made, n_references, kind)
            found |= {f"{key}_{size}": value for key, value in _against_exact(Path(name), made)}
        found |= _by_kind(Path(name), made)
        station = found_station(Path(name), made)
        for size, n_references in LARGE.items():
            opened = open_many(station, made, n_references)
            found[f"open_{size}_s"] = opened.seconds
            found[f"open_busy_{size}_s"] = opened.busy_seconds
            found |= {f"{key}_{size}": value for key, value in _against_exact(opened.folder, made)}
        found["anonymous_bytes_per_reference"] = opened.anonymous_bytes
    return found


def _build(folder: Path, made: Origin, n_references: int, kind: KindOrAuto) -> float:
    """Write jittered references and build an index of a kind; return how long the latter took, in seconds."""
    np.save(folder / EMBEDDINGS_FILE, jittered(made.training, n_references, made.scale, seed=1))
    start = time.perf_counter()
    build_search(folder, EMBEDDINGS_FILE, SearchSettings(kind=kind))
    return time.perf_counter() - start


def _load(folder: Path) -> ReferenceIndex:
    return load_index(folder, read_card(folder), np.load(folder / EMBEDDINGS_FILE, mmap_mode="r"))


def _queries(made: Origin) -> Vectors:
    return jittered(made.held_out, N_IN_A_BATCH * N_BATCHES, made.scale, seed=2)


def _exact(index: ReferenceIndex) -> Any:
    exact: Any = faiss.IndexFlatL2(index.embeddings.shape[1])
    exact.add(index.embeddings)
    return exact


def _against_exact(folder: Path, made: Origin) -> Iterator[tuple[str, float]]:
    """Yield the speed-up of proposing candidates in batches, for as many as the product asks for, and for ten."""
    index, queries = _load(folder), _queries(made)
    exact = _exact(index)
    threshold = _best_threshold(exact, queries)
    yield "blas_threshold", threshold
    for key, n_proposed in (("", N_CANDIDATES), ("_k10", N_NEAREST)):
        seconds = _seconds(exact, index, queries, n_proposed, threshold)
        yield f"speedup{key}", seconds["exact"] / seconds["index"]
        yield f"exact{key}_us", seconds["exact"] / N_IN_A_BATCH * 1e6
        yield f"index{key}_us", seconds["index"] / N_IN_A_BATCH * 1e6
    yield "recall", _recall(exact, index, queries)
    yield from ((name, float(value)) for name, value in index.parameters.items())


def _by_kind(folder: Path, made: Origin) -> dict[str, float]:
    """Return what each kind costs at the effort at which it agrees enough: in time, to build, and on disk."""
    queries = _queries(made)
    found: dict[str, float] = {}
    for kind in KINDS:
        found[f"build_s_{kind}"] = _build(folder, made, N_BY_KIND, kind)
        index = _load(folder)
        seconds = median_seconds({kind: _proposing(index, queries)}, n_rounds=3, n_in_a_row=N_BATCHES)
        found[f"us_{kind}"] = seconds[kind] / N_IN_A_BATCH * 1e6
        found[f"recall_{kind}"] = _recall(_exact(index), index, queries)
        found[f"bytes_{kind}"] = (folder / INDEX_FILE).stat().st_size / N_BY_KIND
    return found


def _proposing(index: ReferenceIndex, queries: Vectors, n_proposed: int = N_CANDIDATES) -> Callable[[int], object]:
    return lambda call: propose(index, _batch(queries, call), n_proposed)


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
    """Time both; the index many times in a row, as in steady work."""

    def search_exactly(call: int) -> None:
        faiss.cvar.distance_compute_blas_threshold = threshold
        exact.search(_batch(queries, call), n_proposed)

    found = median_seconds({"exact": search_exactly}, n_rounds=5)
    return found | median_seconds({"index": _proposing(index, queries, n_proposed)}, n_rounds=3, n_in_a_row=N_BATCHES)


def _recall(exact: Any, index: ReferenceIndex, queries: Vectors) -> float:
    hits = 0
    for call in range(N_BATCHES):
        batch = _batch(queries, call)
        truth = _distances(index.embeddings, batch, exact.search(batch, 2 * N_NEAREST)[1])
        limits = np.sort(truth, axis=1)[:, N_NEAREST - 1 : N_NEAREST]
        found = _distances(index.embeddings, batch, propose(index, batch, N_CANDIDATES))
        hits += int(np.minimum((found <= limits + TOLERANCE).sum(axis=1), N_NEAREST).sum())
    return hits / len(queries) / N_NEAREST


def _distances(embeddings: Vectors, queries: Vectors, positions: NDArray[np.int64]) -> Vectors:
    residuals = embeddings[positions] - queries[:, None]
    return np.asarray(np.sqrt(np.einsum("qmd,qmd->qm", residuals, residuals)))
