"""Exhaustive search: SOART3 measures every reference, block by block, and the best matches of all are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.search.candidates import Candidates
from miwake.indexer.search.spaces import together

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.search.spaces import LiveSpace
    from miwake.indexer.verdict.match import MatchMix

N_QUERIES, N_ROWS = 64, 4096
"""Queries and references measured at once: some 20 MB are held for them, whatever the number of references."""


def best_matches(
    space: LiveSpace,
    embedded: NDArray[np.float32],
    space_queries: NDArray[np.float32],
    positions: NDArray[np.int64],
    mix: MatchMix,
    n_best: int,
) -> Candidates:
    """Return the references with the least match distances, ties by Euclidean distance, and then by position.

    Parameters
    ----------
    space : LiveSpace
        The references, and how they are compared.
    embedded, space_queries : (Q, D) and (Q, S) float32
        The queries as embeddings, and where SOART3 compares.
    positions : (n,) int64
        Of the references to measure.
    mix : MatchMix
    n_best : int
        K, 1 … n.
    """
    pieces = [slice(start, start + N_QUERIES) for start in range(0, len(embedded), N_QUERIES)]
    return together([_best_of(space, embedded[one], space_queries[one], positions, mix, n_best) for one in pieces])


def _best_of(
    space: LiveSpace,
    embedded: NDArray[np.float32],
    space_queries: NDArray[np.float32],
    positions: NDArray[np.int64],
    mix: MatchMix,
    n_best: int,
) -> Candidates:
    best = _Best(len(embedded), n_best)
    for start in range(0, len(positions), N_ROWS):
        found = space.measure_every(embedded, space_queries, positions[start : start + N_ROWS])
        best.keep(found, mix.scores(found.beta, found.eta, found.gamma))
    return best.candidates


class _Best:
    """The K best matches of each of Q queries so far; infinitely bad where there were fewer."""

    def __init__(self, n_queries: int, n_best: int) -> None:
        shape = n_queries, n_best
        nothing: list[NDArray[Any]] = [np.full(shape, np.inf, dtype=np.float32) for _ in range(4)]
        self._scores = np.full(shape, np.inf)
        self.candidates = Candidates(np.full(shape, -1, dtype=np.int64), *nothing)

    def keep(self, found: Candidates, scores: NDArray[np.float64]) -> None:
        """Take in what is better among more candidates (Q, m) with their scores."""
        n_best = self._scores.shape[1]
        limits = self._scores[:, -1]
        if scores.shape[1] > n_best:
            limits = np.minimum(limits, np.partition(scores, n_best - 1, axis=1)[:, n_best - 1])
        is_good = scores <= limits[:, None]
        for row in np.flatnonzero(is_good.any(axis=1)):
            good = np.flatnonzero(is_good[row])
            all_scores = np.concatenate([self._scores[row], scores[row, good]])
            columns = [
                np.concatenate([kept[row], more[row, good]])
                for kept, more in zip(self.candidates.columns(), found.columns(), strict=True)
            ]
            order = np.lexsort((columns[0], columns[1], all_scores))[:n_best]
            self._scores[row] = all_scores[order]
            for kept, column in zip(self.candidates.columns(), columns, strict=True):
                kept[row] = column[order]
