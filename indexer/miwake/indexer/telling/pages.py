"""What HTML pages of this product share: they open offline, fetch and run nothing, print, and escape what they show."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from miwake.indexer.errors import DataError
from miwake.indexer.storage.files import write_durably
from miwake.indexer.telling.page_style import STYLE
from miwake.indexer.telling.pictures import data_uri, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<h1>{title}</h1>
"""

END = "</body>\n</html>\n"

DOTS_PER_CSS_INCH = 96
"""What browsers take an inch for."""

WHOLE_WIDTH = 10 * DOTS_PER_CSS_INCH
"""Of a drawing that takes the whole width of a printed page."""


@dataclass(frozen=True, slots=True)
class MapFigure:
    """A heat map to be shown: its name, its picture with one pixel a value, and lines of text below."""

    name: str
    png: bytes
    captions: Sequence[str] = ()


def write(path: Path, text: str) -> None:
    """Write a page durably, whole or not at all, into a folder that is made where it is missing.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write what belongs to a page as ``write`` does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content)
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}"
        raise DataError(message) from error


def head(title: str) -> str:
    """Return the beginning of a page, up to its heading."""
    return _HEAD.format(title=escape(title), style=STYLE)


def contents(sections: Sequence[tuple[str, str]]) -> str:
    """Return a table of contents of sections, each a name for links and a title."""
    items = "".join(f'<li><a href="#{escape(name)}">{escape(title)}</a></li>\n' for name, title in sections)
    return f'<nav class="contents" aria-label="Contents">\n<ol>\n{items}</ol>\n</nav>\n'


def section(name: str, title: str, *bodies: str, on_new_page: bool = False) -> str:
    """Return a section that ``contents`` can lead to; printed, it may begin a page."""
    kind = ' class="new-page"' if on_new_page else ""
    return f'<section id="{escape(name)}"{kind}>\n<h2>{escape(title)}</h2>\n{"".join(bodies)}</section>\n'


def paragraph(text: str, *, is_note: bool = False) -> str:
    """Return a paragraph; a note is a remark about what stands above it."""
    kind = ' class="note"' if is_note else ""
    return f"<p{kind}>{escape(text)}</p>\n"


def subheading(text: str) -> str:
    """Return a heading within a section."""
    return f"<h3>{escape(text)}</h3>\n"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names with their values, one below the other."""
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>\n' for name, value in pairs)
    return f'<table class="facts">\n<tbody>\n{rows}</tbody>\n</table>\n'


def tiles(figures: Iterable[tuple[str, str, str]]) -> str:
    """Return key figures side by side: for each its name, its value, and a line about it."""
    shown = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd><span class="value">{escape(value)}</span>'
        f'<span class="detail">{escape(detail)}</span></dd></div>\n'
        for name, value, detail in figures
    )
    return f'<dl class="tiles">\n{shown}</dl>\n'


def figure(one: MapFigure) -> str:
    """Return a picture of a heat map with its name and lines of text below."""
    lines = "<br>".join(f"<bdi>{escape(line)}</bdi>" for line in one.captions)
    return (
        f'<figure class="map"><img src="{data_uri(one.png)}" alt="heat map: {escape(one.name)}">'
        f"<figcaption><b>{escape(one.name)}</b><br>{lines}</figcaption></figure>\n"
    )


def maps(figures: Iterable[MapFigure]) -> str:
    """Return heat maps side by side."""
    return f'<div class="maps">\n{"".join(figure(one) for one in figures)}</div>\n'


def card(heading: str, lines: Sequence[str], figures: Iterable[MapFigure], *, is_alarm: bool = False) -> str:
    """Return one case: a heading and lines of HTML, and heat maps side by side."""
    kind = "card alarm" if is_alarm else "card"
    return (
        f'<section class="{kind}">\n<h3>{heading}</h3>\n<p>'
        + "<br>\n".join(lines)
        + f"</p>\n{maps(figures)}</section>\n"
    )


def drawing(png: bytes, *, alt: str, caption: str, dots_per_inch: int) -> str:
    """Return a drawing in its own size, or as wide as the page where that is less, with a caption below.

    In print all drawings are scaled alike, so that their letters are of one size.
    """
    width, height = (round(dots * DOTS_PER_CSS_INCH / dots_per_inch) for dots in size_of(png))
    share = min(width / WHOLE_WIDTH, 1.0)
    return (
        f'<figure class="drawing"><img src="{data_uri(png)}" alt="{escape(alt)}" width="{width}" height="{height}" '
        f'style="--share:{share:.3f}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>\n"
    )


def table(names: Sequence[str], rows: Iterable[Sequence[str]], *, n_texts: int | None = None) -> str:
    """Return a table; the columns from ``n_texts`` on hold numbers, none by default.

    A number stays on one line with its unit, and an interval with its ends.
    """

    def cell(tag: str, scope: str, place: int, value: str) -> str:
        if n_texts is None or place < n_texts:
            return f"<{tag}{scope}><bdi>{escape(value)}</bdi></{tag}>"
        unbroken = value.replace(" %", "\N{NO-BREAK SPACE}%").replace(" … ", "\N{NO-BREAK SPACE}…\N{NO-BREAK SPACE}")
        return f'<{tag}{scope} class="number"><bdi>{escape(unbroken)}</bdi></{tag}>'

    def cells(tag: str, values: Sequence[str], scope: str = "") -> str:
        return "".join(cell(tag, scope, place, value) for place, value in enumerate(values))

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    header = cells("th", names, ' scope="col"')
    return f'<div class="wide"><table>\n<thead><tr>{header}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'
