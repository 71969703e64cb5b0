"""Proposing candidates, from an index of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.errors import EmbedderError
from miwake.indexer.search.inverted import InvertedLists
from miwake.indexer.soart3.kernel import measures_by_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLAS_THRESHOLD = 1024
"""Where FAISS turns to BLAS, in queries times dimensions.

Its own default of 128,000 runs batches of 64 at a tenth of the core's speed; a lone query is faster without BLAS.
"""


@dataclass(frozen=True, slots=True)
class ReferenceIndex:
    """What proposes references: their embeddings, and what finds the nearest of them sooner.

    Attributes
    ----------
    embeddings : (N, D) float32
        Searched where they lie: exact search has no copy of them.
    approximate : FAISS index or None
        None: search is exact.
    parameters : mapping
        Of its kind, see ``miwake.indexer.search.card``.
    lists : InvertedLists or None
        Where those of ``approximate`` lie, if they are searched without FAISS.
    """

    embeddings: NDArray[np.float32]
    approximate: Any = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    lists: InvertedLists | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lists", None if self.approximate is None else InvertedLists.of(self.approximate))


def exact_index(embeddings: NDArray[np.float32]) -> ReferenceIndex:
    """Return what searches (N, D) float32 embeddings exactly; nothing is copied."""
    return ReferenceIndex(embeddings)


def propose(
    index: ReferenceIndex, queries: NDArray[np.float32], n_candidates: int, *, selector: Any = None
) -> NDArray[np.int64]:
    """Return the positions (Q, M) of what FAISS finds nearest to (Q, D) float32 queries.

    Parameters
    ----------
    n_candidates : int
        M, at most N.
    selector : faiss.IDSelector, optional
        Which positions may be found. Where fewer than M may, the rest are -1. An index that approximates keeps its
        agreement with exact search only where it lets most of them be found.

    Raises
    ------
    EmbedderError
        If a query is not finite, which finds nothing.
    """
    if index.approximate is None:
        return _checked(_exact(index.embeddings, queries, n_candidates, selector), selector)
    positions = _approximate(index, queries, n_candidates, selector)
    # Few references in all the lists that were looked into, or few that a search of a graph came by.
    is_short = positions[:, -1] < 0
    if is_short.any():
        positions[is_short] = _exact(index.embeddings, queries[is_short], n_candidates, selector)
    return _checked(positions, selector)


def _approximate(
    index: ReferenceIndex, queries: NDArray[np.float32], n_candidates: int, selector: Any
) -> NDArray[np.int64]:
    if index.lists is not None and selector is None:
        return index.lists.search(queries, n_candidates, index.parameters["n_probes"])
    n_proposed = min(n_candidates * index.parameters.get("n_refined", 1), len(index.embeddings))
    positions = _searched(index.approximate, queries, n_proposed, _search_parameters(index.parameters, selector))
    if n_proposed == n_candidates:
        return positions
    distances = measures_by_id(queries, index.embeddings, positions).distance
    # Not a number, of none, sorts last.
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :n_candidates]
    return np.take_along_axis(positions, nearest, axis=1)


def _searched(index: Any, queries: NDArray[np.float32], n_proposed: int, parameters: Any) -> NDArray[np.int64]:
    """Return what a FAISS index finds by its own ``search``.

    pytorch-metric-learning imports ``faiss.contrib.torch_utils``, which puts a ``search`` that takes no parameters in
    its place, for the whole process, and keeps the old one under another name.
    """
    search = getattr(index, "search_numpy", index.search)
    _, positions = search(queries, n_proposed, params=parameters)
    return np.asarray(positions, dtype=np.int64)


def _search_parameters(parameters: Mapping[str, int], selector: Any) -> Any:
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    names: Any = faiss  # its types lack some of them
    chosen = {} if selector is None else {"sel": selector}
    if "ef_search" in parameters:
        return names.SearchParametersHNSW(efSearch=parameters["ef_search"], **chosen)
    return names.SearchParametersIVF(nprobe=parameters["n_probes"], **chosen)


def _exact(
    embeddings: NDArray[np.float32], queries: NDArray[np.float32], n_candidates: int, selector: Any
) -> NDArray[np.int64]:
    import faiss  # noqa: PLC0415

    tune_faiss()
    rows = np.ascontiguousarray(queries, dtype=np.float32)
    stored = np.ascontiguousarray(embeddings, dtype=np.float32)
    distances = np.empty((len(rows), n_candidates), dtype=np.float32)
    positions = np.empty((len(rows), n_candidates), dtype=np.int64)
    knn: Any = faiss.knn_L2sqr
    pointers = [faiss.swig_ptr(one) for one in (rows, stored, distances, positions)]
    n_dimensions = stored.shape[1]
    knn(*pointers[:2], n_dimensions, len(rows), len(stored), n_candidates, *pointers[2:], None, selector)
    return positions


def tune_faiss() -> None:
    """Tell FAISS where BLAS pays, and to use one thread: see ``miwake.indexer.threads`` for what more of them cost."""
    import faiss  # noqa: PLC0415

    faiss.omp_set_num_threads(1)
    settings: Any = faiss.cvar
    settings.distance_compute_blas_threshold = BLAS_THRESHOLD


def _checked(positions: NDArray[np.int64], selector: Any) -> NDArray[np.int64]:
    if selector is None and (positions < 0).any():
        message = "a query's embedding is not finite, and has no neighbours: the embedder does not fit the vectors"
        raise EmbedderError(message)
    return positions
