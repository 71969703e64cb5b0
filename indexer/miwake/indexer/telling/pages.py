"""What HTML pages of this product share: they open offline, fetch and run nothing, print, and escape what they show."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from miwake.indexer.telling.pictures import data_uri

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #1b1b1b;
  background: #fff; }}
h1 {{ font-size: 1.5em; }} h2 {{ font-size: 1.2em; margin-top: 2em; }}
table {{ border-collapse: collapse; margin: 0.6em 0; }}
th, td {{ text-align: left; padding: 0.25em 0.8em; border-bottom: 1px solid #d5d5d5; vertical-align: top; }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.card {{ border: 1px solid #c8c8c8; border-radius: 6px; padding: 0.6em 1em; margin: 1em 0; break-inside: avoid; }}
.card.alarm {{ border-left: 8px solid #b35806; }}
.card h3 {{ font-size: 1em; margin: 0 0 0.4em; }}
.maps {{ display: flex; flex-wrap: wrap; gap: 1em; }}
figure {{ margin: 0; max-width: 15em; }}
figure img {{ width: 13em; image-rendering: pixelated; border: 1px solid #888; }}
figcaption {{ font-size: 0.87em; overflow-wrap: anywhere; }}
.note {{ color: #444; }}
</style>
</head>
<body>
"""


END = "</body>\n</html>\n"


def head(title: str) -> str:
    """Return the beginning of a page, up to its heading."""
    return _HEAD.format(title=escape(title)) + f"<h1>{escape(title)}</h1>\n"


def figure(name: str, png: bytes, captions: Iterable[str]) -> str:
    """Return a picture of a heat map with its name and lines of text below."""
    lines = "<br>".join(f"<bdi>{escape(line)}</bdi>" for line in captions)
    return (
        f'<figure><img src="{data_uri(png)}" alt="heat map: {escape(name)}">'
        f"<figcaption><b>{escape(name)}</b><br>{lines}</figcaption></figure>\n"
    )


def table(names: Sequence[str], rows: Iterable[Sequence[str]], *, n_texts: int | None = None) -> str:
    """Return a table; the columns from ``n_texts`` on hold numbers, none by default."""

    def cells(tag: str, values: Sequence[str]) -> str:
        kinds = ["" if n_texts is None or place < n_texts else ' class="number"' for place in range(len(values))]
        return "".join(
            f"<{tag}{kind}><bdi>{escape(value)}</bdi></{tag}>" for kind, value in zip(kinds, values, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows)
    return f"<table>\n<tr>{cells('th', names)}</tr>\n{body}</table>\n"
