"""What an evaluation says, in rows of text: the same on a terminal and on a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.indexer.telling.rates import NOTHING, counts_text, number, percent, share_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from miwake.indexer.assessing.figures import Figures
    from miwake.indexer.assessing.open_set import OpenSet
    from miwake.indexer.assessing.roc import AtRate
    from miwake.indexer.evaluation import Evaluation
    from miwake.training.evaluate import EmbedderEvaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table as text: its title, the names of its columns, its rows, and a caption, which may be empty."""

    title: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


def evaluation_grids(evaluation: EmbedderEvaluation) -> list[Grid]:
    """Return everything that an evaluation says, a table for each kind of question."""
    grids = [ways_grid(evaluation), classes_grid(evaluation)]
    if evaluation.groups:
        grids.append(groups_grid(evaluation))
    grids += [verification_grid(evaluation), identification_grid(evaluation)]
    if evaluation.open_set is not None:
        grids.append(open_set_grid(evaluation.open_set))
    return grids


def ways_grid(evaluation: EmbedderEvaluation) -> Grid:
    """Return how right every way to a label is, the ways side by side."""

    def row(name: str, told: Callable[[Evaluation], str]) -> tuple[str, ...]:
        return name, *(NOTHING if way is None else told(way) for way in evaluation.ways().values())

    return Grid(
        title=f"{evaluation.source}: {evaluation.n_queries:,} queries of {evaluation.n_query_parts:,} parts against "
        f"{evaluation.n_references:,} references",
        names=("", *evaluation.ways()),
        rows=(
            row("accuracy", lambda way: share_text(way.accuracy)),
            row("right, of all", lambda way: counts_text(way.accuracy)),
            row("balanced accuracy", lambda way: percent(way.balanced_accuracy)),
            row("macro F1", lambda way: number(way.macro_f1)),
            row("escapes", lambda way: share_text(way.escape)),
            row("of rejects", lambda way: counts_text(way.escape)),
            row("overkills", lambda way: share_text(way.overkill)),
            row("of passes", lambda way: counts_text(way.overkill)),
            row("calibration error", lambda way: number(way.calibration_error)),
        ),
        caption=_calibration(evaluation),
    )


def _calibration(evaluation: EmbedderEvaluation) -> str:
    if not evaluation.calibrations:
        return f"not calibrated: {evaluation.not_calibrated}"
    used = evaluation.calibrations[0]
    n_rows = sum(one.n_rows for one in evaluation.calibrations)
    ways = " and ".join(dict.fromkeys(one.way() for one in evaluation.calibrations))
    return (
        f"calibrated on {n_rows:,} references that the embedder was not fitted on; an index would answer by {ways} "
        f"and take {used.anchors} anchors; SOART3 in {used.space} space, p {used.p_eta} and {used.p_gamma}; "
        "95 % intervals over parts"
    )


def classes_grid(evaluation: EmbedderEvaluation) -> Grid:
    """Return the figures of each class, by the way that an index would answer."""
    way = evaluation.answering_way()
    rows = []
    for one in evaluation.classes:
        found = by_way(way, one)
        rows.append(
            (
                f"{one.label} (pass)" if one.is_pass else str(one.label),
                f"{one.n_queries:,}",
                f"{one.n_references:,}",
                share_text(found.accuracy),
                percent(one.precision[way]),
                number(one.f1[way]),
                share_text(found.overkill if one.is_pass else found.escape),
                number(one.verification["references"]["euclidean"].auc),
            )
        )
    return Grid(
        title=f"Classes, by {_by(way)}",
        names=("label", "queries", "references", "found", "precision", "F1", "wrong side", "1:1 AUC"),
        rows=tuple(rows),
    )


def groups_grid(evaluation: EmbedderEvaluation) -> Grid:
    """Return the figures of each group of parts, by the way that an index would answer."""
    way = evaluation.answering_way()
    rows = []
    for one in evaluation.groups:
        found = by_way(way, one)
        rows.append(
            (
                one.group or "(none)",
                f"{one.n_queries:,}",
                f"{one.n_query_parts:,}",
                share_text(found.accuracy),
                share_text(found.escape),
                share_text(found.overkill),
                number(one.verification["references"]["euclidean"].auc),
                number(None if one.open_set is None else one.open_set.auroc),
            )
        )
    return Grid(
        title=f"Groups, by {_by(way)}",
        names=("group", "queries", "parts", "accuracy", "escapes", "overkills", "1:1 AUC", "AUROC, new"),
        rows=tuple(rows),
    )


def by_way(way: str, figures: Figures) -> Evaluation:
    """Return what one of the ways of ``Figures.ways`` has found; the majority where that has found nothing."""
    return figures.ways()[way] or figures.nearest_references


def _by(way: str) -> str:
    return "the 15 nearest references" if way == "15 nearest" else f"the {way}"


def verification_grid(evaluation: Figures) -> Grid:
    """Return how well distances tell pairs of one class from others."""
    return Grid(
        title="1:1, the same class?",
        names=("against", "distance", "pairs: same, other", "AUC", "EER", *_rate_headings("accepted")),
        rows=tuple(
            (
                _words(gallery),
                name,
                f"{one.n_genuine:,}, {one.n_impostor:,}",
                number(one.auc),
                percent(one.equal_error_rate),
                *_rates(one.true_accepts),
            )
            for gallery, found in evaluation.verification.items()
            for name, one in found.items()
        ),
    )


def identification_grid(evaluation: Figures) -> Grid:
    """Return how often the class of a query is found."""
    return Grid(
        title="1:N, which class?",
        names=("among", "distance", "nearest", "5 nearest", *_rate_headings("named")),
        rows=tuple(
            (_words(gallery), name, share_text(one.rank_1), share_text(one.rank_5), *_rates(one.detected))
            for gallery, found in evaluation.identification.items()
            for name, one in found.items()
        ),
    )


def _rate_headings(done: str) -> list[str]:
    return [f"{done} at {rate} false" for rate in ("10 %", "1 %", "0.1 %")]


def open_set_grid(found: OpenSet) -> Grid:
    """Return how well a class is noticed that the references do not have."""
    rows = []
    for one in found.classes:
        label = str(one.label) if one.is_reject else f"{one.label} (pass)"
        told = one.detection
        rows.append(
            (
                label if one.was_left_out else f"{label} (no references)",
                f"{told.n_novel:,}",
                f"{told.n_known:,}",
                number(told.auroc),
                percent(told.fpr95),
                percent(told.missed_at_5),
            )
        )
    means = (number(found.auroc), percent(found.fpr95), percent(found.missed_at_5))
    rows.append((f"mean of {found.n_classes} rejects left out", "", "", *means))
    untold = [f"{one.label} not left out: {one.reason}" for one in found.skipped]
    return Grid(
        title=f"A class the references do not have, by {found.score}",
        names=("class", "new", "known", "AUROC", "FPR at 95 % found", "missed at 5 % alarms"),
        rows=tuple(rows),
        caption="; ".join([*untold, *([found.caveat] if found.caveat else [])]),
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _rates(rates: Iterable[AtRate]) -> list[str]:
    return [percent(one.true_rate) for one in rates]
