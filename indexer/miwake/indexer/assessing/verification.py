"""1:1 verification: are these two of one class? Pairs of queries with references, and with anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.assessing.roc import separation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.anchors import AnchorKind
    from miwake.indexer.assessing.roc import Separation
    from miwake.indexer.assessing.trial import Distance, Trial

N_PAIRS = 50
"""Genuine pairs drawn for each query, and as many impostors: with 500 queries a rate of 0.001 stands on 25 pairs."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Q queries with k partners each, and how far they are from them.

    Attributes
    ----------
    is_genuine : (Q, k) bool
    is_there : (Q, k) bool
        False where there is no partner.
    distances : by name, (Q, k) float32
    """

    is_genuine: NDArray[np.bool_]
    is_there: NDArray[np.bool_]
    distances: dict[Distance, NDArray[np.float32]]

    def separations(self, queries: NDArray[np.bool_], *, with_curve: bool = True) -> dict[Distance, Separation]:
        """Return how well each distance tells the pairs of some queries, a mask (Q,)."""
        there = self.is_there[queries]
        genuine = self.is_genuine[queries][there]
        return {
            name: separation(distances[queries][there], genuine, with_curve=with_curve)
            for name, distances in self.distances.items()
        }


def reference_pairs(trial: Trial, *, n_pairs: int = N_PAIRS, seed: int = 0) -> Pairs:
    """Return pairs of every query with up to ``n_pairs`` references of its class and as many of the other classes.

    Where there are more they are drawn, so that every query counts alike; those of its own part are left out.
    """
    labels, known = trial.queries.labels, trial.references.labels
    rng = np.random.default_rng(seed)
    positions = np.full((len(labels), 2 * n_pairs), -1, dtype=np.int64)
    for label in np.unique(labels):
        queries = np.flatnonzero(labels == label)
        own, other = np.flatnonzero(known == label), np.flatnonzero(known != label)
        positions[queries, :n_pairs] = _drawn(own, (len(queries), n_pairs), rng)
        positions[queries, n_pairs:] = _drawn(other, (len(queries), n_pairs), rng)
    positions = trial.without_own_part(positions)
    is_genuine = np.zeros(positions.shape, dtype=np.bool_)
    is_genuine[:, :n_pairs] = True
    distances = {name: trial.to_references(positions, name) for name in trial.distances}
    return Pairs(is_genuine, positions >= 0, distances)


def anchor_pairs(trial: Trial, kind: AnchorKind = "class-mean") -> Pairs:
    """Return pairs of every query with every anchor of a kind."""
    is_genuine = trial.queries.labels[:, None] == trial.classes
    distances = {name: trial.to_anchors(name, kind) for name in trial.distances}
    return Pairs(is_genuine, np.ones_like(is_genuine), distances)


def _drawn(rows: NDArray[np.intp], shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    if len(rows) > shape[1]:
        return rows[rng.integers(0, len(rows), shape)].astype(np.int64)
    everyone = np.full(shape, -1, dtype=np.int64)
    everyone[:, : len(rows)] = rows
    return everyone
