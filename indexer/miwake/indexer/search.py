"""Finding neighbours: FAISS proposes candidates, their distances are recomputed, SOART3 re-ranks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.soart3_kernel import measures_by_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

INDEX_FILE = "index.faiss"

BLAS_THRESHOLD = 1024
"""Where FAISS turns to BLAS. Its own default of 128,000 runs mid-size batches at a tenth of the core's speed."""


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

    def novelty(self, n_nearest: int) -> NDArray[np.float32]:
        """Return the mean distance to the ``n_nearest`` nearest references, (Q,) float32."""
        return np.asarray(self.distances[:, :n_nearest].mean(axis=1))

    def take(self, rows: NDArray[np.intp]) -> Candidates:
        """Return the candidates of some queries."""
        return Candidates(self.positions[rows], self.distances[rows], self.beta[rows], self.eta[rows], self.gamma[rows])


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


def build_flat(embeddings: NDArray[np.float32]) -> bytes:
    """Return an exact FAISS index over (N, D) float32 embeddings, serialised."""
    import faiss  # noqa: PLC0415 - heavy, and not needed for --help

    index = faiss.IndexFlatL2(embeddings.shape[1])
    index.add(embeddings)
    return bytes(faiss.serialize_index(index))


def load_index(stored: bytes, *, n_references: int, n_dimensions: int) -> Any:  # FAISS has no types
    """Return the FAISS index in ``stored``, whose bytes must have been verified.

    Raises
    ------
    ArtifactCorruptError
        If FAISS cannot read it, or it holds something else than N embeddings of D dimensions.
    """
    import faiss  # noqa: PLC0415

    faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
    try:
        index = faiss.deserialize_index(np.frombuffer(stored, dtype=np.uint8))
    except RuntimeError as error:
        message = f"{INDEX_FILE}: FAISS cannot read it: {error}"
        raise ArtifactCorruptError(message) from error
    if (index.ntotal, index.d) != (n_references, n_dimensions):
        message = (
            f"{INDEX_FILE}: {index.ntotal} embeddings of {index.d} dimensions, "
            f"expected {n_references} of {n_dimensions}"
        )
        raise ArtifactCorruptError(message)
    return index


def propose(index: Any, queries: NDArray[np.float32], n_candidates: int) -> NDArray[np.int64]:
    """Return the positions (Q, M) of what FAISS finds nearest to (Q, D) float32 queries; M is at most N."""
    _, positions = index.search(queries, n_candidates)
    return np.asarray(positions, dtype=np.int64)


def measure(
    positions: NDArray[np.int64],
    queries: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    space: RerankSpace,
    space_queries: NDArray[np.float32],
) -> Candidates:
    """Return the proposed references with their exact distances and SOART3 measures, nearest first.

    Parameters
    ----------
    positions : (Q, M) int64
        Rows of ``embeddings``, (N, D) float32.
    queries : (Q, D) float32
        Embedded queries.
    space, space_queries : RerankSpace, (Q, S) float32
        Where SOART3 compares, and the queries there.
    """
    measures = measures_by_id(space_queries, space.references, positions, p_eta=space.p_eta, p_gamma=space.p_gamma)
    distances = measures.distance if space.is_embedding else measures_by_id(queries, embeddings, positions).distance
    # FAISS rounds differently in small and large batches: sort by what is exact, ties by position.
    order = np.lexsort((positions, distances), axis=1)

    def arrange(values: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(values, order, axis=1)

    return Candidates(
        arrange(positions), arrange(distances), arrange(measures.beta), arrange(measures.eta), arrange(measures.gamma)
    )
