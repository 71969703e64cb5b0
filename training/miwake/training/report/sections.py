"""The sections of a report, each of which answers one question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miwake.indexer.telling import pages
from miwake.indexer.telling.rates import NOTHING, counts_text, number, percent, rate_text
from miwake.training import grids
from miwake.training.grids import Grid
from miwake.training.report.cases import Kind
from miwake.training.report.confusion_drawing import confusion_drawing
from miwake.training.report.curve_drawings import (
    identification_drawing,
    learning_drawing,
    reliability_drawing,
    trade_off_drawing,
    verification_drawing,
)
from miwake.training.report.pass_and_reject import OVERKILL_RATES
from miwake.training.report.picture_rows import anchor_rows, case_row
from miwake.training.report.section import Section
from miwake.training.report.spread_drawings import map_drawing, novelty_drawing, pairs_drawing, scatter_drawing

if TYPE_CHECKING:
    from miwake.indexer.evaluation import Rate
    from miwake.training.report.findings import Findings

NO_SIDES = (
    "There are no pass labels, or no passes or no rejects among the queries, so nothing can escape or be overkilled."
)
_MORE = {
    Kind.ESCAPE: "Rejects answered as pass, those with the least probability of a reject first.",
    Kind.OVERKILL: "Passes answered as reject, those with the greatest probability of a reject first.",
    Kind.WRONG: "Wrong answers, the surest first; without pass labels there are neither escapes nor overkills.",
}


def key_figures(findings: Findings) -> str:
    """Return the figures that everybody asks for first."""
    way = findings.answering

    def rate(name: str, one: Rate | None, of_what: str) -> tuple[str, str, str]:
        if one is None:
            return name, NOTHING, "no pass labels, or none among them"
        return name, percent(one.value), f"{percent(one.low)} … {percent(one.high)}; {counts_text(one)} {of_what}"

    n_labels = len(findings.evaluation.classes)
    error = way.calibration_error
    return pages.tiles(
        (
            rate("accuracy", way.accuracy, "queries"),
            ("balanced accuracy", percent(way.balanced_accuracy), f"mean over {n_labels} labels"),
            ("macro F1", number(way.macro_f1), f"mean over {n_labels} labels"),
            rate("escape rate", way.escape, "rejects"),
            rate("overkill rate", way.overkill, "passes"),
            ("calibration error", number(error), "expected, of probabilities in 15 bins"),
        )
    )


def answers_section(findings: Findings) -> Section:
    """Tell how right every way to a label is."""
    section = Section("answers", "How right the answers are", on_new_page=True)
    section.say(
        "Five ways to a label, asked about the same rows. An index of these references would answer by "
        f"{findings.way}; so do the figures above, the confusion matrix, the classes and the cases below. An escape is "
        "a reject answered as pass, an overkill a pass answered as reject. Intervals are two-sided, 95 %, over parts: "
        "rows of one part are no independent rows."
    )
    section.tabulate(grids.ways_grid(findings.evaluation))
    return section


def classes_section(findings: Findings) -> Section:
    """Tell the figures of each class and of each group of parts."""
    evaluation = findings.evaluation
    section = Section("classes", "Classes and groups of parts", on_new_page=True)
    grid = grids.classes_grid(evaluation)
    rows = tuple(
        (findings.name_and_side(one.label), *row[1:]) for one, row in zip(evaluation.classes, grid.rows, strict=True)
    )
    section.tabulate(Grid(title=grid.title, names=grid.names, rows=rows))
    section.note(
        "Found is the share of the class that was answered with its label; wrong side the share that escaped, or was "
        "overkilled. Few rows make wide intervals: read them before the values."
    )
    if evaluation.groups:
        section.head("Groups of parts")
        section.tabulate(grids.groups_grid(evaluation))
    else:
        section.note("The data name no groups of parts.")
    return section


def confusion_section(findings: Findings) -> Section:
    """Show which label was answered for which."""
    section = Section("confusion", "Confusion matrix")
    section.draw(confusion_drawing(findings))
    return section


def trade_off_section(findings: Findings) -> Section:
    """Show what a threshold on the probability of a reject costs."""
    section = Section("trade-off", "Escapes against overkills", on_new_page=True)
    found = findings.trade_off
    why = findings.evaluation.not_calibrated if findings.has_sides else ""
    section.draw(trade_off_drawing(findings), or_else=f"Not calibrated: {why}" if why else NO_SIDES)
    if found is not None:
        section.add(
            pages.table(
                ("overkill at most", *(percent(rate) for rate in OVERKILL_RATES)),
                [("least escape", *(percent(found.escape_at(rate)) for rate in OVERKILL_RATES))],
                n_texts=1,
            )
        )
        section.note(
            "Read off these very rows, so a threshold chosen by this table is flattered; the command miwake-index "
            "thresholds sets one that can be promised."
        )
    return section


def verification_section(findings: Findings) -> Section:
    """Tell how well pairs of one class are told from others, and how often the class is found."""
    section = Section("verification", "1:1 and 1:N: cosine, Euclidean and SOART3", on_new_page=True)
    section.draw(verification_drawing(findings))
    section.tabulate(grids.verification_grid(findings.evaluation), n_texts=2)
    section.draw(identification_drawing(findings))
    section.tabulate(grids.identification_grid(findings.evaluation), n_texts=2)
    return section


def reliability_section(findings: Findings) -> Section:
    """Show whether probabilities are what they say."""
    section = Section("reliability", "Are the probabilities right?")
    section.draw(reliability_drawing(findings), or_else=f"{findings.way.capitalize()} tells no probabilities.")
    section.note(f"Not calibrated: {findings.evaluation.not_calibrated}" if findings.evaluation.not_calibrated else "")
    return section


def pairs_section(findings: Findings) -> Section:
    """Show how far apart pairs of one class are, and pairs of two."""
    section = Section("pairs", "Distances of pairs", on_new_page=True)
    section.draw(pairs_drawing(findings), or_else="There are no pairs of one class, or none of two.")
    section.draw(scatter_drawing(findings), or_else="")
    return section


def map_section(findings: Findings) -> Section:
    """Show where the embeddings lie."""
    section = Section("map", "Map of the embeddings", on_new_page=True)
    section.draw(map_drawing(findings))
    found = findings.gap
    if found is None:
        section.note("No gap between passes and rejects: " + NO_SIDES)
        return section
    section.note(
        f"Gap between passes and rejects: d′ = {found.d_prime:.2f} ({found.n_passes:,} passes, {found.n_rejects:,} "
        "rejects). d′ is the distance of the two means in standard deviations, of the queries projected on Fisher's "
        "discriminant of the references. Two normal clouds at d′ = 2 can be told apart with 16 % errors of each kind, "
        "at 4 with 2.3 %."
    )
    return section


def anchors_section(findings: Findings) -> Section:
    """Show the mean raw map of each class."""
    section = Section("anchors", "Anchors")
    section.say("The mean raw map of each class of the references, all on one scale: dark is low, bright is high.")
    section.add('<div class="maps gallery">\n')
    section.show(anchor_rows(findings))
    section.add("</div>\n")
    return section


def cases_section(findings: Findings) -> Section:
    """Show the worst answers beside what they were taken for."""
    section = Section("cases", "The worst answers", on_new_page=True)
    worst = findings.worst
    for kind, cases in worst.cases.items():
        section.head(f"{kind.value.capitalize()}s: {len(cases)} of {worst.n_all[kind]:,}")
        section.say(_MORE[kind] if cases else "None.")
        section.show([case_row(findings, case, number) for number, case in enumerate(cases, start=1)])
    return section


def training_section(findings: Findings, no_log: str) -> Section:
    """Show how training went."""
    section = Section("training", "Training", on_new_page=True)
    best = findings.card.metrics.get("best_step")
    drawing = None
    if findings.learning is not None:
        drawing = learning_drawing(findings.learning, best if isinstance(best, int) else None)
    section.draw(drawing, or_else=no_log or "The log of the run holds no progress.")
    return section


def watching_section(findings: Findings) -> Section:
    """Tell what a service would have flagged, and how well new classes are noticed."""
    section = Section("watching", "Input health, novelty and new classes")
    health, novelty, found = findings.health, findings.novelty, findings.evaluation.open_set
    section.head("Input health")
    if health is None:
        section.say("The embedder artifact does not say what is ordinary for an input.")
    else:
        section.say(
            f"Beyond a limit of input health: {rate_text(health.flagged)} queries. On calibration parts it was "
            f"{percent(health.expected)} when the limits were learnt; much more means that the inputs have changed."
        )
        section.add(
            pages.table(
                ("statistic", "below its limit", "above its limit"),
                [(name, *map(rate_text, rates)) for name, rates in health.beyond.items()],
                n_texts=1,
            )
        )
    section.head("Novelty")
    if novelty is None:
        section.say(f"Not calibrated: {findings.evaluation.not_calibrated}")
    else:
        section.say(
            f"Beyond the bound: {rate_text(novelty.flagged_known)} queries of classes that the references have."
        )
        if novelty.flagged_new is not None:
            section.say(f"Of classes that they do not have: {rate_text(novelty.flagged_new)} queries.")
        section.draw(novelty_drawing(novelty))
    if found is not None:
        section.head("A class the references do not have")
        section.say(
            f"Each class is left out of the references in turn; the score is the {found.score}. AUROC is the chance "
            "that a new row scores higher than a known one."
        )
        section.tabulate(grids.open_set_grid(found))
    return section
