"""A comparison as one HTML page that opens offline: nothing in it is fetched from anywhere, and nothing runs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import Decision
from miwake.indexer.comparing.flips import ALARMS
from miwake.indexer.comparing.lines import summary, truth
from miwake.indexer.telling.pages import END, MapFigure, card, head, table, write
from miwake.indexer.telling.pictures import difference_png, heat_map_png
from miwake.indexer.telling.rates import interval, percent, rate_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.comparing.comparison import Comparison
    from miwake.indexer.comparing.flips import Answer, Flip
    from miwake.indexer.comparing.sides import Side
    from miwake.indexer.records import Records

    Vectors = Callable[[Flip], tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]

PAGE_FILE = "diff.html"
N_PICTURES = 200
"""Flips that are shown with pictures, about 6 kB each; the others stand in a table."""

MOST_ROWS = 2_000
"""Flips in that table: past them a page says how many more there are."""


def write_page(target: Path, comparison: Comparison, sides: tuple[Side, Side], records: Records) -> Path:
    """Write the page durably and return where it lies.

    Parameters
    ----------
    target : Path
        Ends in ``.html``; else a folder, made where it is missing, that receives ``diff.html``.
    comparison : Comparison
    sides : pair of Side
        What was compared.
    records : Records
        What both were asked about, rows left out included.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    row_of = {reference_id: row for row, reference_id in enumerate(records.ids)}

    def vectors(flip: Flip) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        nearest = (
            side.vector(answer.reference_id) for side, answer in zip(sides, (flip.first, flip.second), strict=True)
        )
        return (records.vectors[row_of[flip.id]], *nearest)

    path = target if target.suffix == ".html" else target / PAGE_FILE
    write(path, page(comparison, vectors, records.heat_map_shape))
    return path


def page(comparison: Comparison, vectors: Vectors, shape: tuple[int, int], *, n_pictures: int = N_PICTURES) -> str:
    """Return the page.

    Parameters
    ----------
    comparison : Comparison
    vectors : callable
        Gives for a flip the (V,) vectors of the part, of its nearest reference in the first side, and in the second.
    shape : (rows, columns)
        Of the heat maps.
    n_pictures : int
        Flips shown with pictures.
    """
    title = f"{comparison.station}: {comparison.first.name} and {comparison.second.name}"
    pictured, others = comparison.flips[:n_pictures], comparison.flips[n_pictures:]
    return "".join(
        [
            head(title),
            f"<p>{escape(summary(comparison))}</p>\n",
            _sides(comparison),
            _figures(comparison),
            _decisions(comparison),
            "<h2>Verdicts that flip</h2>\n",
            "<p>None.</p>\n" if not comparison.flips else "",
            *(_flip(flip, vectors(flip), shape, number) for number, flip in enumerate(pictured, start=1)),
            _others(others, len(pictured)),
            END,
        ]
    )


def _sides(comparison: Comparison) -> str:
    rows = (
        ("asked for as", "name"),
        ("generation", "generation"),
        ("references", "n_references"),
        ("at revision", "revision"),
        ("embedder", "embedder"),
        ("its preset", "preset"),
        ("answers by", "method"),
        ("threshold set", "threshold_set"),
    )
    return table(
        ("", "before", "after"),
        [(what, str(getattr(comparison.first, one)), str(getattr(comparison.second, one))) for what, one in rows],
    )


def _figures(comparison: Comparison) -> str:
    rows = [
        (
            one.name,
            rate_text(one.first),
            rate_text(one.second),
            f"{percent(one.change.value, signed=True)} {interval(one.change.low, one.change.high, signed=True)}",
            f"{one.change.n_more} only after, {one.change.n_less} only before",
        )
        for one in comparison.figures
    ]
    left_out = (
        f"Asked about {comparison.n_rows} rows of {comparison.n_parts} parts from {comparison.source}. Left out: "
        f"{comparison.n_fitted} rows of parts that an embedder was fitted on, {comparison.n_known} that are references "
        f"and name no part, {comparison.n_refused} that cannot be judged. References of a row's own part never answer "
        "for it. Intervals are two-sided, 95 %, over parts; those of the change are of paired rows."
    )
    return (
        "<h2>Figures</h2>\n"
        + table(("", "before", "after", "change", "rows"), rows)
        + f'<p class="note">{escape(left_out)}</p>\n'
    )


def _decisions(comparison: Comparison) -> str:
    names = [one.name for one in Decision]
    rows = [(before, *(str(comparison.decisions.get(f"{before}→{after}", 0)) for after in names)) for before in names]
    return "<h2>Decisions: rows before, columns after</h2>\n" + table(("", *names), rows, n_texts=1)


def _flip(
    flip: Flip,
    maps: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    shape: tuple[int, int],
    number: int,
) -> str:
    part, first, second = (one.reshape(shape) for one in maps)
    low, high = min(float(one.min()) for one in maps), max(float(one.max()) for one in maps)
    difference = part - second
    most = float(np.abs(difference).max()) or 1.0
    figures = (
        MapFigure("the part", heat_map_png(part, low, high), (f"{low:g} (dark) … {high:g} (bright)",)),
        MapFigure("nearest before", heat_map_png(first, low, high), _nearest(flip.first)),
        MapFigure("nearest after", heat_map_png(second, low, high), _nearest(flip.second)),
        MapFigure(
            "difference",
            difference_png(difference, most),
            ("the part minus nearest after", f"blue −{most:g}, orange {most:g}"),
        ),
    )
    effect = f" — {flip.effect}" if flip.effect else ""
    return card(
        f"{number}. {escape(flip.kind)}{escape(effect)}: <bdi>{escape(flip.id)}</bdi>",
        (
            f"part <bdi>{escape(flip.part or '(not named)')}</bdi>, <bdi>{escape(truth(flip))}</bdi>",
            f"before: {_answer(flip.first)}",
            f"after: {_answer(flip.second)}",
        ),
        figures,
        is_alarm=flip.effect in ALARMS,
    )


def _nearest(answer: Answer) -> tuple[str, str]:
    return (
        answer.reference_id,
        f"label {answer.reference_label}, distance {answer.distance:.3f}, match distance {answer.match_distance:.3f}",
    )


def _answer(answer: Answer) -> str:
    label = f"{answer.label} {answer.failure_mode}".strip()
    rejects = "" if answer.reject_probability is None else f", reject probability {answer.reject_probability:.3f}"
    return f"<b>{answer.decision}</b>, <bdi>{escape(label)}</bdi> with probability {answer.probability:.3f}{rejects}"


def _others(flips: Sequence[Flip], n_pictured: int) -> str:
    if not flips:
        return ""
    rows = [
        (
            str(number),
            one.kind,
            one.effect,
            one.id,
            one.part,
            truth(one),
            str(one.first.label),
            str(one.second.label),
        )
        for number, one in enumerate(flips[:MOST_ROWS], start=n_pictured + 1)
    ]
    more = f"<p>and {len(flips) - MOST_ROWS} more</p>\n" if len(flips) > MOST_ROWS else ""
    names = ("", "verdict", "effect", "id", "part", "truth", "before", "after")
    return "<h2>Further verdicts that flip</h2>\n" + table(names, rows) + more
