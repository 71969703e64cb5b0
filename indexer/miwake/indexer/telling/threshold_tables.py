"""What the command line shows of a threshold set: promised beside realised, by decision and by label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.indexer.evaluation import Rate
    from miwake.indexer.thresholding import SetDescription
    from miwake.indexer.verdict.calibration import ThresholdSet
    from miwake.indexer.verdict.realised import Outcome
    from miwake.indexer.verdict.request import ThresholdRequest
    from miwake.indexer.verdict.thresholds import Bound, Chosen


def set_lines(described: SetDescription) -> Iterator[str]:
    """Yield which set it is, what was asked of it, and its thresholds."""
    thresholds = described.chosen.thresholds
    served = " <- served" if described.is_served else ""
    by = f", by {described.actor} at {described.created_at} over {described.before}" if described.actor else ""
    asked = ", ".join(asked_texts(described.request)) or "as built"
    yield f"{described.generation} {thresholds.name}: {asked}{by}{served}"
    yield f"  {threshold_text(thresholds)}"


def threshold_text(thresholds: ThresholdSet) -> str:
    """Return the thresholds in words."""
    return (
        f"PASS up to a reject probability of {thresholds.pass_at_most:.4g}, REJECT from "
        f"{thresholds.reject_at_least:.4g}, UNKNOWN beyond a distance of {thresholds.novelty_at_most:.4g}"
    )


def asked_texts(request: ThresholdRequest) -> list[str]:
    """Return what was asked, in words."""
    texts = []
    if request.max_escape is not None:
        texts.append(f"escapes at most {percent(request.max_escape)}{' in each class' if request.per_class else ''}")
    texts += [f"of label {label} at most {percent(share)}" for label, share in request.max_escape_of.items()]
    if request.max_overkill is not None:
        texts.append(f"overkill at most {percent(request.max_overkill)}")
    if request.cost is not None:
        rejects, passes = request.cost.rejects, request.cost.passes
        among = "" if request.reject_share is None else f" with {percent(request.reject_share)} rejects"
        texts.append(
            f"least cost{among} (escape {rejects.passed:g}, overkill {passes.rejected:g}, "
            f"review {rejects.reviewed:g} and {passes.reviewed:g})"
        )
    if request.novelty_false_alarms is not None:
        texts.append(f"UNKNOWN at most {percent(request.novelty_false_alarms)} of what is known")
    for name in ("pass_at_most", "reject_at_least", "sure_at_least"):
        value = getattr(request, name)
        if value is not None:
            texts.append(f"{name} {value:g}")
    if request.health_at_most is not None:
        texts.append(f"health_at_most {request.health_at_most}")
    return texts


def chosen_lines(request: ThresholdRequest | None, chosen: Chosen) -> Iterator[str]:
    """Yield what is promised beside what was realised, then loudly what could not be shown."""
    for bound in chosen.bounds:
        if bound.label is None or bound.promised is not None:
            yield f"  {_bound_line(bound, chosen)}"
    alarms = chosen.realised.novelty_alarms
    share = None if request is None else request.novelty_false_alarms
    yield f"  UNKNOWN: {_promised(share)}, realised {rate_text(alarms)} rows"
    for problem in chosen.problems:
        yield f"  NOT SHOWN: {problem}"
    for text in chosen.not_covered:
        yield f"  not covered: {text}"
    if chosen.bounds:
        yield "  realised on calibration parts that the fits had not seen; bounds as if nothing were UNKNOWN"


def _bound_line(bound: Bound, chosen: Chosen) -> str:
    whose = "passes decided REJECT" if bound.is_pass else "rejects decided PASS"
    if bound.label is not None:
        whose = f"of label {bound.label} {whose.removeprefix('rejects ')}"
    promised = _promised(bound.promised)
    if bound.promised is not None and not bound.is_shown:
        promised += " NOT SHOWN"
    outcome = _outcome(bound, chosen)
    rows = "" if outcome is None else f"; of rows {rate_text(outcome.wrong_decision)}"
    return (
        f"{whose}: {promised}, shown {percent(bound.bound)}, realised {bound.n_failed} of {bound.n_parts} parts{rows}"
    )


def _promised(share: float | None) -> str:
    return "no promise" if share is None else f"promised {percent(share)}"


def _outcome(bound: Bound, chosen: Chosen) -> Outcome | None:
    outcomes = chosen.realised.sides if bound.label is None else chosen.realised.classes
    found = [one for one in outcomes if (one.label, one.is_pass) == (bound.label, bound.is_pass)]
    return found[0] if found else None


def outcome_table(chosen: Chosen) -> Table:
    """Return a row for each side and class, in percent.

    Rows by decision; rows labelled as the other side, whatever the decision, with their interval; and the bound of the
    wrong decision, of parts.
    """
    table = Table("% of rows", "rows", "parts", "PASS", "REJECT", "REVIEW", "UNKNOWN", "wrong label", "bound")
    bounds = {(bound.label, bound.is_pass): bound for bound in chosen.bounds}
    for one in (*chosen.realised.sides, *chosen.realised.classes):
        name = f"label {one.label}" if one.label is not None else ("passes" if one.is_pass else "rejects")
        bound = bounds.get((one.label, one.is_pass))
        shares = [f"{100 * count / one.n_rows:.3g}" for count in _by_decision(one)]
        wrong = one.wrong_label
        table.add_row(
            name,
            str(one.n_rows),
            str(one.n_parts),
            *shares,
            f"{100 * wrong.value:.3g} ({100 * wrong.low:.2g} … {100 * wrong.high:.2g})",
            "" if bound is None else f"{100 * bound.bound:.3g}",
        )
    return table


def _by_decision(outcome: Outcome) -> tuple[int, int, int, int]:
    return outcome.passed, outcome.rejected, outcome.reviewed, outcome.unknown


def rate_text(rate: Rate) -> str:
    """Return a rate with its counts and its 95 % interval over parts."""
    return f"{rate.n_counted} of {rate.n_rows} = {percent(rate.value)} ({100 * rate.low:.2g} … {100 * rate.high:.2g} %)"


def percent(share: float) -> str:
    """Return a share with three digits, in percent."""
    return f"{100 * share:.3g} %"
