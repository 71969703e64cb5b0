"""The confusion matrix, with escapes and overkills marked, and rolled up to pass and reject."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from miwake.indexer.records import is_pass
from miwake.training.report.drawing import BLACK, SKY, VERMILLION, WIDTH, Drawing, cut, drawn_like_this, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from miwake.training.report.findings import Findings

MOST_NUMBERED = 40
"""A matrix of more labels than this shows colours only."""


def confusion_drawing(findings: Findings) -> Drawing:
    """Draw the confusion matrix of the way that an index would answer by."""
    counts, labels, n_passes = ordered(findings)
    names = [findings.name(label) for label in labels]
    with drawn_like_this():
        size = float(np.clip(0.42 * len(labels) + 1.6, 3.6, 18.0))
        has_sides = 0 < n_passes < len(labels)
        width = max(WIDTH, size + 2.2 + (3.9 if has_sides else 0.0))
        figure = Figure(figsize=(width if has_sides else max(size + 3.2, 6.0), size + 0.9), layout="constrained")
        if has_sides:
            matrix, sides = figure.subplots(1, 2, width_ratios=(max(size + 1.2, 5.2), 3.6))
            _draw_sides(sides, rolled_up(counts, n_passes))
            _draw_matrix(matrix, counts, names)
            _mark(matrix, n_passes, len(labels))
        else:
            _draw_matrix(figure.subplots(), counts, names)
        png = png_of(figure)
    right, total = int(np.trace(counts)), int(counts.sum())
    return Drawing(
        name="confusion",
        png=png,
        alt=f"Confusion matrix of {len(labels)} labels: {right} of {total} answers are on the diagonal.",
        caption="Rows are true labels, columns answered ones. A field holds the number of queries; its shade is the "
        "share of its row. "
        + (
            "Passes come first. Inside the solid frame are the escapes, rejects answered as pass; inside the dashed "
            "frame the overkills, passes answered as reject. On the right the same, rolled up to pass and reject: "
            "there, one kind of reject answered as another is right."
            if has_sides
            else "There are no labels that mean pass beside labels that do not, so there are neither escapes nor "
            "overkills."
        ),
    )


def ordered(findings: Findings) -> tuple[NDArray[np.int64], list[int], int]:
    """Return the counts (C, C) with the pass labels first, their labels, and how many of them mean pass."""
    way = findings.answering
    labels = np.array(way.labels, dtype=np.int32)
    passes = is_pass(labels, findings.examined.queries.pass_labels)
    order = np.argsort(~passes, kind="stable")
    counts = np.array(way.confusion, dtype=np.int64)[np.ix_(order, order)]
    return counts, labels[order].tolist(), int(passes.sum())


def rolled_up(counts: NDArray[np.int64], n_passes: int) -> NDArray[np.int64]:
    """Return the counts (2, 2) of passes and rejects: row = truth, column = answer, pass first."""
    starts = [0, n_passes]
    return np.asarray(np.add.reduceat(np.add.reduceat(counts, starts, axis=0), starts, axis=1))


def _draw_matrix(axis: Axes, counts: NDArray[np.int64], names: list[str]) -> None:
    shares = _shares(counts)
    axis.imshow(shares, cmap="cividis", vmin=0.0, vmax=100.0, aspect="auto")
    axis.grid(visible=False)
    small = 9 if len(names) <= 12 else 7.5
    totals = counts.sum(axis=1).tolist()
    axis.set_xticks(
        range(len(names)), [cut(name) for name in names], rotation=45, ha="right", rotation_mode="anchor",
        fontsize=small,
    )  # fmt: skip
    axis.set_yticks(
        range(len(names)), [f"{cut(name)} ({total:,})" for name, total in zip(names, totals, strict=True)],
        fontsize=small,
    )  # fmt: skip
    axis.set_xlabel("answered label")
    axis.set_ylabel("true label (queries)")
    axis.set_title("labels")
    if len(names) <= MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                _write(axis, row, column, f"{count:,}", float(shares[row, column]), small if len(names) <= 20 else 6.0)


def _mark(axis: Axes, n_passes: int, n_labels: int) -> None:
    n_rejects = n_labels - n_passes
    edge = 0.46
    escapes = Rectangle((-edge, n_passes - edge), n_passes - 1 + 2 * edge, n_rejects - 1 + 2 * edge)
    escapes.set(fill=False, edgecolor=VERMILLION, linewidth=2.6)
    overkills = Rectangle((n_passes - edge, -edge), n_rejects - 1 + 2 * edge, n_passes - 1 + 2 * edge)
    overkills.set(fill=False, edgecolor=SKY, linewidth=2.6, linestyle=(0, (4, 2)))
    for patch in (escapes, overkills):
        axis.add_patch(patch)


def _draw_sides(axis: Axes, counts: NDArray[np.int64]) -> None:
    shares = _shares(counts)
    axis.imshow(shares, cmap="cividis", vmin=0.0, vmax=100.0, aspect="equal")
    axis.grid(visible=False)
    axis.set_xticks((0, 1), ("pass", "reject"))
    axis.set_yticks((0, 1), ("pass", "reject"), rotation=90, va="center")
    axis.set_xlabel("answered side")
    axis.set_ylabel("true side")
    axis.set_title("pass and reject")
    words = (("right", "overkill"), ("escape", "right"))
    for (row, column), count in np.ndenumerate(counts):
        share = float(shares[row, column])
        _write(axis, row, column, f"{words[row][column]}\n{count:,}\n{share:.2f} %", share, 11)
    _mark(axis, 1, 2)


def _write(axis: Axes, row: int, column: int, text: str, share: float, size: float) -> None:
    colour = BLACK if share > 55.0 else "white"
    axis.text(column, row, text, ha="center", va="center", fontsize=size, color=colour, linespacing=1.3)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(100.0 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
