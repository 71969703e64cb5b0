"""1:N identification: which class is this? Ranks in a gallery of references, or of anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.assessing.roc import CURVE_RATES, FALSE_RATES, ROUNDING, AtRate, is_measurable
from miwake.indexer.evaluation import rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.anchors import AnchorKind
    from miwake.indexer.assessing.trial import Distance, Trial
    from miwake.indexer.evaluation import Rate

N_RANKS = 20
"""Ranks of the cumulative match curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """How often a query's class is found in a gallery.

    Attributes
    ----------
    n_queries : int
        Those whose class is in the gallery.
    rank_1, rank_5 : Rate or None
        Shares whose class is nearest, and among the five nearest; None where there is no such query.
    cumulative : tuple of float
        The cumulative match curve: the same for 1 … 20 nearest, or as many as the gallery has anchors.
    detected : tuple of AtRate
        Detection and identification rates: shares whose nearest is of their class *and* no farther than a threshold,
        where of all queries at most ``false_rate`` would find anything so near if their class were taken out of the
        gallery.
    curve : tuple of AtRate
        The same at the rates of a ROC curve; empty where it was not asked for.
    """

    n_queries: int
    rank_1: Rate | None
    rank_5: Rate | None
    cumulative: tuple[float, ...]
    detected: tuple[AtRate, ...]
    curve: tuple[AtRate, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What Q queries find in a gallery, by one distance.

    Attributes
    ----------
    mated, nonmated : (Q,) float32
        Distance to the nearest of the query's class, and of all others; infinite where there is none.
    ranks : (Q,) integers
        Of the nearest of its class: 1 + how many others are no farther. Right up to ``n_ranks``.
    n_ranks : int
    """

    mated: NDArray[np.float32]
    nonmated: NDArray[np.float32]
    ranks: NDArray[np.intp]
    n_ranks: int

    def identification(
        self, queries: NDArray[np.bool_], parts: Sequence[str], *, with_curve: bool = True
    ) -> Identification:
        """Return how often the class is found for some queries, a mask (Q,); ``parts`` are those of all Q.

        Notes
        -----
        Phillips, Grother and Micheals, 2011: *Evaluation methods in face recognition*. Each query is searched for
        twice, with its class in the gallery and without, where they take people who are not in it.
        """
        asked = queries & np.isfinite(self.mated)
        own_parts = [part for part, is_in in zip(parts, asked, strict=True) if is_in]
        ranks = self.ranks[asked]
        right = self.mated[asked][ranks == 1].astype(np.float64)
        alarms = np.sort(self.nonmated[queries]).astype(np.float64)

        def at(false_rate: float) -> float | None:
            if not len(ranks):
                return None
            n_allowed = int(false_rate * len(alarms) + ROUNDING)
            bound = alarms[n_allowed] if n_allowed < len(alarms) else np.inf
            return float((right < bound).sum() / len(ranks))

        return Identification(
            n_queries=len(ranks),
            rank_1=rate(ranks <= 1, parts=own_parts) if len(ranks) else None,
            rank_5=rate(ranks <= 5, parts=own_parts) if len(ranks) else None,
            cumulative=tuple(float((ranks <= rank).mean()) for rank in range(1, self.n_ranks + 1))
            if len(ranks)
            else (),
            detected=tuple(AtRate(one, at(one) if is_measurable(one, len(alarms)) else None) for one in FALSE_RATES),
            curve=tuple(AtRate(one, at(one)) for one in CURVE_RATES.tolist()) if with_curve else (),
        )


def search_references(
    trial: Trial, nearest: dict[Distance, NDArray[np.int64]], *, n_ranks: int = N_RANKS
) -> dict[Distance, Search]:
    """Return what the queries find among the references, by each distance.

    Parameters
    ----------
    nearest : by name, (Q, C, m) int64
        The nearest references of each class of the trial; at least ``n_ranks`` of each. By SOART3 only those that are
        near in Euclidean distance are compared, as in an index.
    """
    found = {}
    for name, positions in nearest.items():
        flat = positions.reshape(len(positions), -1)
        distances = trial.to_references(flat, name).reshape(positions.shape)
        found[name] = search(distances, trial.queries.labels, trial.classes, n_ranks)
    return found


def search_anchors(trial: Trial, kind: AnchorKind = "class-mean") -> dict[Distance, Search]:
    """Return what the queries find among the anchors of a kind, by each distance."""
    labels = trial.classes
    n_ranks = min(N_RANKS, len(labels))
    return {
        name: search(trial.to_anchors(name, kind)[:, :, None], trial.queries.labels, labels, n_ranks)
        for name in trial.distances
    }


def search(distances: NDArray[np.float32], truth: NDArray[np.int32], labels: NDArray[np.int32], n_ranks: int) -> Search:
    """Return what queries with labels ``truth`` (Q,) find, given distances (Q, C, m) to members of classes (C,).

    A tie counts against the query. Infinitely far is not there.
    """
    is_own = truth[:, None] == labels
    mated = np.where(is_own[:, :, None], distances, np.float32(np.inf)).min(axis=(1, 2))
    others = np.where(is_own[:, :, None], np.float32(np.inf), distances)
    ranks = 1 + (others <= mated[:, None, None]).sum(axis=(1, 2))
    return Search(mated, others.min(axis=(1, 2)), ranks, n_ranks)
