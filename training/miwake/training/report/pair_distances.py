"""How far apart pairs of one class are, and pairs of two, and how much the two spreads overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.assessing.verification import reference_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.assessing.trial import Distance, Trial

N_BINS = 60
N_SCATTERED = 1_500
"""Pairs of each kind in a scatter plot: past this the points only hide each other."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Distances of matching and of mismatching pairs.

    Attributes
    ----------
    edges : (B + 1,) float64
    matching, mismatching : (B,) float64
        Share of the pairs of that kind in each bin.
    n_matching, n_mismatching : int
    """

    edges: NDArray[np.float64]
    matching: NDArray[np.float64]
    mismatching: NDArray[np.float64]
    n_matching: int
    n_mismatching: int

    @property
    def overlap(self) -> float:
        """How much the two have in common: 0 where they are apart, 1 where they are the same.

        The overlapping coefficient, the sum over bins of the smaller share: Weitzman, 1970; Inman and Bradley, 1989.
        """
        return float(np.minimum(self.matching, self.mismatching).sum())


@dataclass(frozen=True, slots=True)
class PairDistances:
    """P pairs of a query and a reference, the very ones that 1:1 verification is measured on.

    Attributes
    ----------
    is_matching : (P,) bool
    distances : by name, (P,) float32
    """

    is_matching: NDArray[np.bool_]
    distances: dict[Distance, NDArray[np.float32]]

    def spreads(self) -> dict[Distance, Spread]:
        """Return how each distance is spread; nothing where there are no pairs of one kind."""
        if self.is_matching.all() or not self.is_matching.any():
            return {}
        return {name: spread(one[self.is_matching], one[~self.is_matching]) for name, one in self.distances.items()}

    def sample(self, *, n_each: int = N_SCATTERED, seed: int = 0) -> PairDistances:
        """Return at most ``n_each`` matching and as many mismatching pairs, drawn."""
        rng = np.random.default_rng(seed)
        kinds = (np.flatnonzero(self.is_matching), np.flatnonzero(~self.is_matching))
        rows = np.concatenate([rng.choice(kind, min(n_each, len(kind)), replace=False) for kind in kinds])
        return PairDistances(self.is_matching[rows], {name: one[rows] for name, one in self.distances.items()})


def pair_distances(trial: Trial) -> PairDistances:
    """Return the pairs of queries and references that ``assess`` draws with its default seed."""
    pairs = reference_pairs(trial, seed=0)
    there = pairs.is_there
    return PairDistances(pairs.is_genuine[there], {name: one[there] for name, one in pairs.distances.items()})


def spread(matching: NDArray[np.floating], mismatching: NDArray[np.floating], *, n_bins: int = N_BINS) -> Spread:
    """Return how two sets of finite distances are spread over common bins of equal width; neither is empty."""
    both = np.concatenate([matching, mismatching]).astype(np.float64)
    edges = np.histogram_bin_edges(both, n_bins)
    first, second = (np.histogram(one, edges)[0] / len(one) for one in (matching, mismatching))
    return Spread(edges, first, second, len(matching), len(mismatching))
