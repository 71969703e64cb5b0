"""A report as one HTML page that opens offline, and the pictures in it as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.indexer.telling import pages
from miwake.training.report import sections
from miwake.training.report.repeating import fit_command

if TYPE_CHECKING:
    from datetime import datetime

    from miwake.training.report.findings import Findings


@dataclass(frozen=True, slots=True)
class Report:
    """A page, and its pictures as PNG by the name of their file, without the ending."""

    html: str
    pictures: dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """When and how a report was made.

    Attributes
    ----------
    made_at : datetime
        With a time zone.
    rows : text
        Which rows were asked.
    command : text
        That made the report.
    no_log : text
        Why there are no training curves; empty where there are.
    """

    made_at: datetime
    rows: str
    command: str
    no_log: str = ""


def report_page(findings: Findings, occasion: Occasion) -> Report:
    """Return the page and its pictures."""
    told = [
        sections.answers_section(findings),
        sections.confusion_section(findings),
        sections.trade_off_section(findings),
        sections.reliability_section(findings),
        sections.classes_section(findings),
        sections.cases_section(findings),
        sections.verification_section(findings),
        sections.pairs_section(findings),
        sections.map_section(findings),
        sections.anchors_section(findings),
        sections.watching_section(findings),
        sections.training_section(findings, occasion.no_log),
    ]
    html = "".join(
        [
            pages.head(f"Embedder {findings.card.embedder_id}: what it is worth"),
            sections.key_figures(findings),
            _what(findings, occasion),
            pages.contents([(one.name, one.title) for one in told]),
            *(one.html() for one in told),
            pages.END,
        ]
    )
    return Report(html, {name: png for one in told for name, png in one.pictures.items()})


def _what(findings: Findings, occasion: Occasion) -> str:
    evaluation, card = findings.evaluation, findings.card
    queries = findings.examined.queries
    passes = ", ".join(findings.name(label) for label in queries.pass_labels)
    fit = fit_command(card)
    rows = [
        ("data", evaluation.source),
        ("rows asked", f"{evaluation.n_queries:,} of {evaluation.n_query_parts:,} parts ({occasion.rows})"),
        ("references", f"{evaluation.n_references:,}"),
        ("labels that mean pass", passes or "none: there are neither escapes nor overkills"),
        ("answered by", f"{findings.way}, as an index of these references would"),
        ("embedder", f"{card.embedder_id}, {card.n_dimensions} dimensions"),
        ("preset", card.preset),
        ("heat maps", f"{card.heat_map_shape[0]} × {card.heat_map_shape[1]}, values {_range(card.value_range)}"),
        ("fingerprint of the rows asked", findings.fingerprint),
        ("fingerprint of the training data", card.data_fingerprint or "not kept"),
        ("made", f"{occasion.made_at:%Y-%m-%d %H:%M} UTC"),
        ("made with", occasion.command),
        ("embedder fitted with", fit or "a preset that is not known here"),
    ]
    return pages.facts(rows)


def _range(values: tuple[float, float]) -> str:
    return f"{values[0]:g} … {values[1]:g}"
