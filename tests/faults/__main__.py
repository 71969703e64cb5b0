"""``python -m faults``, which ``make faults`` calls: every campaign in full, a table, and one file of counts."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from faults.campaign import Row

TABLE_WIDTH = 100
CAMPAIGNS = ("kills", "power_cuts", "damage", "searchers")

app = typer.Typer(add_completion=False)


@app.command()
def faults(
    campaigns: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(CAMPAIGNS)}; by default all.")] = None,
    short: Annotated[bool, typer.Option("--short", help="As much as the tests do.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("build/faults.json"),
) -> None:
    """Inject faults into a station, and count what was lost; status 1 if anything was, or if a control saw nothing."""
    from faults.campaign import FULL, SHORT, Campaign  # noqa: PLC0415 - loads numpy and FAISS

    chosen = campaigns or list(CAMPAIGNS)
    for name in chosen:
        if name not in CAMPAIGNS:
            message = f"campaign {name!r}: expected one of {', '.join(CAMPAIGNS)}"
            raise typer.BadParameter(message)
    log = Console(stderr=True, highlight=False)
    rows: list[Row] = []
    # On the disk where the repository lies: /tmp may be memory.
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=out.parent) as folder,
        Campaign(Path(folder).resolve(), SHORT if short else FULL, seed=seed) as campaign,
    ):
        for name in chosen:
            for row in getattr(campaign, name)():
                log.print(f"faults: {row.name}: {row.outcome.n} in {row.seconds:.0f} s, {_verdict(row)}")
                if not row.is_good:
                    log.print("\n".join(row.outcome.details), markup=False)
                rows.append(row)
    out.write_text(json.dumps(_report(rows, seed=seed), indent=2) + "\n", encoding="utf-8")
    Console(highlight=False, width=TABLE_WIDTH).print(_table(rows))
    raise typer.Exit(0 if all(row.is_good for row in rows) else 1)


def _verdict(row: Row) -> str:
    return "good" if row.is_good else "BAD"


def _table(rows: list[Row]) -> Table:
    table = Table(
        *(Column(name, no_wrap=True) for name in ("campaign", "faults", "lost, wrong", "failed opens", "s", ""))
    )
    for row in rows:
        outcome = row.outcome
        counts = (outcome.n, outcome.lost, outcome.failed_opens, round(row.seconds))
        table.add_row(row.name, *map(str, counts), _verdict(row))
    return table


def _report(rows: list[Row], *, seed: int) -> dict[str, Any]:
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    return {
        "machine": machine,
        "seed": seed,
        "campaigns": {
            row.name: {
                "n": row.outcome.n,
                "lost_or_wrong": row.outcome.lost,
                "failed_opens": row.outcome.failed_opens,
                "is_control": row.is_control,
                "is_good": row.is_good,
                "seconds": round(row.seconds, 1),
                "by_kind": dict(row.outcome.by_kind),
            }
            for row in rows
        },
    }


if __name__ == "__main__":
    app()
