"""Pictures of single answers, and the confusion matrix of all of them."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

HEAT_COLOURS = "viridis"
DIFFERENCE_COLOURS = "RdBu_r"
"""Both keep their order for readers who see no difference between red and green."""

DOTS_PER_INCH = 100
PANEL_WIDTH = 2.9
"""Of one heat map, in inches."""

TEXT_HEIGHT = 2.05
"""Of headline, titles and captions around the heat maps, in inches."""

MOST_NUMBERED_LABELS = 40
"""A confusion matrix of more labels than this shows colours only."""

MOST_CHARACTERS = 30
MOST_CHARACTERS_OF_A_TICK = 40
"""Longer ids and failure modes are cut in the middle."""

EAST_ASIAN_FONTS = ("Noto Sans CJK JP", "IPAexGothic", "Hiragino Sans", "Yu Gothic", "MS Gothic")
"""Tried after the default font, which has no glyphs for failure modes in these scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One answer with its evidence, in words and numbers.

    Attributes
    ----------
    kind : text
        How the answer stands to the truth.
    id, true_label, true_failure_mode
        The vector, and what it was.
    label, failure_mode, decision, probability
        What was answered; the probability is that of the label.
    anchor_label, anchor_failure_mode, anchor_distance
        The nearest class anchor; the failure mode is the usual one of the class.
    reference_id, reference_label, reference_failure_mode
        The nearest reference.
    distance, beta, eta, gamma, match_distance
        How near it is: Euclidean in embedding space, SOART3's three measures, and their mix in [0, 1).
    """

    kind: str
    id: str
    true_label: int
    true_failure_mode: str
    label: int
    failure_mode: str
    decision: str
    probability: float
    anchor_label: int
    anchor_failure_mode: str
    anchor_distance: float
    reference_id: str
    reference_label: int
    reference_failure_mode: str
    distance: float
    beta: float
    eta: float
    gamma: float
    match_distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """The three heat maps of a case, each (rows, columns): what was measured, and what came nearest."""

    measurement: NDArray[np.float32]
    anchor: NDArray[np.float32]
    reference: NDArray[np.float32]


def draw_case(path: Path, case: Case, maps: Maps, *, note: str = "") -> None:
    """Draw measurement, nearest anchor, nearest reference and their difference side by side into a PNG file."""
    rows, columns = maps.measurement.shape
    with _readable_text():
        height = float(np.clip(PANEL_WIDTH * rows / columns, 0.8, 6.0))
        figure = Figure(
            figsize=(4 * (PANEL_WIDTH + 0.6), height + TEXT_HEIGHT),
            layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08, rect=(0.0, 0.03, 1.0, 0.97)),
        )
        axes = figure.subplots(1, 4)
        _draw_maps(figure, axes, maps)
        for axis, (title, caption) in zip(axes, _captions(case), strict=True):
            axis.set_title(title, fontsize=12, parse_math=False)
            axis.set_xlabel(caption, fontsize=10, parse_math=False, linespacing=1.35)
        figure.suptitle(_headline(case, note), fontsize=13, parse_math=False, linespacing=1.4)
        _save(figure, path)


def draw_confusion(
    path: Path, counts: NDArray[np.int64], rows: Sequence[str], columns: Sequence[str], title: str
) -> None:
    """Draw a confusion matrix into a PNG file: counts, and the share of each row in per cent.

    Parameters
    ----------
    counts : (R, C) int64
        Row = true label, column = answered label.
    rows, columns : R and C texts
        Their names.
    """
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100.0 * counts / np.maximum(totals, 1)
    with _readable_text():
        size = np.clip([0.62 * len(columns) + 3.6, 0.50 * len(rows) + 2.4], 5.0, 40.0)
        figure = Figure(figsize=(float(size[0]), float(size[1])), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(shares, cmap=HEAT_COLOURS, vmin=0.0, vmax=100.0, aspect="auto")
        figure.colorbar(image, ax=axis, label="share of the row, %")
        axis.set_xticks(
            range(len(columns)),
            [_cut(name, MOST_CHARACTERS_OF_A_TICK) for name in columns],
            rotation=60,
            ha="right",
            fontsize=9,
            rotation_mode="anchor",
            parse_math=False,
        )
        names = [
            f"{_cut(name, MOST_CHARACTERS_OF_A_TICK)}  ({total})"
            for name, total in zip(rows, totals[:, 0].tolist(), strict=True)
        ]
        axis.set_yticks(range(len(rows)), names, fontsize=9, parse_math=False)
        axis.set_xlabel("answered label")
        axis.set_ylabel("true label (held-out vectors)")
        axis.set_title(title, fontsize=11, parse_math=False)
        if max(counts.shape) <= MOST_NUMBERED_LABELS:
            _number(axis, counts, shares)
        _save(figure, path)


def _draw_maps(figure: Figure, axes: NDArray[np.object_], maps: Maps) -> None:
    shown = (maps.measurement, maps.anchor, maps.reference)
    low, high = min(float(one.min()) for one in shown), max(float(one.max()) for one in shown)
    for axis, one in zip(axes[:3], shown, strict=True):
        image = axis.imshow(one, cmap=HEAT_COLOURS, vmin=low, vmax=high, interpolation="nearest")
    _add_colour_bar(figure, axes[2], image)
    difference = maps.measurement - maps.reference
    most = float(np.abs(difference).max()) or 1.0
    image = axes[3].imshow(difference, cmap=DIFFERENCE_COLOURS, vmin=-most, vmax=most, interpolation="nearest")
    _add_colour_bar(figure, axes[3], image)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])


def _add_colour_bar(figure: Figure, axis: Axes, image: AxesImage) -> None:
    beside = axis.inset_axes((1.03, 0.0, 0.05, 1.0))
    figure.colorbar(image, cax=beside)


def _headline(case: Case, note: str) -> str:
    probability = "–" if np.isnan(case.probability) else f"{case.probability:.3f}"
    return (
        f"{case.kind}: {_cut(case.id)}{f'   [{note}]' if note else ''}\n"
        f"true {_name(case.true_label, case.true_failure_mode)}   →   "
        f"answered {_name(case.label, case.failure_mode)}, {case.decision}, probability {probability}"
    )


def _captions(case: Case) -> list[tuple[str, str]]:
    return [
        ("measurement", f"label {_name(case.true_label, case.true_failure_mode)}"),
        (
            "nearest anchor (class mean)",
            f"label {_name(case.anchor_label, case.anchor_failure_mode)}\ndistance {case.anchor_distance:.3f}",
        ),
        (
            "nearest reference",
            f"{_cut(case.reference_id)}\nlabel {_name(case.reference_label, case.reference_failure_mode)}\n"
            f"distance {case.distance:.3f}, match distance {case.match_distance:.3f}\n"
            f"beta {case.beta:.3f}, eta {case.eta:.3f}, gamma {case.gamma:.3f}",
        ),
        ("difference", "measurement minus\nnearest reference"),
    ]


def _number(axis: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    size = 9 if max(counts.shape) <= 12 else 7.5
    for (row, column), count in np.ndenumerate(counts):
        if count:
            share = shares[row, column]
            text = f"{count}\n{share:.0f} %" if share >= 0.5 else f"{count}\n<1 %"
            colour = "black" if share > 60.0 else "white"
            axis.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def _name(label: int, failure_mode: str) -> str:
    return f"{label} {_cut(failure_mode)}" if failure_mode else str(label)


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[: half - 1]}…{text[-half:]}"


@contextmanager
def _readable_text() -> Iterator[None]:
    installed = set(get_font_names())
    families = ["DejaVu Sans", *(font for font in EAST_ASIAN_FONTS if font in installed)]
    with mpl.rc_context({"font.family": families}), warnings.catch_warnings():
        # A glyph that no font has is drawn as a box; the picture is still worth having.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=DOTS_PER_INCH)
