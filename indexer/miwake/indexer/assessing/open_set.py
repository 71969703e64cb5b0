"""Open set: is a class that the references do not have noticed? Each that they have is left out of them in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.assessing.roc import Detection, detection
from miwake.indexer.records import is_pass

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

MIN_ROWS = 10
"""Queries of the left-out class, and of all others, without which a rate says nothing."""

N_NEAREST = 5
"""References whose mean distance is the novelty of a query, as in a verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """How well one class is noticed when no reference bears it.

    Attributes
    ----------
    label : int
    is_reject : bool
        True of every class where there are no pass labels.
    was_left_out : bool
        False where the references have no such class in the first place.
    embedder_knew : bool
        Whether the embedder was trained on rows of this class: it is new to the references only, and a class that is
        new to both is harder to notice.
    detection : Detection
    """

    label: int
    is_reject: bool
    was_left_out: bool
    embedder_knew: bool
    detection: Detection


@dataclass(frozen=True, slots=True)
class Skipped:
    """A class that was not left out, its queries, and why."""

    label: int
    n_queries: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSet:
    """How well classes are noticed that the references do not have.

    Attributes
    ----------
    score : text
        What novelty is.
    caveat : text
        What these figures do not say; empty where the embedder knew none of the classes.
    auroc, fpr95, missed_at_5 : float or None
        Means over the left-out reject classes; None where there are none. Classes without references do not count:
        which of them there are differs from data to data.
    n_classes : int
        How many those are.
    classes : tuple of LeftOut
    skipped : tuple of Skipped
    """

    score: str
    caveat: str
    auroc: float | None
    fpr95: float | None
    missed_at_5: float | None
    n_classes: int
    classes: tuple[LeftOut, ...]
    skipped: tuple[Skipped, ...]


def open_set(
    distances: NDArray[np.float32],
    truth: NDArray[np.int32],
    labels: NDArray[np.int32],
    *,
    pass_labels: Sequence[int] = (),
    known_to_embedder: Collection[int] = (),
) -> OpenSet:
    """Return how well each class is noticed when its references are left out, or where there are none.

    Parameters
    ----------
    distances : (Q, C, m) float32
        To the nearest references of each class, ascending; at least 5 of each, infinite where there are fewer.
    truth : (Q,) int32
    labels : (C,) int32
        The classes of the references.
    known_to_embedder : collection of int
        Labels that the embedder was trained on.

    Notes
    -----
    The score is the mean Euclidean distance to the 5 nearest references that are left, as in a verdict. Known are the
    queries of the other classes that have references; they too are scored without those of the left-out class.
    """
    found: list[LeftOut] = []
    skipped: list[Skipped] = []
    has_references = np.isin(truth, labels)
    for label in np.union1d(labels, truth).tolist():
        is_novel = truth == label
        scores = novelty(distances[:, labels != label])
        asked = (has_references | is_novel) & np.isfinite(scores)
        n_novel, n_known = int((is_novel & asked).sum()), int((~is_novel & asked).sum())
        if min(n_novel, n_known) < MIN_ROWS:
            reason = f"{n_novel} rows of it and {n_known} of others to ask, expected {MIN_ROWS} of each"
            skipped.append(Skipped(label, int(is_novel.sum()), reason))
            continue
        found.append(
            LeftOut(
                label=label,
                is_reject=not is_pass(np.array([label], dtype=np.int32), pass_labels)[0],
                was_left_out=label in labels,
                embedder_knew=label in known_to_embedder,
                detection=detection(scores[asked], is_novel[asked]),
            )
        )
    rejects = [one.detection for one in found if one.is_reject and one.was_left_out]
    knew = [str(one.label) for one in found if one.embedder_knew]
    return OpenSet(
        score=f"mean Euclidean distance to the {N_NEAREST} nearest references",
        caveat=_caveat(knew),
        auroc=_mean([one.auroc for one in rejects]),
        fpr95=_mean([one.fpr95 for one in rejects]),
        missed_at_5=_mean([one.missed_at_5 for one in rejects]),
        n_classes=len(rejects),
        classes=tuple(found),
        skipped=tuple(skipped),
    )


def novelty(distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean distance to the 5 nearest, (Q,), of (Q, C, m); to all there are where these are fewer.

    Infinite where there are none.
    """
    flat = np.sort(distances.reshape(len(distances), -1), axis=1)[:, :N_NEAREST]
    there = np.isfinite(flat)
    n_there = there.sum(axis=1)
    sums = np.where(there, flat, 0).sum(axis=1)
    return np.where(n_there > 0, sums / np.maximum(n_there, 1), np.inf).astype(np.float32)


def _caveat(knew: list[str]) -> str:
    if not knew:
        return ""
    return (
        f"the embedder was trained on rows of {', '.join(knew)}: these are new to the references only, and a class "
        "that the embedder has never seen is harder to notice"
    )


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
