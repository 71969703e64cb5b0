"""The kinds of index that find the nearest references sooner than by comparing all, and how each is built.

None holds the embeddings themselves: what an index proposes is compared exactly afterwards, so that half their
precision, or a code, is enough to propose by, is read faster, and takes less room.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.search.clusters import find_centres, flat_over

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

LARGEST_VALUE = 1e4
"""Of an embedding that a kind but flat can hold: half precision ends at 65,504, and training aborts on 1e38."""

LEAST_REFERENCES = {"ivf-flat": 64, "hnsw": 64, "ivf-pq": 256}
"""With fewer there is nothing to train on, or nothing to gain."""

LISTS_PER_ROOT = 8
"""Lists of an inverted file, times √N: twice the usual, since batches are compared with all centres through BLAS."""

LEAST_PER_LIST = 16
ROWS_PER_LIST = 50
"""Rows that centres are found among: k-means gains little from more."""

N_LINKS = 32
"""Links of each reference in a graph; on its lowest level twice as many."""
EF_CONSTRUCTION = 80

CODE_BITS = 8
VALUES_PER_CODE = (4, 3, 2, 1)
"""How many values of an embedding share one code byte: the first that divides D."""

PIECE = 65_536
"""Rows that are added at once: 33 MB of mapped embeddings of 128 dimensions."""

PROBES = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512)
EF_SEARCHES = (128, 192, 256, 384, 512, 768, 1024)
N_REFINED = (2, 4, 8)


def build_kind(kind: str, embeddings: NDArray[np.float32], *, seed: int) -> tuple[Any, dict[str, int]]:
    """Return a FAISS index of a kind over (N, D) embeddings, and those of its parameters that building settled."""
    build: dict[str, Callable[..., tuple[Any, dict[str, int]]]] = {
        "ivf-flat": _ivf_flat,
        "hnsw": _hnsw,
        "ivf-pq": _ivf_pq,
    }
    index, parameters = build[kind](embeddings, seed)
    for start in range(0, len(embeddings), PIECE):
        index.add(np.ascontiguousarray(embeddings[start : start + PIECE]))
    return index, parameters


def least_probes(settled: dict[str, int], *, n_references: int, n_candidates: int) -> int:
    """Return in how many lists twice the candidates are, as a rule.

    A query that finds too few would be compared with all references.
    """
    return math.ceil(2 * n_candidates * settled.get("n_lists", 0) / n_references)


def efforts(kind: str, settled: dict[str, int], *, least: int = 1, most_share: float = 1.0) -> Sequence[dict[str, int]]:
    """Return the parameters of ever more thorough searches of an index of a kind.

    Of lists, at least ``least`` and beyond that at most ``most_share`` of all are looked into.
    """
    if kind == "hnsw":
        return [{**settled, "ef_search": one} for one in EF_SEARCHES]
    n_lists = settled["n_lists"]
    least, most = min(least, n_lists), math.floor(most_share * n_lists)
    probes = sorted({max(min(one, most), least) for one in (*PROBES, n_lists)})
    probing = [{**settled, "n_probes": one} for one in probes]
    if kind == "ivf-flat":
        return probing
    return [{**one, "n_refined": more} for one in probing for more in N_REFINED]


def _n_lists(n_references: int) -> int:
    return max(1, min(round(LISTS_PER_ROOT * math.sqrt(n_references)), n_references // LEAST_PER_LIST))


def _sample(embeddings: NDArray[np.float32], n_rows: int, seed: int) -> NDArray[np.float32]:
    if len(embeddings) <= n_rows:
        return np.array(embeddings)
    rows = np.random.default_rng(seed).choice(len(embeddings), n_rows, replace=False)
    return embeddings[np.sort(rows)]


def _ivf_flat(embeddings: NDArray[np.float32], seed: int) -> tuple[Any, dict[str, int]]:
    import faiss  # noqa: PLC0415

    sample = _sample(embeddings, ROWS_PER_LIST * _n_lists(len(embeddings)), seed)
    centres = flat_over(find_centres(sample, _n_lists(len(embeddings)), seed=seed))
    make: Any = faiss.IndexIVFScalarQuantizer
    half: Any = faiss.ScalarQuantizer.QT_fp16
    index = make(centres, embeddings.shape[1], centres.ntotal, half, faiss.METRIC_L2, False)
    index.train(sample[:1])
    return _owning(index, centres), {"n_lists": centres.ntotal}


def _hnsw(embeddings: NDArray[np.float32], seed: int) -> tuple[Any, dict[str, int]]:
    import faiss  # noqa: PLC0415

    del seed
    make: Any = faiss.IndexHNSWSQ
    index = make(embeddings.shape[1], faiss.ScalarQuantizer.QT_fp16, N_LINKS)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.train(np.ascontiguousarray(embeddings[:1]))
    return index, {"n_links": N_LINKS}


def _ivf_pq(embeddings: NDArray[np.float32], seed: int) -> tuple[Any, dict[str, int]]:
    import faiss  # noqa: PLC0415

    n_dimensions = embeddings.shape[1]
    n_codes = n_dimensions // next(one for one in VALUES_PER_CODE if n_dimensions % one == 0)
    sample = _sample(embeddings, ROWS_PER_LIST * _n_lists(len(embeddings)), seed)
    centres = flat_over(find_centres(sample, _n_lists(len(embeddings)), seed=seed))
    make: Any = faiss.IndexIVFPQ
    index = make(centres, n_dimensions, centres.ntotal, n_codes, CODE_BITS)
    index.pq.cp.min_points_per_centroid = 1
    index.pq.cp.seed = seed
    index.train(sample)
    return _owning(index, centres), {"n_lists": centres.ntotal, "n_codes": n_codes}


def _owning(index: Any, centres: Any) -> Any:
    # Python would free the centres with the name that holds them.
    centres.this.disown()
    index.own_fields = True
    return index
