"""Choosing what an anchor is: of the kinds, the one whose nearest anchor is right more often on calibration rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.anchors import KINDS
from miwake.indexer.building.anchor_fitting import fit_anchors, fit_kinds
from miwake.indexer.chance import best_beyond_chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.anchors import AnchorChoice, Anchors
    from miwake.indexer.building.anchor_fitting import Members
    from miwake.indexer.embedder import Embedder

MAX_QUERIES = 4000
"""Calibration rows that are asked; more would settle nothing that these leave open."""


@dataclass(frozen=True, slots=True)
class ChosenAnchors:
    """The anchors of a generation.

    Attributes
    ----------
    anchors : Anchors
        Of all rows.
    without_calibration : Anchors
        Of the rows that do not calibrate.
    accuracy : mapping of kind to float
        The share of calibration rows whose nearest anchor is of their class; empty where nothing was to be chosen.
    """

    anchors: Anchors
    without_calibration: Anchors
    accuracy: dict[str, float]


def choose_anchors(
    members: Members,
    embedder: Embedder,
    *,
    held_out: NDArray[np.bool_],
    kind: AnchorChoice = "auto",
    per_class: int = 1,
    seed: int = 0,
) -> ChosenAnchors:
    """Return the anchors of all N rows, of the kind that is asked for or measures best.

    Embedded class means are the usual kind. Means of embeddings take their place where they are right more often by two
    standard errors of the paired difference (McNemar) or more: less is the luck of having tried two.

    Parameters
    ----------
    held_out : (N,) bool
        Rows that calibrate.
    kind, per_class, seed
        As ``fit_anchors``; ``auto`` chooses the kind.
    """
    if kind != "auto":
        return ChosenAnchors(
            *fit_anchors(members, embedder, held_out=held_out, kind=kind, per_class=per_class, seed=seed), {}
        )
    fitted = fit_kinds(members, embedder, held_out=held_out, per_class=per_class, seed=seed)
    rows = _asked(members.labels, held_out, seed)
    right = {one: _is_right(fitted[one][1], members, rows) for one in KINDS}
    chosen = best_beyond_chance(right, usual=KINDS[0])
    accuracy: dict[str, float] = {one: float(hits.mean()) for one, hits in right.items()} if len(rows) else {}
    return ChosenAnchors(*fitted[chosen], accuracy)


def _asked(labels: NDArray[np.int32], held_out: NDArray[np.bool_], seed: int) -> NDArray[np.intp]:
    """Return calibration rows whose class has an anchor without them."""
    rows = np.flatnonzero(held_out & np.isin(labels, labels[~held_out]))
    if len(rows) > MAX_QUERIES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_QUERIES, replace=False))
    return rows


def _is_right(anchors: Anchors, members: Members, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    nearest = anchors.distances(members.embeddings[rows]).argmin(axis=1)
    return np.asarray(anchors.classes[nearest] == members.labels[rows])
