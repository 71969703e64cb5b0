"""Candidates: what FAISS proposed, with exact distances and SOART3 measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.search.ordering import order_by_distance, pick
from miwake.indexer.soart3.kernel import measures_all, measures_by_id

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Candidates:
    """The M candidates of each of Q queries, nearest first by Euclidean distance.

    Attributes
    ----------
    positions : (Q, M) int64
        Rows of the references.
    distances : (Q, M) float32
        Euclidean, in embedding space, recomputed from residuals.
    beta, eta, gamma : (Q, M) float32
        In the space that the index re-ranks in.
    """

    positions: NDArray[np.int64]
    distances: NDArray[np.float32]
    beta: NDArray[np.float32]
    eta: NDArray[np.float32]
    gamma: NDArray[np.float32]

    def novelty(self, n_nearest: int, *, without: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Return the mean distance to the ``n_nearest`` nearest references, (Q,) float32; some (Q, M) may not count."""
        if without is None:
            return np.asarray(self.distances[:, :n_nearest].mean(axis=1))
        distances = np.sort(np.where(without, np.float32(np.inf), self.distances), axis=1)
        return np.asarray(distances[:, :n_nearest].mean(axis=1))

    def beside(self, other: Candidates) -> Candidates:
        """Return these and other candidates of the same queries, in no order."""
        return Candidates(*(np.hstack(pair) for pair in zip(self.columns(), other.columns(), strict=True)))

    def without(self, masked: NDArray[np.int64]) -> Candidates:
        """Return the candidates with those at ``masked`` positions infinitely far, in no order."""
        distances = np.where(np.isin(self.positions, masked), np.float32(np.inf), self.distances)
        return Candidates(self.positions, distances, self.beta, self.eta, self.gamma)

    def beyond(self, reach: NDArray[np.float32] | np.float32) -> Candidates:
        """Return the candidates with those farther than ``reach`` (Q, 1) infinitely far, in no order."""
        distances = np.where(self.distances > reach, np.float32(np.inf), self.distances)
        return Candidates(self.positions, distances, self.beta, self.eta, self.gamma)

    def take(self, queries: NDArray[np.intp]) -> Candidates:
        """Return the candidates of some of the queries."""
        return Candidates(*(column[queries] for column in self.columns()))

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Return the arrays in the order of the attributes."""
        return self.positions, self.distances, self.beta, self.eta, self.gamma


@dataclass(frozen=True, slots=True)
class RerankSpace:
    """Where SOART3 compares: the vectors of the references there, and the powers.

    Attributes
    ----------
    references : (N, S) float32
        Embeddings, or raw maps on a scale of 0 … 1.
    is_embedding : bool
    p_eta, p_gamma : int
    """

    references: NDArray[np.float32]
    is_embedding: bool
    p_eta: int
    p_gamma: int

    def over(self, references: NDArray[np.float32]) -> RerankSpace:
        """Return the same space with other references."""
        return RerankSpace(references, self.is_embedding, self.p_eta, self.p_gamma)


def measure(
    positions: NDArray[np.int64],
    queries: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    space: RerankSpace,
    space_queries: NDArray[np.float32],
) -> Candidates:
    """Return the proposed references with their exact distances and SOART3 measures, in no order.

    Parameters
    ----------
    positions : (Q, M) int64
        Rows of ``embeddings``, (N, D) float32.
    queries : (Q, D) float32
        Embedded queries.
    space, space_queries : RerankSpace, (Q, S) float32
        Where SOART3 compares, and the queries there.
    """
    found = measures_by_id(space_queries, space.references, positions, p_eta=space.p_eta, p_gamma=space.p_gamma)
    distances = found.distance if space.is_embedding else measures_by_id(queries, embeddings, positions).distance
    return Candidates(positions, distances, found.beta, found.eta, found.gamma)


def measure_every(
    queries: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    space: RerankSpace,
    space_queries: NDArray[np.float32],
    *,
    first: int,
) -> Candidates:
    """Return all of (n, D) references as candidates, in no order; ``first`` is the position of the first of them."""
    found = measures_all(space_queries, space.references, p_eta=space.p_eta, p_gamma=space.p_gamma)
    distances = found.distance if space.is_embedding else measures_all(queries, embeddings).distance
    positions = np.broadcast_to(np.arange(first, first + len(embeddings), dtype=np.int64), distances.shape)
    return Candidates(positions, distances, found.beta, found.eta, found.gamma)


def nearest(candidates: Candidates, n_candidates: int) -> Candidates:
    """Return the nearest candidates of each query, nearest first, ties by position.

    FAISS rounds differently in small and in large batches; the order is that of the recomputed distances.
    """
    order = order_by_distance(candidates.distances, candidates.positions, n_candidates)
    positions, picked = pick(order, candidates.positions, candidates.columns()[1:])
    return Candidates(positions, *picked)
