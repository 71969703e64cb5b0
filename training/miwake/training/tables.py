"""Tables of presets and of evaluations, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from miwake.indexer.assessing.figures import Figures
    from miwake.indexer.assessing.open_set import OpenSet
    from miwake.indexer.assessing.roc import AtRate
    from miwake.indexer.evaluation import Evaluation, Rate
    from miwake.training.evaluate import EmbedderEvaluation
    from miwake.training.presets import Preset


def preset_table(presets: Iterable[Preset], default: str) -> Table:
    """Return what each preset is and where it comes from."""
    table = Table("preset", "what it is", "where it comes from", show_lines=True)
    for preset in presets:
        name = f"{preset.name} (default)" if preset.name == default else preset.name
        table.add_row(name, preset.summary, preset.origin)
    return table


def evaluation_tables(evaluation: EmbedderEvaluation) -> list[Table]:
    """Return everything that an evaluation says, a table for each kind of question."""
    tables = [_ways(evaluation), _classes(evaluation)]
    if evaluation.groups:
        tables.append(_groups(evaluation))
    tables += [_verification(evaluation), _identification(evaluation)]
    if evaluation.open_set is not None:
        tables.append(_open_set(evaluation.open_set))
    return tables


def _ways(evaluation: EmbedderEvaluation) -> Table:
    title = (
        f"{evaluation.source}: {evaluation.n_queries:,} queries of {evaluation.n_query_parts:,} parts against "
        f"{evaluation.n_references:,} references"
    )
    table = Table("", *evaluation.ways(), title=title, caption=_calibration(evaluation))
    _add(table, evaluation, "accuracy", lambda way: _interval(way.accuracy))
    _add(table, evaluation, "", lambda way: _counts(way.accuracy))
    _add(table, evaluation, "balanced accuracy", lambda way: _number(way.balanced_accuracy))
    _add(table, evaluation, "macro F1", lambda way: _number(way.macro_f1))
    _add(table, evaluation, "escapes", lambda way: _interval(way.escape))
    _add(table, evaluation, "", lambda way: _counts(way.escape))
    _add(table, evaluation, "overkills", lambda way: _interval(way.overkill))
    _add(table, evaluation, "", lambda way: _counts(way.overkill))
    _add(table, evaluation, "calibration error", lambda way: _number(way.calibration_error))
    return table


def _add(table: Table, figures: Figures, name: str, told: Callable[[Evaluation], str]) -> None:
    table.add_row(name, *("–" if way is None else told(way) for way in figures.ways().values()))


def _calibration(evaluation: EmbedderEvaluation) -> str:
    if not evaluation.calibrations:
        return f"not calibrated: {evaluation.not_calibrated}"
    used = evaluation.calibrations[0]
    n_rows = sum(one.n_rows for one in evaluation.calibrations)
    methods = " and ".join(dict.fromkeys(_words(one.method) for one in evaluation.calibrations))
    return (
        f"calibrated on {n_rows:,} references that the embedder was not fitted on; an index would answer by {methods} "
        f"and take {used.anchors} anchors; SOART3 in {used.space} space, p {used.p_eta} and {used.p_gamma}; "
        "95 % intervals over parts"
    )


def _classes(evaluation: EmbedderEvaluation) -> Table:
    way, name = _answering(evaluation)
    table = Table(
        "label",
        "queries",
        "references",
        "found",
        "precision",
        "F1",
        "wrong side",
        "1:1 AUC",
        title=f"Classes, by {name}",
    )
    for one in evaluation.classes:
        found = _by(way, one)
        label = f"{one.label} (pass)" if one.is_pass else str(one.label)
        table.add_row(
            label,
            f"{one.n_queries:,}",
            f"{one.n_references:,}",
            _interval(found.accuracy),
            _number(one.precision[way]),
            _number(one.f1[way]),
            _interval(found.overkill if one.is_pass else found.escape),
            _number(one.verification["references"]["euclidean"].auc),
        )
    return table


def _groups(evaluation: EmbedderEvaluation) -> Table:
    way, name = _answering(evaluation)
    table = Table(
        "group",
        "queries",
        "parts",
        "accuracy",
        "escapes",
        "overkills",
        "1:1 AUC",
        "AUROC, new",
        title=f"Groups, by {name}",
    )
    for one in evaluation.groups:
        found = _by(way, one)
        table.add_row(
            one.group or "(none)",
            f"{one.n_queries:,}",
            f"{one.n_query_parts:,}",
            _interval(found.accuracy),
            _interval(found.escape),
            _interval(found.overkill),
            _number(one.verification["references"]["euclidean"].auc),
            _number(None if one.open_set is None else one.open_set.auroc),
        )
    return table


def _answering(evaluation: EmbedderEvaluation) -> tuple[str, str]:
    """Return the way whose figures are told class by class: what an index would answer by, else the majority."""
    if not evaluation.calibrations:
        return "15 nearest", "the 15 nearest references"
    used = evaluation.calibrations[0]
    anchor = "nearest anchor" if used.anchors == "class-mean" else "nearest mean embedding"
    way = {"nearest_anchor": anchor, "vote": "vote", "soart3_vote": "SOART3 vote"}[used.method]
    return way, f"the {way}"


def _by(way: str, figures: Figures) -> Evaluation:
    return figures.ways()[way] or figures.nearest_references


def _verification(evaluation: Figures) -> Table:
    table = Table(
        "against",
        "distance",
        "pairs: same, other",
        "AUC",
        "EER",
        *_rate_headings("accepted"),
        title="1:1, the same class?",
    )
    for gallery, found in evaluation.verification.items():
        for name, one in found.items():
            pairs = f"{one.n_genuine:,}, {one.n_impostor:,}"
            rates = _rates(one.true_accepts)
            table.add_row(_words(gallery), name, pairs, _number(one.auc), _number(one.equal_error_rate), *rates)
    return table


def _identification(evaluation: Figures) -> Table:
    table = Table("among", "distance", "nearest", "5 nearest", *_rate_headings("named"), title="1:N, which class?")
    for gallery, found in evaluation.identification.items():
        for name, one in found.items():
            table.add_row(_words(gallery), name, _interval(one.rank_1), _interval(one.rank_5), *_rates(one.detected))
    return table


def _rate_headings(done: str) -> list[str]:
    return [f"{done} at {percent} false" for percent in ("10 %", "1 %", "0.1 %")]


def _open_set(found: OpenSet) -> Table:
    title = f"A class the references do not have, by {found.score}"
    untold = [f"{one.label} not left out: {one.reason}" for one in found.skipped]
    table = Table(
        "class",
        "new",
        "known",
        "AUROC",
        "FPR at 95 % found",
        "missed at 5 % alarms",
        title=title,
        caption="; ".join([*untold, *([found.caveat] if found.caveat else [])]),
    )
    for one in found.classes:
        label = str(one.label) if one.is_reject else f"{one.label} (pass)"
        label = label if one.was_left_out else f"{label} (no references)"
        told = one.detection
        figures = (told.auroc, told.fpr95, told.missed_at_5)
        table.add_row(label, f"{told.n_novel:,}", f"{told.n_known:,}", *(_number(value) for value in figures))
    means = (found.auroc, found.fpr95, found.missed_at_5)
    table.add_row(f"mean of {found.n_classes} rejects left out", "", "", *(_number(value) for value in means))
    return table


def _words(name: str) -> str:
    return name.replace("_", " ")


def _rates(rates: Iterable[AtRate]) -> list[str]:
    return [_number(one.true_rate) for one in rates]


def _interval(rate: Rate | None) -> str:
    return "–" if rate is None else f"{rate.value:.4f} [{rate.low:.4f}, {rate.high:.4f}]"


def _counts(rate: Rate | None) -> str:
    return "–" if rate is None else f"{rate.n_counted:,} of {rate.n_rows:,}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
