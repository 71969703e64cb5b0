"""Heat maps of a report: the anchors, and the worst answers beside what they were taken for."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.telling import pages
from miwake.indexer.telling.pages import MapFigure
from miwake.indexer.telling.pictures import difference_png, heat_map_png, size_of, strip_png
from miwake.training.report.cases import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.training.evaluate import Examination
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
    """Return a wrong answer: measurement, anchor of the answered label, nearest reference, and the difference.

    Where no reference is of another part, the first two alone.
    """
    examined, shape = findings.examined, findings.card.heat_map_shape
    queries = examined.queries
    measurement = queries.vectors[case.row].reshape(shape)
    anchor = examined.trial.anchors["class-mean"].class_mean(case.found).reshape(shape)
    has_nearest = case.reference_row >= 0
    nearest = examined.references.vectors[case.reference_row].reshape(shape) if has_nearest else measurement
    shown = np.stack([measurement, anchor, nearest])
    low, high = float(shown.min()), float(shown.max())
    truth = _named(queries, case.row)
    maps = [
        MapFigure(
            "measurement",
            heat_map_png(measurement, low, high),
            (f"labelled {truth}", f"{low:g} (dark) … {high:g} (bright)"),
        ),
        MapFigure(
            "answered label's anchor",
            heat_map_png(anchor, low, high),
            (findings.name(case.found), "mean of its references"),
        ),
    ]
    if has_nearest:
        maps += _beside_nearest(examined, case, heat_map_png(nearest, low, high), measurement - nearest)
    html = pages.card(
        f"{number}. {escape(case.kind.value)}: <bdi>{escape(queries.ids[case.row])}</bdi>",
        _lines(findings, case, truth),
        maps,
        is_alarm=case.kind is Kind.ESCAPE,
    )
    return MapRow(name=f"{case.kind.value.replace(' ', '-')}-{number}", html=html, maps=maps)


def _beside_nearest(
    examined: Examination, case: Case, nearest: bytes, difference: NDArray[np.float32]
) -> tuple[MapFigure, MapFigure]:
    references, trial = examined.references, examined.trial
    apart = trial.queries.embeddings[case.row] - trial.references.embeddings[case.reference_row]
    most = float(np.abs(difference).max()) or 1.0
    told = (
        references.ids[case.reference_row],
        f"labelled {_named(references, case.reference_row)}",
        f"distance {np.linalg.norm(apart):.3f}",
    )
    return (
        MapFigure("nearest reference", nearest, told),
        MapFigure(
            "difference",
            difference_png(difference, most),
            ("measurement minus nearest", f"blue −{most:g}, orange {most:g}"),
        ),
    )


def _named(records: Records, row: int) -> str:
    return f"{int(records.labels[row])} {records.failure_modes[row]}".strip()


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
