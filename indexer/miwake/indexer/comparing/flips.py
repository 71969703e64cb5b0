"""Verdicts that are not the same any more, the dangerous ones first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.indexer.answers import Decision

if TYPE_CHECKING:
    from collections.abc import Collection

PASS, REJECT, REVIEW, UNKNOWN = (one.name for one in Decision)

_WEIGHTS = {
    (REJECT, PASS): 0,
    (UNKNOWN, PASS): 1,
    (REVIEW, PASS): 2,
    (PASS, REJECT): 3,
    (PASS, UNKNOWN): 4,
    (PASS, REVIEW): 5,
    (REJECT, UNKNOWN): 6,
    (REJECT, REVIEW): 7,
    (UNKNOWN, REJECT): 8,
    (REVIEW, REJECT): 9,
    (REVIEW, UNKNOWN): 10,
    (UNKNOWN, REVIEW): 11,
}
"""What passes from now on may be an escape; what is rejected from now on may be an overkill; the rest costs time."""

ALARMS = frozenset({"new escape", "reject passed"})
"""Effects that let a reject pass which was not let pass before."""

_LAST_DANGEROUS = 3
_OTHER_LABEL, _OTHER_FAILURE_MODE = 12, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one side said of a vector.

    Attributes
    ----------
    label : int
    failure_mode, decision : text
    probability : float
        Of the label.
    reject_probability : float or None
        None where the station has no pass labels.
    novelty : float
    reference_id : text
        The nearest reference.
    reference_label : int
    distance, match_distance : float
        To it.
    """

    label: int
    failure_mode: str
    decision: str
    probability: float
    reject_probability: float | None
    novelty: float
    reference_id: str
    reference_label: int
    distance: float
    match_distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A vector that the two sides say different things of.

    Attributes
    ----------
    row : int
        In what was asked.
    id, part : text
    true_label : int, or None
        None where nobody knows.
    true_failure_mode : text
    kind : text
        Such as ``REJECT→PASS``; ``label`` where the decision stays, ``failure mode`` where the label stays too.
    effect : text
        What becomes of inspection's two errors, counted from the labels: ``new escape``, ``escape mended``,
        ``new overkill``, ``overkill mended``. Where the labels stay on their sides, what the decision does:
        ``reject passed``, ``reject stopped``, ``pass rejected``, ``pass let through``. Else empty.
    first, second : Answer
    """

    row: int
    id: str
    part: str
    true_label: int | None
    true_failure_mode: str
    kind: str
    effect: str
    first: Answer
    second: Answer


def kind_of(first: Answer, second: Answer) -> str:
    """Return what kind of flip two answers are; empty where they are the same."""
    if first.decision != second.decision:
        return f"{first.decision}→{second.decision}"
    if first.label != second.label:
        return "label"
    return "" if first.failure_mode == second.failure_mode else "failure mode"


def weight_of(flip: Flip) -> tuple[bool, bool, int, int]:
    """Return what flips are sorted by: rejects that pass from now on, all that passes, what is rejected, the rest."""
    order = _WEIGHTS.get((flip.first.decision, flip.second.decision), _OTHER_LABEL)
    if flip.kind == "failure mode":
        order = _OTHER_FAILURE_MODE
    is_harmless = order > _LAST_DANGEROUS and flip.effect not in ("new overkill", "pass rejected")
    return flip.effect not in ALARMS, is_harmless, order, flip.row


def effect_of(truth: int, first: Answer, second: Answer, pass_labels: Collection[int]) -> str:
    """Return what becomes of inspection's two errors; see ``Flip``."""
    before, after = first.label in pass_labels, second.label in pass_labels
    if truth in pass_labels:
        if before != after:
            return "overkill mended" if after else "new overkill"
        stopped = [one.decision == REJECT for one in (first, second)]
        return "" if stopped[0] == stopped[1] else ("pass rejected" if stopped[1] else "pass let through")
    if before != after:
        return "new escape" if after else "escape mended"
    passed = [one.decision == PASS for one in (first, second)]
    return "" if passed[0] == passed[1] else ("reject passed" if passed[1] else "reject stopped")
