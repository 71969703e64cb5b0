"""Live references as SOART3 compares them: in one space, with one pair of powers, at any positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.search.candidates import Candidates
from miwake.indexer.soart3.kernel import measures_all, measures_by_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.search.rows import LiveRows
    from miwake.indexer.verdict.calibration import RerankSettings

MOST_ROWS = 4096
"""Rows gathered at once: 23 MB of raw maps."""


@dataclass(frozen=True, slots=True)
class LiveSpace:
    """Where SOART3 compares, what with, and by which powers.

    Unlike ``RerankSpace``, which serves verdicts, it takes any space of any generation, and gathers what it compares.
    """

    rows: LiveRows
    settings: RerankSettings

    def queries(self, vectors: NDArray[np.float32], embedded: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the queries (Q, S) in this space, from (Q, V) inspection vectors and their (Q, D) embeddings."""
        return embedded if self._is_embedding else self.rows.to_unit_scale(vectors)

    def measure_every(
        self, embedded: NDArray[np.float32], space_queries: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> Candidates:
        """Return the references at (m,) positions as candidates (Q, m) of every query, in that order."""
        embeddings = self.rows.embeddings_at(positions)
        references = embeddings if self._is_embedding else self.rows.maps_at(positions)
        found = measures_all(space_queries, references, p_eta=self.settings.p_eta, p_gamma=self.settings.p_gamma)
        distances = found.distance if self._is_embedding else measures_all(embedded, embeddings).distance
        everywhere = np.broadcast_to(positions, distances.shape)
        return Candidates(everywhere, distances, found.beta, found.eta, found.gamma)

    def measure(
        self, embedded: NDArray[np.float32], space_queries: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> Candidates:
        """Return the references at (Q, M) positions as candidates, in that order."""
        n_together = max(1, MOST_ROWS // positions.shape[1])
        pieces = [slice(start, start + n_together) for start in range(0, len(positions), n_together)]
        found = [self._measure(embedded[piece], space_queries[piece], positions[piece]) for piece in pieces]
        return together(found)

    def _measure(
        self, embedded: NDArray[np.float32], space_queries: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> Candidates:
        distinct, places = np.unique(positions, return_inverse=True)
        places = places.reshape(positions.shape)
        embeddings = self.rows.embeddings_at(distinct)
        references = embeddings if self._is_embedding else self.rows.maps_at(distinct)
        powers = {"p_eta": self.settings.p_eta, "p_gamma": self.settings.p_gamma}
        found = measures_by_id(space_queries, references, places, **powers)
        distances = found.distance if self._is_embedding else measures_by_id(embedded, embeddings, places).distance
        return Candidates(positions, distances, found.beta, found.eta, found.gamma)

    @property
    def _is_embedding(self) -> bool:
        return self.settings.space == "embedding"


def together(pieces: list[Candidates]) -> Candidates:
    """Return the candidates of several batches of queries as those of one."""
    return Candidates(*(np.concatenate(columns) for columns in zip(*(one.columns() for one in pieces), strict=True)))
