"""Agreement with exact search: how many of the true ten nearest references are among what an index proposes.

It goes by distance: a candidate counts if it is no farther than the true tenth, so that ties and copies count whichever
of them is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.search.card import Agreement
from miwake.indexer.search.proposing import exact_index, propose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.search.proposing import ReferenceIndex

N_NEAREST = 10
N_QUERIES = 512
TOLERANCE = 1e-5
"""Between distances that were computed alike: rounding."""

OFF = 0.25
"""How far towards another reference the queries of the second set lie.

Search along inverted lists is hardest for queries that lie off what it was trained on, as parts of a product never seen
do. With this share the agreement is half a point below that of parts of board types which the embedder had not seen, at
the same effort; with references themselves it is up to three points above.
"""

BATCH = 64
ALONE_AT_MOST = 20_000
"""Up to so many references the truth is found query by query, which FAISS does by residuals, and exactly.

For a million that takes 40 ms a query; batches go through BLAS, which rounds, and takes a tenth.
"""

SPARE = 50
"""Proposed beyond the ten when looking for the truth, so that what BLAS rounds away is among them."""
ROUNDING = 22
"""Neighbours beyond the tenth that BLAS, which rounds to about 1e-4, might take for nearer."""


class AgreementTest:
    """The queries on which an index is compared with exact search, and what exact search finds.

    Parameters
    ----------
    embeddings : (N, D) float32
        With N at least 2.
    n_candidates : int
        How many are proposed for a query.
    seed : int
        Of the references that are asked for.
    n_queries : int
        Of each of the two sets, at most.
    """

    def __init__(
        self, embeddings: NDArray[np.float32], n_candidates: int, *, seed: int, n_queries: int = N_QUERIES
    ) -> None:
        random = np.random.default_rng(seed)
        self._embeddings = embeddings
        self._n_candidates = n_candidates
        self._rows = np.sort(random.permutation(len(embeddings))[:n_queries])
        own = np.array(embeddings[self._rows])
        other = embeddings[np.sort(random.integers(0, len(embeddings), len(own)))]
        self._own, self._between = own, _mixed(own, random.permutation(other))
        n_nearest = min(N_NEAREST, n_candidates, len(embeddings) - 1)
        self._limits_own = _limits(embeddings, own, n_nearest, without=self._rows)
        self._limits_between = _limits(embeddings, self._between, n_nearest)

    def agreement(self, index: ReferenceIndex) -> Agreement:
        """Return how well an index over the same embeddings agrees."""
        return Agreement(
            references=self._share(index, self._own, self._limits_own, without=self._rows),
            between=self._share(index, self._between, self._limits_between),
            n_queries=len(self._rows),
        )

    def _share(
        self,
        index: ReferenceIndex,
        queries: NDArray[np.float32],
        limits: NDArray[np.float32],
        *,
        without: NDArray[np.int64] | None = None,
    ) -> float:
        n_proposed = min(self._n_candidates + (without is not None), len(self._embeddings))
        hits = 0
        for start in range(0, len(queries), BATCH):
            batch = slice(start, start + BATCH)
            positions = propose(index, queries[batch], n_proposed)
            found = _distances(self._embeddings, queries[batch], positions)
            if without is not None:
                found[positions == without[batch, None]] = np.inf
            near = (found <= limits[batch, -1:] + TOLERANCE).sum(axis=1)
            hits += int(np.minimum(near, limits.shape[1]).sum())
        return hits / limits.size


def _mixed(own: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows off their own place, as long as they were: embeddings may all have one length."""
    mixed = (1 - OFF) * own + OFF * other
    lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed * (np.linalg.norm(own, axis=1, keepdims=True) / np.maximum(lengths, 1e-12)), np.float32)


def _limits(
    embeddings: NDArray[np.float32],
    queries: NDArray[np.float32],
    n_nearest: int,
    *,
    without: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Return the distances (Q, 10) of the true nearest, ascending."""
    index = exact_index(embeddings)
    n_together = 1 if len(embeddings) <= ALONE_AT_MOST else BATCH
    n_proposed = min(n_nearest + SPARE, len(embeddings))
    limits = []
    for start in range(0, len(queries), n_together):
        batch = slice(start, start + n_together)
        positions = propose(index, queries[batch], n_proposed)
        found = _distances(embeddings, queries[batch], positions)
        if without is not None:
            found[positions == without[batch, None]] = np.inf
        limits.append(np.sort(found, axis=1)[:, :n_nearest])
    return np.concatenate(limits)


def _distances(
    embeddings: NDArray[np.float32], queries: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    residuals = embeddings[positions] - queries[:, None]
    return np.asarray(np.sqrt(np.einsum("qmd,qmd->qm", residuals, residuals)))
