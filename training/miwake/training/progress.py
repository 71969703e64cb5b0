"""Showing where a training run stands: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from miwake.training.fitted import Standing


@contextmanager
def shown_on(console: Console) -> Iterator[Callable[[Standing], None]]:
    """Yield a function that shows how a run stands on ``console``."""
    if not console.is_terminal:
        yield lambda standing: _line(console, standing)
        return
    columns = (
        TextColumn("fitting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")

        def show(standing: Standing) -> None:
            bar.update(task, completed=standing.step, total=standing.n_steps, description=f"loss {standing.loss:.3f}")
            _line(console, standing)

        yield show


def _line(console: Console, standing: Standing) -> None:
    """Print one line for each validation."""
    if standing.score is None:
        if standing.is_validation:
            console.print(f"step {standing.step}/{standing.n_steps}  loss {standing.loss:.4f}", highlight=False)
        return
    console.print(
        f"step {standing.step}/{standing.n_steps}  loss {standing.loss:.4f}  calibration parts: accuracy "
        f"{standing.score.accuracy:.4f}, balanced {standing.score.balanced_accuracy:.4f}",
        highlight=False,
    )
