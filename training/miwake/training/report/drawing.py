"""How drawings of a report look: colours, markers and line styles that need no colour vision, and PNG of one size.

Colours are those of Okabe and Ito (*Color Universal Design*, 2008); whatever a colour tells, a marker, a line style or
a hatch tells too.
"""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from miwake.indexer.assessing.trial import Distance

BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#000000",
)  # fmt: skip
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY, BLACK)
"""Colours of classes; yellow is too pale on white."""

MARKERS = "o^sDvP*X<>p"
"""As many as share no factor with the colours: 77 classes have a pair of their own."""

LINES = {"cosine": "-", "euclidean": "--", "soart3": "-."}
COLOURS = {"cosine": BLUE, "euclidean": VERMILLION, "soart3": GREEN}
THICKNESSES = {"cosine": 4.2, "euclidean": 2.4, "soart3": 1.2}
"""Each is seen below the next where they lie on each other."""

NAMES: dict[Distance, str] = {"cosine": "cosine", "euclidean": "Euclidean", "soart3": "SOART3 match distance"}

DOTS_PER_INCH = 160
WIDTH = 10.0
"""Of a whole drawing, in inches; a page on the screen has a little more."""

MOST_CHARACTERS = 28
"""Longer names are cut in the middle."""

EAST_ASIAN_FONTS = ("Noto Sans CJK JP", "IPAexGothic", "Hiragino Sans", "Yu Gothic", "MS Gothic")
"""Tried after the default font, which has no glyphs for failure modes in these scripts."""

_SETTINGS: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,
    "figure.facecolor": "white",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawing of a report.

    Attributes
    ----------
    name : text
        Of its file, without the ending.
    png : bytes
    alt : text
        What it shows, for who cannot see it.
    caption : text
        How to read it.
    """

    name: str
    png: bytes
    alt: str
    caption: str


@contextmanager
def drawn_like_this() -> Iterator[None]:
    """Draw in the style of a report meanwhile; matplotlib's settings are as before afterwards."""
    installed = set(get_font_names())
    families = ["DejaVu Sans", *(font for font in EAST_ASIAN_FONTS if font in installed)]
    with mpl.rc_context({**_SETTINGS, "font.family": families}), warnings.catch_warnings():
        # A glyph that no font has is drawn as a box; the drawing is still worth having.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def panels(n_panels: int, height: float, *, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many inches with panels side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, n_panels, squeeze=False)[0])


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def point_style(place: int) -> tuple[str, str]:
    """Return colour and marker of the class at a place in a legend."""
    return CYCLE[place % len(CYCLE)], MARKERS[place % len(MARKERS)]


def in_percent(value: float, _: object) -> str:
    """Return a share as the text of a tick."""
    return f"{100 * value:g} %"


def counted(value: float, _: object) -> str:
    """Return a count as the text of a tick."""
    return f"{value:,.0f}"


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text that is not too long for a tick: what is missing is missing in the middle.

    Halves of characters, which no font can draw, become question marks.
    """
    text = text.encode(errors="replace").decode()
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[: half - 1]}…{text[-half:]}"
