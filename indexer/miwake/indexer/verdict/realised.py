"""What a threshold set did on calibration rows, cross-fitted: rates by decision and by label, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import Decision
from miwake.indexer.evaluation import Rate, rate
from miwake.indexer.verdict.judge import decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.verdict.calibration import ThresholdSet
    from miwake.indexer.verdict.scores import CalibrationScores


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the rows of one class, or of one side.

    Attributes
    ----------
    label : int or None
        None for all rejects, or all passes.
    is_pass : bool
    n_rows, n_parts : int
    passed, rejected, reviewed, unknown : int
        Rows by decision.
    wrong_label : Rate
        Rows answered a label of the other side, whatever the decision: escapes or overkills.
    wrong_decision : Rate
        Rejects decided PASS, or passes decided REJECT.
    n_parts_failed : int
        Parts of which any row was decided so.
    """

    label: int | None
    is_pass: bool
    n_rows: int
    n_parts: int
    passed: int
    rejected: int
    reviewed: int
    unknown: int
    wrong_label: Rate
    wrong_decision: Rate
    n_parts_failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """What a threshold set did.

    Attributes
    ----------
    sides : tuple of Outcome
        The rejects, then the passes; without those that have no rows. Empty without pass labels.
    classes : tuple of Outcome
        Each class that has rows, by label. Empty without pass labels.
    novelty_alarms : Rate
        Rows decided UNKNOWN, all of them of known classes.
    """

    sides: tuple[Outcome, ...]
    classes: tuple[Outcome, ...]
    novelty_alarms: Rate


def decisions_of(scores: CalibrationScores, thresholds: ThresholdSet, pass_labels: Sequence[int]) -> NDArray[np.int8]:
    """Return the decision (Q,) on each row under some thresholds."""
    return decide(
        np.isin(scores.answered, pass_labels),
        scores.probabilities,
        scores.reject_probabilities if scores.has_sides else None,
        scores.novelty,
        thresholds,
    )


def realise(scores: CalibrationScores, thresholds: ThresholdSet, pass_labels: Sequence[int]) -> Realised:
    """Return what became of the calibration rows under some thresholds."""
    decisions = decisions_of(scores, thresholds, pass_labels)
    alarms = rate(decisions == Decision.UNKNOWN, parts=_part_names(scores.parts))
    if not scores.has_sides:
        return Realised(sides=(), classes=(), novelty_alarms=alarms)
    is_pass = np.isin(scores.truth, pass_labels)
    sides = [
        _outcome(scores, decisions, rows, pass_labels, is_pass=side, label=None)
        for side, rows in ((False, ~is_pass), (True, is_pass))
        if rows.any()
    ]
    classes = [
        _outcome(scores, decisions, scores.truth == label, pass_labels, is_pass=label in pass_labels, label=label)
        for label in np.unique(scores.truth).tolist()
    ]
    return Realised(sides=tuple(sides), classes=tuple(classes), novelty_alarms=alarms)


def _outcome(
    scores: CalibrationScores,
    decisions: NDArray[np.int8],
    rows: NDArray[np.bool_],
    pass_labels: Sequence[int],
    *,
    is_pass: bool,
    label: int | None,
) -> Outcome:
    own, numbers = decisions[rows], scores.parts[rows]
    parts = _part_names(numbers)
    is_wrong = own == (Decision.REJECT if is_pass else Decision.PASS)
    is_labelled_pass = np.isin(scores.answered[rows], pass_labels)
    counts = {decision: int((own == decision).sum()) for decision in Decision}
    return Outcome(
        label=label,
        is_pass=is_pass,
        n_rows=len(own),
        n_parts=len(np.unique(numbers)),
        passed=counts[Decision.PASS],
        rejected=counts[Decision.REJECT],
        reviewed=counts[Decision.REVIEW],
        unknown=counts[Decision.UNKNOWN],
        wrong_label=rate(is_labelled_pass != is_pass, parts=parts),
        wrong_decision=rate(is_wrong, parts=parts),
        n_parts_failed=len(np.unique(numbers[is_wrong])),
    )


def _part_names(numbers: NDArray[np.int32]) -> list[str]:
    return [str(number) for number in numbers.tolist()]
