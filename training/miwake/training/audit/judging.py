"""Judging labels by what other parts say: which labels they speak against, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, log_softmax

from miwake.training.audit.neighbours import nearest_elsewhere, vote_log_probabilities
from miwake.training.audit.opinions import describe, log_probabilities, out_of_part_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.records import Records

MISLABELLED = 0.95
"""Share of the odds, other label against given label, from which a label is suspected: 19 to 1."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the other parts say about N rows.

    Attributes
    ----------
    found : (N,) int32
        The likeliest label.
    looks_like : (N,) int32
        The likeliest label that is not the given one.
    doubts : (N,) float64
        Odds of ``looks_like`` against the given label, as a share in 0 … 1; -1 where no other part has the given
        label, and so nobody can judge.
    points : (N, D) float32
        Where neighbours were looked for: embeddings, else principal components of the descriptions.
    nearest, distances : (N, K)
        Nearest rows of other folds.
    """

    found: NDArray[np.int32]
    looks_like: NDArray[np.int32]
    doubts: NDArray[np.float64]
    points: NDArray[np.float32]
    nearest: NDArray[np.intp]
    distances: NDArray[np.float32]


def judge(
    records: Records, folds: NDArray[np.intp], width: float, embeddings: NDArray[np.float32] | None = None
) -> Judgement:
    """Judge the labels of ``records`` by rows of other folds.

    Parameters
    ----------
    records : Records
    folds : (N,) integers
        No part is in two of them.
    width : float
        Of the values' range.
    embeddings : (N, D) float32 or None
        Of an embedder; then its nearest neighbours and the model of ``opinions`` speak with equal weight. An embedder
        that was fitted on a wrong label may have memorised it; the model cannot, which has never seen it.

    Notes
    -----
    Both opinions are averaged as logarithms. Ranking by the margin between the given and the likeliest other label,
    out of fold, is the *normalised margin* of Northcutt, Jiang and Chuang, "Confident learning", JAIR 70, 2021.
    """
    classes, columns = np.unique(records.labels, return_inverse=True)
    described = describe(records, width)
    points = described.compact if embeddings is None else embeddings
    nearest, distances = nearest_elsewhere(points, folds)
    logs = log_probabilities(out_of_part_scores(described, columns, len(classes), folds), columns)
    if embeddings is not None:
        logs = log_softmax((logs + vote_log_probabilities(nearest, columns, len(classes))) / 2, axis=1)
    every = np.arange(len(columns))
    given, others = logs[every, columns].copy(), logs.copy()
    others[every, columns] = -np.inf
    doubts = expit(others.max(axis=1) - given)
    doubts[~_can_be_judged(columns, folds)] = -1.0
    return Judgement(
        found=classes[logs.argmax(axis=1)].astype(np.int32),
        looks_like=classes[others.argmax(axis=1)].astype(np.int32),
        doubts=doubts,
        points=points,
        nearest=nearest,
        distances=distances,
    )


def _can_be_judged(columns: NDArray[np.intp], folds: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which rows' labels occur in another fold as well, and are not the only label there is."""
    table = np.zeros((int(columns.max()) + 1, int(folds.max()) + 1), dtype=np.int64)
    np.add.at(table, (columns, folds), 1)
    elsewhere = table[columns].sum(axis=1) - table[columns, folds]
    found: NDArray[np.bool_] = (elsewhere > 0) & (len(table) > 1)
    return found
