"""Heat maps of a report: the anchors, and the worst answers beside what they were taken for."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.telling import pages
from miwake.indexer.telling.pages import MapFigure
from miwake.indexer.telling.pictures import difference_png, heat_map_png, size_of, strip_png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.training.report.cases import Case
    from miwake.training.report.findings import Findings

LONGEST_SIDE = 280
"""Pixels of a heat map in a file of its own, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRow:
    """Heat maps that belong together.

    Attributes
    ----------
    name : text
        Of the file that holds them side by side, without the ending.
    html : text
    maps : sequence of MapFigure
    """

    name: str
    html: str
    maps: Sequence[MapFigure]

    def png(self) -> bytes:
        """Return the maps side by side as one picture."""
        pngs = [one.png for one in self.maps]
        return strip_png(pngs, scale=max(round(LONGEST_SIDE / max(size_of(pngs[0]))), 1))


def anchor_rows(findings: Findings) -> list[MapRow]:
    """Return the mean raw map of the references of each class, all on one scale."""
    anchors = findings.examined.trial.anchors["class-mean"]
    low, high = float(anchors.vectors.min()), float(anchors.vectors.max())
    known = findings.examined.references.labels
    rows = []
    for label in anchors.classes.tolist():
        values = anchors.class_mean(label).reshape(findings.card.heat_map_shape)
        one = MapFigure(
            findings.name(label),
            heat_map_png(values, low, high),
            (f"mean of {int((known == label).sum()):,} references", f"{values.min():.4g} … {values.max():.4g}"),
        )
        rows.append(MapRow(name=f"anchor-{label}", html=pages.figure(one), maps=(one,)))
    return rows


def case_row(findings: Findings, case: Case, number: int) -> MapRow:
    """Return a wrong answer: measurement, anchor of the answered label, nearest reference, and the difference."""
    examined, shape = findings.examined, findings.card.heat_map_shape
    queries, references = examined.queries, examined.references
    measurement = queries.vectors[case.row].reshape(shape)
    anchor = examined.trial.anchors["class-mean"].class_mean(case.found).reshape(shape)
    reference = references.vectors[case.reference_row].reshape(shape)
    shown = np.stack([measurement, anchor, reference])
    low, high = float(shown.min()), float(shown.max())
    difference = measurement - reference
    most = float(np.abs(difference).max()) or 1.0
    distance = np.linalg.norm(
        examined.trial.queries.embeddings[case.row] - examined.trial.references.embeddings[case.reference_row]
    )
    truth = f"{int(queries.labels[case.row])} {queries.failure_modes[case.row]}".strip()
    nearest = f"{int(references.labels[case.reference_row])} {references.failure_modes[case.reference_row]}".strip()
    maps = (
        MapFigure(
            "measurement",
            heat_map_png(measurement, low, high),
            (f"labelled {truth}", f"{low:g} (dark) … {high:g} (bright)"),
        ),
        MapFigure(
            "anchor of the answered label",
            heat_map_png(anchor, low, high),
            (findings.name(case.found), "mean of its references"),
        ),
        MapFigure(
            "nearest reference",
            heat_map_png(reference, low, high),
            (references.ids[case.reference_row], f"labelled {nearest}", f"distance {distance:.3f}"),
        ),
        MapFigure(
            "difference",
            difference_png(difference, most),
            ("measurement minus nearest reference", f"blue −{most:g}, orange {most:g}"),
        ),
    )
    html = pages.card(
        f"{number}. {escape(case.kind.value)}: <bdi>{escape(queries.ids[case.row])}</bdi>",
        _lines(findings, case, truth),
        maps,
        is_alarm=case.kind.value == "escape",
    )
    return MapRow(name=f"{case.kind.value.replace(' ', '-')}-{number}", html=html, maps=maps)


def _lines(findings: Findings, case: Case, truth: str) -> tuple[str, str]:
    queries = findings.examined.queries
    part, group = queries.parts[case.row] or "(not named)", queries.groups[case.row]
    sure = "" if case.probability is None else f" with probability {case.probability:.3f}"
    reject = "" if case.reject_probability is None else f"; probability of a reject {case.reject_probability:.3f}"
    found = f"<b><bdi>{escape(findings.name(case.found))}</bdi></b>"
    return (
        f"part <bdi>{escape(part)}</bdi>" + (f", group <bdi>{escape(group)}</bdi>" if group else ""),
        f"labelled <bdi>{escape(truth)}</bdi>, answered {found}{sure}{reject}",
    )
