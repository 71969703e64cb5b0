"""``python -m demonstration``, which ``make demo`` calls."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from types import FrameType

app = typer.Typer(add_completion=False)


@app.command()
def demonstrate(
    data: Annotated[str, typer.Option(help="What miwake-train and miwake-index take, or synthetic.")] = "synthetic",
    preset: Annotated[str | None, typer.Option(help="A name from `miwake-train presets`.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training budget; by default the preset's.")] = None,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    folder: Annotated[Path, typer.Option(help="Where everything goes; emptied first.")] = Path("demo"),
) -> None:
    """Train an embedder, build an index, serve it, stream the held-out parts through it, and show what came of it."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _leave)
    log = Console(stderr=True, highlight=False)
    from demonstration import run, summary  # noqa: PLC0415 - heavy; `--help` is instant
    from demonstration.processes import StepError  # noqa: PLC0415

    settings = run.Settings(data=data, folder=folder, preset=preset, steps=steps, seed=seed)
    try:
        found = run.run(settings, log)
    except StepError as error:
        log.print(f"demo: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    output = Console()
    output.print(summary.table(found))
    output.print(f"{folder / 'summary.json'} and {folder / 'pictures'}", soft_wrap=True)


def _leave(number: int, _frame: FrameType | None) -> None:
    """Unwind, so that the server is stopped on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    app()
