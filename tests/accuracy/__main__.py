"""``python -m accuracy``, which ``make accuracy`` calls: what the default preset is worth, into one file of figures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from accuracy.cells import data_sets, plan
from accuracy.summary import lines, summarise
from support.data import DEFAULT_FOLDER, VARIABLE

if TYPE_CHECKING:
    from accuracy.cells import Cell

app = typer.Typer(add_completion=False)


@app.command()
def accuracy(
    data: Annotated[list[str] | None, typer.Argument(help="Names of data sets, as deeppcb; by default all.")] = None,
    out: Annotated[Path, typer.Option(help="The file of figures; cells are kept in the folder of that name.")] = Path(
        "build/accuracy.json"
    ),
    preset: Annotated[str, typer.Option(help="A name from `miwake-train presets`.")] = "best",
    overrides: Annotated[list[str] | None, typer.Option("--set", help="As of `miwake-train fit`.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Cells at once; with several, each trains with one thread.")] = 1,
) -> None:
    """Train, index and ask the held-out rows of each data set; what was computed before is not computed again."""
    from accuracy.computing import compute  # noqa: PLC0415
    from miwake.training import presets  # noqa: PLC0415 - it loads torch

    folder = Path(os.environ.get(VARIABLE) or DEFAULT_FOLDER)
    try:
        known, asked = data_sets(folder), data_sets(folder, data or ())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    chosen = presets.preset(preset, [*(overrides or ()), *(("threads=1",) if jobs > 1 else ())])
    cells = {name: plan(name, path, seeds) for name, path in known.items()}
    wanted = [cell for name in asked for cell in cells[name]]
    figures = compute([cell for of in cells.values() for cell in of], wanted, chosen, out.with_suffix(""), jobs)
    summary = {name: summarise(*sides(of, figures)) for name, of in cells.items() if all(one in figures for one in of)}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    output = Console(highlight=False, soft_wrap=True)
    for line in lines(summary):
        output.print(line)
    output.print(f"written to {out}")


def sides(cells: list[Cell], figures: dict[Cell, dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return the figures of a data set's answers, and of its left-out classes."""
    return (
        [figures[cell] for cell in cells if cell.left_out is None],
        [figures[cell] for cell in cells if cell.left_out is not None],
    )


if __name__ == "__main__":
    app()
