"""Choosing a threshold set from what is asked of it and from what calibration rows answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import PromiseError
from miwake.indexer.verdict.calibration import ThresholdSet
from miwake.indexer.verdict.costs import cheapest_thresholds
from miwake.indexer.verdict.promises import (
    CONFIDENCE,
    EVEN,
    PASS_GRID,
    Found,
    conformal_quantile,
    parts_needed,
    pass_threshold,
    quantile_parts_needed,
    reject_threshold,
    upper_bound,
)
from miwake.indexer.verdict.realised import Realised, realise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.verdict.costs import CostMatrix
    from miwake.indexer.verdict.request import ThresholdRequest
    from miwake.indexer.verdict.scores import CalibrationScores


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is promised of a wrong decision, and what can be.

    Attributes
    ----------
    label : int or None
        The class; None for all rejects, or all passes.
    is_pass : bool
        False: rejects decided PASS. True: passes decided REJECT.
    promised : float or None
        What was asked.
    bound : float
        Upper 95 % bound of the rate over parts, as if no row were UNKNOWN; corrected where the threshold was searched.
    n_parts, n_failed : int
        Calibration parts, and those that fail at the threshold.
    is_shown : bool
        Whether what was asked is shown; true where nothing was.
    n_needed : int
        Calibration parts that would show what was asked if none failed; 0 where nothing was.
    """

    label: int | None
    is_pass: bool
    promised: float | None
    bound: float
    n_parts: int
    n_failed: int
    is_shown: bool
    n_needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A threshold set with what it promises and what it did on the calibration rows.

    Attributes
    ----------
    thresholds : ThresholdSet
    bounds : tuple of Bound
        Of all rejects, each class of them, and all passes. Empty without pass labels.
    realised : Realised
        Cross-fitted.
    problems : tuple of texts
        Each promise that cannot be shown, with what can be and what it would take.
    not_covered : tuple of texts
        Classes that ``per_class`` could not cover, with what it would take.
    """

    thresholds: ThresholdSet
    bounds: tuple[Bound, ...]
    realised: Realised
    problems: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()


def choose(
    scores: CalibrationScores,
    own: ThresholdSet,
    request: ThresholdRequest,
    pass_labels: Sequence[int],
    *,
    name: str,
    must_show: bool = True,
) -> Chosen:
    """Return the thresholds that keep what is asked, the laxest that do: so that as few parts as may be are REVIEW.

    Parameters
    ----------
    scores : CalibrationScores
    own : ThresholdSet
        The generation's own, for what is not asked.
    request : ThresholdRequest
    pass_labels : sequence of int
    name : text
        Of the new set.
    must_show : bool
        Whether a promise that cannot be shown is an error; else the laxest of the thresholds with the smallest bound
        are taken, and ``problems`` says so.

    Raises
    ------
    PromiseError
        If something promised cannot be shown; what can be and what it would take is in the message.
    """
    if not scores.has_sides and (request.promises_escape or request.max_overkill is not None or request.cost):
        message = "nothing can be promised or weighed here: the calibration rows hold no passes, or no rejects"
        raise PromiseError(message)
    searching = _Search(scores, tuple(pass_labels), request)
    novelty_at_most = own.novelty_at_most
    if request.novelty_false_alarms is not None:
        novelty_at_most = searching.novelty_threshold(own, request.novelty_false_alarms)
    pass_at_most, reject_at_least = searching.side_thresholds(own, novelty_at_most)
    if must_show and searching.problems:
        raise PromiseError("; ".join(searching.problems))
    thresholds = replace(
        own,
        name=name,
        pass_at_most=pass_at_most,
        reject_at_least=reject_at_least,
        sure_at_least=own.sure_at_least if request.sure_at_least is None else request.sure_at_least,
        novelty_at_most=novelty_at_most,
        novelty_false_alarms=(
            own.novelty_false_alarms if request.novelty_false_alarms is None else request.novelty_false_alarms
        ),
        health_at_most=_health_at_most(own, request),
    )
    return Chosen(
        thresholds=thresholds,
        bounds=searching.bounds(thresholds),
        realised=realise(scores, thresholds, pass_labels),
        problems=tuple(searching.problems),
        not_covered=tuple(searching.not_covered),
    )


def _health_at_most(own: ThresholdSet, request: ThresholdRequest) -> float | None:
    if request.health_at_most == "off":
        return None
    return own.health_at_most if request.health_at_most is None else request.health_at_most


class _Search:
    """One choice: what was tested, what was found, and what could not be shown."""

    def __init__(self, scores: CalibrationScores, pass_labels: tuple[int, ...], request: ThresholdRequest) -> None:
        self._scores = scores
        self._pass_labels = pass_labels
        self._request = request
        self._is_pass = np.isin(scores.truth, pass_labels)
        self._found: dict[tuple[int | None, bool], tuple[float, Found]] = {}
        self.problems: list[str] = []
        self.not_covered: list[str] = []

    def novelty_threshold(self, own: ThresholdSet, share: float) -> float:
        """Return the novelty that at most ``share`` of known vectors exceeds."""
        found = conformal_quantile(self._scores.novelty, self._scores.parts, share)
        if np.isfinite(found):
            return found
        n_parts = self._scores.n_parts
        self.problems.append(
            f"UNKNOWN for at most {share:.3g} of known vectors: {n_parts} calibration parts show no less than "
            f"{1 / (n_parts + 1):.2%}; {share:.3%} takes {quantile_parts_needed(share):,}"
        )
        return own.novelty_at_most

    def side_thresholds(self, own: ThresholdSet, novelty_at_most: float) -> tuple[float, float]:
        """Return pass_at_most and reject_at_least."""
        request = self._request
        most, least = self._promised_escape(own.pass_at_most), self._promised_overkill(own.reject_at_least)
        if request.cost is not None:
            pass_at_most, reject_at_least = self._cheapest(request.cost, novelty_at_most, most, least)
        else:
            pass_at_most = own.pass_at_most if most is None else most
            reject_at_least = own.reject_at_least if least is None else least
        if request.pass_at_most is not None:
            pass_at_most = request.pass_at_most
        if request.reject_at_least is not None:
            reject_at_least = request.reject_at_least
        return pass_at_most, reject_at_least

    def _cheapest(
        self, cost: CostMatrix, novelty_at_most: float, most: float | None, least: float | None
    ) -> tuple[float, float]:
        known = np.flatnonzero(self._scores.novelty <= novelty_at_most)
        return cheapest_thresholds(
            self._scores.take(known),
            self._is_pass[known],
            np.isin(self._scores.answered[known], self._pass_labels),
            cost,
            reject_share=self._request.reject_share,
            at_most=EVEN if most is None else most,
            at_least=0.0 if least is None else least,
        )

    def _promised_escape(self, own: float) -> float | None:
        """Test what is promised of all rejects and of single classes; the strictest that was found keeps them all."""
        request = self._request
        found = []
        if request.max_escape is not None:
            found.append(self._test(None, request.max_escape))
        for label, share in request.max_escape_of.items():
            found.append(self._test(label, share))
        if request.per_class and request.max_escape is not None:
            found += self._per_class(request.max_escape)
        if not all(one.is_kept for one in found):
            return min(own, *(one.threshold for one in found))
        return min((one.threshold for one in found), default=None)

    def _per_class(self, share: float) -> list[Found]:
        needed = parts_needed(share)
        found = []
        for label in self._reject_labels():
            n_parts = len(self._escape_scores(label))
            if label in self._request.max_escape_of:
                continue
            if n_parts >= needed:
                found.append(self._test(label, share))
            else:
                self.not_covered.append(
                    f"label {label}: {n_parts} calibration parts show no less than {upper_bound(0, n_parts):.2%}; "
                    f"{_percent(share)} takes {needed:,} without an escape"
                )
        if not found and not self._request.max_escape_of:
            self.problems.append(f"{_percent(share)} for each class: {'; '.join(self.not_covered)}")
        return found

    def _test(self, label: int | None, share: float) -> Found:
        part_scores = self._escape_scores(label)
        found = pass_threshold(part_scores, share)
        self._found[label, False] = (share, found)
        if not found.is_kept:
            whose = "rejects" if label is None else f"parts of label {label}"
            self.problems.append(_problem(f"escapes of at most {_percent(share)}", whose, "pass", share, found))
        return found

    def _promised_overkill(self, own: float) -> float | None:
        share = self._request.max_overkill
        if share is None:
            return None
        found = reject_threshold(self._scores.overkill_scores(self._pass_labels), share)
        self._found[None, True] = (share, found)
        if not found.is_kept:
            self.problems.append(
                _problem(f"overkill of at most {_percent(share)}", "passes", "are rejected", share, found)
            )
            return max(own, found.threshold)
        return found.threshold

    def bounds(self, thresholds: ThresholdSet) -> tuple[Bound, ...]:
        """Return what can be promised of the chosen thresholds."""
        if not self._scores.has_sides:
            return ()
        request = self._request
        labels: list[int | None] = [None, *self._reject_labels()]
        has_cost = request.cost is not None
        was_searched = (request.promises_escape or has_cost) and request.pass_at_most is None
        escapes = [
            self._bound(
                (label, False), self._escape_scores(label) <= thresholds.pass_at_most, was_searched=was_searched
            )
            for label in labels
        ]
        was_searched = (request.max_overkill is not None or has_cost) and request.reject_at_least is None
        rejected = self._scores.overkill_scores(self._pass_labels) >= thresholds.reject_at_least
        return (*escapes, self._bound((None, True), rejected, was_searched=was_searched))

    def _bound(self, whose: tuple[int | None, bool], failed: NDArray[np.bool_], *, was_searched: bool) -> Bound:
        n_parts, n_failed = len(failed), int(failed.sum())
        # Bonferroni over the grid: what was searched for something else has been looked for here, too.
        confidence = 1 - (1 - CONFIDENCE) / len(PASS_GRID) if was_searched else CONFIDENCE
        bound = upper_bound(n_failed, n_parts, confidence=confidence)
        share, found = self._found.get(whose, (None, None))
        if found is not None:
            # No stricter threshold has a higher rate than the one that was tested.
            bound = min(bound, found.bound)
        return Bound(
            label=whose[0],
            is_pass=whose[1],
            promised=share,
            bound=bound,
            n_parts=n_parts,
            n_failed=n_failed,
            is_shown=found is None or found.is_kept,
            n_needed=0 if share is None else parts_needed(share),
        )

    def _reject_labels(self) -> list[int]:
        return [int(label) for label in np.unique(self._scores.truth[~self._is_pass])]

    def _escape_scores(self, label: int | None) -> NDArray[np.float64]:
        return self._scores.escape_scores(self._pass_labels, label)


def _problem(promise: str, whose: str, fate: str, share: float, found: Found) -> str:
    needed = parts_needed(share)
    if not found.n_parts:
        return f"{promise}: no {whose} among the calibration rows; it takes {needed:,} parts without one"
    if found.n_parts < needed:
        why = f"not enough {whose} to promise this: {found.n_parts:,} calibration parts"
    else:
        why = f"too many {whose} look alike: {found.n_failed} of {found.n_parts:,} calibration parts"
    at_best = f"{found.n_failed} of them {fate} at best" if found.n_failed else f"none of which {fate} at best"
    return (
        f"{promise}: {why}, {at_best}; these data can promise {_percent(found.bound)}; "
        f"{_percent(share)} takes {needed:,} parts without one, or {parts_needed(share, n_failed=1):,} with one"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
