"""One section of a report as it grows: its HTML, and the pictures in it for files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miwake.indexer.telling import pages
from miwake.training.report.drawing import DOTS_PER_INCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.training.grids import Grid
    from miwake.training.report.drawing import Drawing
    from miwake.training.report.picture_rows import MapRow


class Section:
    """A section with a name for links and a title.

    Attributes
    ----------
    pictures : by the name of a file without its ending, PNG
    """

    def __init__(self, name: str, title: str, *, on_new_page: bool = False) -> None:
        self.name, self.title = name, title
        self.pictures: dict[str, bytes] = {}
        self._on_new_page = on_new_page
        self._bodies: list[str] = []

    def say(self, text: str) -> None:
        """Add a paragraph."""
        self._bodies.append(pages.paragraph(text))

    def note(self, text: str) -> None:
        """Add a remark about what stands above, where there is any."""
        if text:
            self._bodies.append(pages.paragraph(text, is_note=True))

    def head(self, text: str) -> None:
        """Add a heading below that of the section."""
        self._bodies.append(pages.subheading(text))

    def add(self, html: str) -> None:
        """Add HTML as it is."""
        self._bodies.append(html)

    def draw(self, drawing: Drawing | None, *, or_else: str = "") -> None:
        """Add a drawing, or say why there is none."""
        if drawing is None:
            self.say(or_else)
            return
        self.pictures[drawing.name] = drawing.png
        self.add(pages.drawing(drawing.png, alt=drawing.alt, caption=drawing.caption, dots_per_inch=DOTS_PER_INCH))

    def tabulate(self, grid: Grid, *, n_texts: int = 1) -> None:
        """Add a table, and its caption as a remark."""
        self.add(pages.table(grid.names, grid.rows, n_texts=n_texts))
        self.note(grid.caption)

    def show(self, rows: Sequence[MapRow]) -> None:
        """Add rows of heat maps, each with its own HTML."""
        for row in rows:
            self.add(row.html)
            self.pictures[row.name] = row.png()

    def html(self) -> str:
        """Return the whole section."""
        return pages.section(self.name, self.title, *self._bodies, on_new_page=self._on_new_page)
