"""What one search found, before it is told as neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.match import MatchMix


@dataclass(frozen=True, slots=True)
class Found:
    """The candidates of Q queries, and the best K of them.

    Attributes
    ----------
    candidates : Candidates
        (Q, M)
    ranking : (Q, K)
        Columns of the candidates, best match first, ties by Euclidean distance.
    match_distances : (Q, M) float32
    """

    candidates: Candidates
    ranking: NDArray[np.intp]
    match_distances: NDArray[np.float32]

    @classmethod
    def rank(cls, candidates: Candidates, mix: MatchMix, n_neighbours: int) -> Found:
        """Rank candidates, which come nearest first."""
        scores = mix.scores(candidates.beta, candidates.eta, candidates.gamma)
        return cls(candidates, np.argsort(scores, axis=1, kind="stable")[:, :n_neighbours], mix.distances(scores))
