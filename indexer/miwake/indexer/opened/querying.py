"""Finding neighbours as a query wants it: among some references, with SOART3 set otherwise, or by comparing all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.opened.found import Found
from miwake.indexer.search.candidates import Candidates, nearest
from miwake.indexer.search.exhaustive import best_matches
from miwake.indexer.search.options import AS_CALIBRATED, SearchOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.filters import Filter
    from miwake.indexer.opened.live import LiveReferences
    from miwake.indexer.verdict.calibration import Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one search asks for.

    Attributes
    ----------
    n_neighbours : int
        K; fewer are found where there are fewer.
    where : Filter or None
        Which references may be found.
    options : SearchOptions
    """

    n_neighbours: int
    where: Filter | None = None
    options: SearchOptions = AS_CALIBRATED


def find(
    references: LiveReferences,
    calibration: Calibration,
    vectors: NDArray[np.float32],
    embedded: NDArray[np.float32],
    asked: Asked,
) -> Found:
    """Return the neighbours of (Q, V) inspection vectors with (Q, D) embeddings, as they are asked for."""
    mix = calibration.mix if asked.options.mix is None else asked.options.mix
    settings = asked.options.applied_to(calibration.rerank)
    if asked.where is None and settings == calibration.rerank and not asked.options.exhaustive:
        n_candidates = min(max(settings.n_candidates, asked.n_neighbours), references.n_counted)
        return Found.rank(references.find(vectors, embedded, n_candidates), mix, asked.n_neighbours)
    pool = references.pool(asked.where)
    if not len(pool):
        return _nothing(len(vectors))
    space = references.space(settings)
    queries = space.queries(vectors, embedded)
    if asked.options.exhaustive:
        candidates = best_matches(space, embedded, queries, pool.positions, mix, min(asked.n_neighbours, len(pool)))
    else:
        n_candidates = min(max(settings.n_candidates, asked.n_neighbours), len(pool))
        proposed = references.propose(embedded, n_candidates, asked.where)
        candidates = nearest(space.measure(embedded, queries, proposed), n_candidates)
    return Found.rank(candidates, mix, asked.n_neighbours)


def _nothing(n_queries: int) -> Found:
    none = np.empty((n_queries, 0), dtype=np.float32)
    columns = np.empty((n_queries, 0), dtype=np.int64)
    return Found(Candidates(columns, none, none, none, none), columns, none)
