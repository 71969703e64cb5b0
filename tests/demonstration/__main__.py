"""``python -m demonstration``, which ``make demo`` calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(add_completion=False)


@app.command()
def demonstrate(
    data: Annotated[str, typer.Option(help="What miwake-train and miwake-index take, or synthetic.")] = "synthetic",
    preset: Annotated[str | None, typer.Option(help="A name from `miwake-train presets`.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training budget; by default the preset's.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="name=value for one setting of the preset; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    folder: Annotated[Path, typer.Option(help="Where everything goes; emptied first.")] = Path("demo"),
) -> None:
    """Train an embedder, build an index, serve it, stream the held-out parts through it, and show what came of it."""
    log = Console(stderr=True, highlight=False)
    from demonstration import run, summary  # noqa: PLC0415 - heavy; `--help` is instant
    from demonstration.processes import StepError, leave_on_signals  # noqa: PLC0415

    leave_on_signals()
    settings = run.Settings(
        data=data, folder=folder, preset=preset, steps=steps, overrides=tuple(overrides or ()), seed=seed
    )
    try:
        found = run.run(settings, log)
    except StepError as error:
        log.print(f"demo: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        log.print("demo: interrupted")
        raise typer.Exit(130) from None
    output = Console()
    output.print(summary.table(found))
    left = (folder / "summary.json", folder / "pictures", folder / "report" / "report.html")
    output.print(", ".join(str(path) for path in left), soft_wrap=True)


if __name__ == "__main__":
    app()
