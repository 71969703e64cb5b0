"""Finding the anchors of references: whose members are which rows, and what becomes of them as references change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.anchors import KINDS, Anchors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.anchors import AnchorKind
    from miwake.indexer.embedder import Embedder

PIECE = 1024
"""Rows that are read and summed at once."""

MAX_FITTING = 4096
"""Rows of a class that its centres are fitted on; more would hardly move them."""

N_STARTS = 3
"""Of k-means, of which the best is taken."""


@dataclass(frozen=True, slots=True)
class Members:
    """Labelled rows with their embeddings, memory-mapped perhaps.

    Attributes
    ----------
    vectors : (N, V) float32
    embeddings : (N, D) float32
    labels : (N,) int32
    """

    vectors: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    labels: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Totals:
    """How many rows there are of each code, and the float64 sums of their vectors and embeddings."""

    counts: NDArray[np.int64]
    vectors: NDArray[np.float64]
    embeddings: NDArray[np.float64]

    def __add__(self, other: _Totals) -> _Totals:
        return _Totals(self.counts + other.counts, self.vectors + other.vectors, self.embeddings + other.embeddings)

    def __sub__(self, other: _Totals) -> _Totals:
        return _Totals(self.counts - other.counts, self.vectors - other.vectors, self.embeddings - other.embeddings)


def fit_anchors(
    members: Members,
    embedder: Embedder,
    *,
    held_out: NDArray[np.bool_],
    kind: AnchorKind = "class-mean",
    per_class: int = 1,
    seed: int = 0,
) -> tuple[Anchors, Anchors]:
    """Return the anchors of all N rows, and those of the rows that are not held out.

    Parameters
    ----------
    held_out : (N,) bool
        Rows that calibrate: the centres are fitted without them, and the second anchors know nothing of them.
    kind : text
        Whether an anchor is the embedded mean of its members, or the mean of their embeddings.
    per_class : int
        Anchors of each class at most; they divide its rows by k-means over the embeddings.
    seed : int
        Of k-means.
    """
    fitted = fit_kinds(members, embedder, held_out=held_out, kinds=(kind,), per_class=per_class, seed=seed)
    return fitted[kind]


def fit_kinds(
    members: Members,
    embedder: Embedder,
    *,
    held_out: NDArray[np.bool_],
    kinds: Sequence[AnchorKind] = KINDS,
    per_class: int = 1,
    seed: int = 0,
) -> dict[AnchorKind, tuple[Anchors, Anchors]]:
    """Return what ``fit_anchors`` does for each of several kinds, reading the rows once."""
    labels, centres = _centres(members, held_out, per_class, seed)
    codes = _assign(labels, centres, members.embeddings, members.labels)
    held = _totals(members, np.where(held_out, codes, -1), len(labels))
    kept = _totals(members, np.where(held_out, -1, codes), len(labels))
    return {
        kind: (
            _from_totals(labels, centres, kept + held, kind, embedder),
            _from_totals(labels, centres, kept, kind, embedder),
        )
        for kind in kinds
    }


def change_anchors(anchors: Anchors, gone: Members, come: Members, embedder: Embedder) -> Anchors:
    """Return the anchors after some of their members have gone, and others have come.

    Only anchors whose members changed are computed again. A class that was not there has one anchor, and one without a
    member left has none.

    Parameters
    ----------
    anchors : Anchors
        With their ``counts``.
    """
    new = np.setdiff1d(come.labels, anchors.labels)
    before = _extended(anchors, come, new)
    codes_gone = _assign(before.labels, before.centres, gone.embeddings, gone.labels)
    codes_come = _assign(before.labels, before.centres, come.embeddings, come.labels)
    touched = np.unique(np.concatenate([codes_gone, codes_come]))
    if not len(touched):
        return anchors
    change = _totals(come, codes_come, len(before.labels)) - _totals(gone, codes_gone, len(before.labels))
    counts = np.zeros(len(before.labels), dtype=np.int64) if before.counts is None else before.counts
    weights = counts[:, None].astype(np.float64)
    known = _Totals(counts, before.vectors * weights, before.embeddings * weights)
    centres = None if before.centres is None else before.centres[touched]
    after = _from_totals(before.labels[touched], centres, _take(known + change, touched), before.kind, embedder)
    return _joined(_kept(before, np.setdiff1d(np.arange(len(before.labels)), touched)), after)


def _centres(
    members: Members, held_out: NDArray[np.bool_], per_class: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
    classes = np.unique(members.labels)
    if per_class == 1:
        return classes, None
    labels, centres = [], []
    for label in classes.tolist():
        of_class = members.labels == label
        fitting = np.flatnonzero(of_class & ~held_out)
        found = _k_means(members.embeddings, fitting if len(fitting) else np.flatnonzero(of_class), per_class, seed)
        labels += [label] * len(found)
        centres.append(found)
    return np.array(labels, dtype=np.int32), np.concatenate(centres)


def _k_means(
    embeddings: NDArray[np.float32], rows: NDArray[np.intp], n_clusters: int, seed: int
) -> NDArray[np.float32]:
    from sklearn.cluster import KMeans  # noqa: PLC0415 - heavy, and only where several anchors are wanted

    if len(rows) > MAX_FITTING:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_FITTING, replace=False))
    sample = embeddings[rows]
    n_clusters = min(n_clusters, len(np.unique(sample, axis=0)))
    found = KMeans(n_clusters, n_init=N_STARTS, random_state=seed).fit(sample)
    return np.asarray(found.cluster_centers_, dtype=np.float32)


def _assign(
    anchor_labels: NDArray[np.int32],
    centres: NDArray[np.float32] | None,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int32],
) -> NDArray[np.intp]:
    """Return the anchor of each row, (N,): the only one of its class, or that with the nearest centre."""
    codes = np.searchsorted(anchor_labels, labels).astype(np.intp)
    if centres is None:
        return codes
    for label in np.unique(labels):
        of_class = np.flatnonzero(anchor_labels == label)
        if len(of_class) > 1:
            for piece in _pieces(np.flatnonzero(labels == label)):
                residuals = embeddings[piece][:, None] - centres[of_class]
                codes[piece] = of_class[np.einsum("nkd,nkd->nk", residuals, residuals).argmin(axis=1)]
    return codes


def _totals(members: Members, codes: NDArray[np.intp], n_codes: int) -> _Totals:
    """Sum the rows of each code; those with the code -1 count for none."""
    totals = _Totals(
        np.bincount(codes[codes >= 0], minlength=n_codes),
        np.zeros((n_codes, members.vectors.shape[1])),
        np.zeros((n_codes, members.embeddings.shape[1])),
    )
    for piece in _pieces(np.flatnonzero(codes >= 0)):
        ordered = piece[np.argsort(codes[piece], kind="stable")]
        found, starts = np.unique(codes[ordered], return_index=True)
        for rows, sums in ((members.vectors, totals.vectors), (members.embeddings, totals.embeddings)):
            sums[found] += np.add.reduceat(rows[ordered].astype(np.float64), starts, axis=0)
    return totals


def _pieces(rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(rows), PIECE):
        yield rows[start : start + PIECE]


def _from_totals(
    labels: NDArray[np.int32],
    centres: NDArray[np.float32] | None,
    totals: _Totals,
    kind: AnchorKind,
    embedder: Embedder,
) -> Anchors:
    there = np.flatnonzero(totals.counts > 0)
    counts = totals.counts[there]
    vectors = (totals.vectors[there] / counts[:, None]).astype(np.float32)
    if kind == "class-mean":
        embeddings = embedder.embed(vectors)
    else:
        embeddings = (totals.embeddings[there] / counts[:, None]).astype(np.float32)
    return Anchors(labels[there], vectors, embeddings, counts, None if centres is None else centres[there], kind)


def _extended(anchors: Anchors, come: Members, new: NDArray[np.int32]) -> Anchors:
    """Return the anchors with one without members for each new class, whose centre is the mean of what comes."""
    if not len(new):
        return anchors
    centres = np.stack([come.embeddings[come.labels == label].mean(axis=0, dtype=np.float64) for label in new])
    return _joined(
        anchors,
        Anchors(
            labels=new.astype(np.int32),
            vectors=np.zeros((len(new), anchors.vectors.shape[1]), dtype=np.float32),
            embeddings=np.zeros_like(centres, dtype=np.float32),
            counts=np.zeros(len(new), dtype=np.int64),
            centres=None if anchors.centres is None else centres.astype(np.float32),
            kind=anchors.kind,
        ),
    )


def _joined(first: Anchors, second: Anchors) -> Anchors:
    order = np.argsort(np.concatenate([first.labels, second.labels]), kind="stable")
    together = Anchors(
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.vectors, second.vectors]),
        np.concatenate([first.embeddings, second.embeddings]),
        _both(first.counts, second.counts),
        _both(first.centres, second.centres),
        first.kind,
    )
    return _kept(together, order)


def _both(first: NDArray[Any] | None, second: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if first is None or second is None else np.concatenate([first, second])


def _kept(anchors: Anchors, rows: NDArray[np.intp]) -> Anchors:
    return Anchors(
        anchors.labels[rows],
        anchors.vectors[rows],
        anchors.embeddings[rows],
        None if anchors.counts is None else anchors.counts[rows],
        None if anchors.centres is None else anchors.centres[rows],
        anchors.kind,
    )


def _take(totals: _Totals, codes: NDArray[np.intp]) -> _Totals:
    return _Totals(totals.counts[codes], totals.vectors[codes], totals.embeddings[codes])
