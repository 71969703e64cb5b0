"""Showing where a build stands on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.progress import Progress

LEAST_FOR_LINES = 10_000
"""Fewer references are embedded before anybody has read a line about it."""

N_LINES = 10


class Shown(Protocol):
    """What a build tells where it stands."""

    def report(self, what: str) -> None:
        """Tell what is being done."""

    def advance(self, done: int, total: int) -> None:
        """Tell how many references of how many are done."""


@contextmanager
def shown_on(console: Console) -> Iterator[Shown]:
    """Yield what shows a build on ``console``: lines, and on a terminal a bar below them."""
    if not console.is_terminal:
        yield Lines(console)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(console, progress)


class Lines:
    """Plain lines: each step, and every tenth of many references."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0

    def report(self, what: str) -> None:
        """Print a line."""
        self._told = 0
        _line(self._console, what)

    def advance(self, done: int, total: int) -> None:
        """Print a line whenever another tenth is done."""
        tenth = done * N_LINES // total
        if total >= LEAST_FOR_LINES and self._told < tenth < N_LINES:
            self._told = tenth
            _line(self._console, f"  {done} of {total}")


class Bar:
    """Lines for the steps, and a bar while references are embedded."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._task = progress.add_task("", total=None, visible=False)

    def report(self, what: str) -> None:
        """Print a line above the bar."""
        _line(self._console, what)

    def advance(self, done: int, total: int) -> None:
        """Move the bar, and take it away at its end."""
        self._progress.update(self._task, completed=done, total=total, visible=done < total)


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
