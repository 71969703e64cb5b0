"""What a calibration is fitted on: calibration queries, their candidates among the references, and both measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.search.candidates import Candidates, RerankSpace, measure, nearest
from miwake.indexer.search.rows import to_unit_scale
from miwake.indexer.soart3.kernel import measures_by_id
from miwake.indexer.verdict.match import fit_mix
from miwake.indexer.verdict.weighing import weigh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.verdict.calibration import RerankSettings, VoteSettings
    from miwake.indexer.verdict.match import MatchMix
    from miwake.indexer.verdict.offering import OfferedMaps
    from miwake.indexer.verdict.votes import Classes
    from miwake.indexer.verdict.weighing import Weighed

MAX_PAIRS = 60_000
"""Pairs that a mix of four weights is fitted on; more would move it by less than the choice of the parts does."""

AT_ONCE = 64
"""Queries whose raw maps are compared together: their candidates are 45 MB of maps of 1,404 values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Labelled rows as the calibration sees them.

    Attributes
    ----------
    embeddings : (N, D) float32
    vectors : (N, V) float32
        Inspection vectors as they were added. Both may be memory-mapped: they are read where they are needed.
    labels : (N,) int32
    value_range : (low, high)
        The scale of the vectors.
    maps : OfferedMaps or None
        What maps the vectors may be compared with, for the probability of *reject*.
    """

    embeddings: NDArray[np.float32]
    vectors: NDArray[np.float32]
    labels: NDArray[np.int32]
    value_range: tuple[float, float]
    maps: OfferedMaps | None = None

    def raw(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the inspection vectors of some rows on a scale of 0 … 1."""
        return to_unit_scale(self.vectors[rows], self.value_range)


@dataclass(frozen=True, slots=True)
class Bench:
    """Q calibration queries against references, both rows of one sample: what every fit works on.

    Attributes
    ----------
    sample : Sample
    rows : (Q,) integers
        Which rows of it are the queries.
    anchor_distances : (Q, C) float32
    classes : Classes
        Of the references.
    reference_columns : (N,)
        The class column of each row that is a reference.
    truth : (Q,)
        The class column of each query.
    positions : (Q, M) int64
        Rows that are candidates.
    random_positions : (Q, R) int64
        References drawn at random, so that the mix has also seen far pairs.
    folds : (Q,)
        0 … ``N_FOLDS`` - 1; rows of one part share theirs.
    """

    sample: Sample
    rows: NDArray[np.intp]
    anchor_distances: NDArray[np.float32]
    classes: Classes
    reference_columns: NDArray[np.intp]
    truth: NDArray[np.intp]
    positions: NDArray[np.int64]
    random_positions: NDArray[np.int64]
    folds: NDArray[np.intp]

    def take(self, chosen: NDArray[np.intp]) -> Bench:
        """Return the bench of some queries."""
        return replace(
            self,
            rows=self.rows[chosen],
            anchor_distances=self.anchor_distances[chosen],
            truth=self.truth[chosen],
            positions=self.positions[chosen],
            random_positions=self.random_positions[chosen],
            folds=self.folds[chosen],
        )

    def candidates(self, settings: RerankSettings) -> Candidates:
        """Return the candidates with their measures in one space, nearest first."""
        found = self.compare(self.positions, settings)
        return nearest(found, self.positions.shape[1])

    def measured(self, settings: RerankSettings) -> MeasuredPairs:
        """Return the candidates and all pairs in one space with one pair of powers."""
        candidates = self.candidates(settings)
        far = self.compare(self.random_positions, settings)
        positions = np.hstack([candidates.positions, self.random_positions])
        return MeasuredPairs(
            candidates,
            np.hstack([candidates.beta, far.beta]),
            np.hstack([candidates.eta, far.eta]),
            np.hstack([candidates.gamma, far.gamma]),
            self.reference_columns[positions] == self.truth[:, None],
        )

    def weigh(self, candidates: Candidates, mix: MatchMix, vote: VoteSettings) -> Weighed:
        """Hold both votes and compare the anchors."""
        return weigh(candidates, self.anchor_distances, self.reference_columns, self.classes, mix, vote)

    def compare(self, positions: NDArray[np.int64], settings: RerankSettings) -> Candidates:
        """Return the rows at (Q, M) positions as candidates in one space, in that order."""
        embeddings = self.sample.embeddings
        queries = embeddings[self.rows]
        if settings.space == "embedding":
            space = RerankSpace(embeddings, is_embedding=True, p_eta=settings.p_eta, p_gamma=settings.p_gamma)
            return measure(positions, queries, embeddings, space, queries)
        found = self._measure_raw_maps(positions, settings)
        distances = measures_by_id(queries, embeddings, positions).distance
        return Candidates(positions, distances, *found)

    def _measure_raw_maps(
        self, positions: NDArray[np.int64], settings: RerankSettings
    ) -> tuple[NDArray[np.float32], ...]:
        """Compare raw maps a few queries at a time, so that only their candidates are on a scale of 0 … 1 at once."""
        pieces = []
        for start in range(0, len(positions), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            rows, ids = np.unique(positions[some], return_inverse=True)
            found = measures_by_id(
                self.sample.raw(self.rows[some]),
                self.sample.raw(rows),
                ids.reshape(positions[some].shape),
                p_eta=settings.p_eta,
                p_gamma=settings.p_gamma,
            )
            pieces.append((found.beta, found.eta, found.gamma))
        return tuple(np.vstack(column) for column in zip(*pieces, strict=True))


@dataclass(frozen=True, slots=True)
class MeasuredPairs:
    """Candidates in one space with one pair of powers, and all pairs (Q, M + R) for the mix."""

    candidates: Candidates
    beta: NDArray[np.float32]
    eta: NDArray[np.float32]
    gamma: NDArray[np.float32]
    same: NDArray[np.bool_]

    def fit_mix(self, rows: NDArray[np.intp]) -> MatchMix:
        """Fit the mix on the pairs of some queries; on a share of them, every rank alike, where they are many."""
        n_pairs, n_columns = len(rows) * self.same.shape[1], self.same.shape[1]
        step = max(-(-n_pairs // MAX_PAIRS), 1)
        while gcd(step, n_columns) > 1:  # or some ranks would never be among those taken
            step += 1
        beta, eta, gamma = (column[rows].ravel()[::step] for column in (self.beta, self.eta, self.gamma))
        return fit_mix(beta, eta, gamma, self.same[rows].ravel()[::step])
