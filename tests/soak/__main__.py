"""``python -m soak``, which ``make soak`` calls: minutes of ill treatment of the service, into a file of counts."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from soak.parts import Found
    from soak.world import World

NAMES = ("reloads", "cuts", "stops", "hostile", "memory")
TABLE_WIDTH = 160

app = typer.Typer(add_completion=False)


@app.command()
def soak(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(NAMES)}; by default all.")] = None,
    short: Annotated[bool, typer.Option("--short", help="A tenth of each, or less.")] = False,
    out: Annotated[Path, typer.Option(help="The file to write; parts that are not run keep what is in it.")] = Path(
        "build/soak.json"
    ),
) -> None:
    """Treat a server ill and count what its callers suffered; status 1 if anything, or if a control saw nothing."""
    from soak.world import make_world  # noqa: PLC0415 - loads numpy and FAISS
    from support.serving import build_small_station  # noqa: PLC0415 - likewise

    chosen = parts or list(NAMES)
    for name in chosen:
        if name not in NAMES:
            message = f"part {name!r}: expected one of {', '.join(NAMES)}"
            raise typer.BadParameter(message)
    log = Console(stderr=True, highlight=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    report = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"parts": {}}
    report["machine"] = {"cores": os.cpu_count(), "python": platform.python_version()}
    are_good = True
    for name in chosen:
        # Each part has a station of its own, on the disk where the repository lies: /tmp may be memory.
        with tempfile.TemporaryDirectory(dir=out.parent, prefix="soak-") as name_of_folder:
            folder = Path(name_of_folder).resolve()
            world = make_world(folder, build_small_station(folder / "small"))
            begin = time.perf_counter()
            found = _parts(short=short)[name](world)
            seconds = time.perf_counter() - begin
        log.print(f"soak: {name}: {found.n} in {seconds:.0f} s, {_verdict(is_good=found.is_good)}")
        for problem in (*found.broken, *found.details, *(f"control: {harm} is not seen" for harm in found.unseen)):
            log.print(f"soak: {name}: {problem}", markup=False)
        report["parts"][name] = _told(found, seconds)
        out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        are_good &= found.is_good
    Console(highlight=False, width=TABLE_WIDTH).print(_table(report["parts"]))
    raise typer.Exit(0 if are_good else 1)


def _parts(*, short: bool) -> Mapping[str, Callable[[World], Found]]:
    from soak.cuts import cut_streams  # noqa: PLC0415 - heavy, as above
    from soak.hostile import Crowd, serve_beside  # noqa: PLC0415
    from soak.memory import grow  # noqa: PLC0415
    from soak.reloads import reload_under_load  # noqa: PLC0415
    from soak.stops import stop_under_load  # noqa: PLC0415

    crowd = Crowd(n_idle=200, n_deaf=20, huge_mb=20, n_messages=200) if short else Crowd()
    return {
        "reloads": lambda world: reload_under_load(world, 20 if short else 200),
        "cuts": lambda world: cut_streams(world, 20 if short else 200),
        "stops": lambda world: stop_under_load(world, 3 if short else 30),
        "hostile": lambda world: serve_beside(world, crowd),
        "memory": lambda world: grow(world, 10_000 if short else 100_000, 100_000 if short else 1_000_000),
    }


def _verdict(*, is_good: bool) -> str:
    return "good" if is_good else "BAD"


def _told(found: Found, seconds: float) -> dict[str, Any]:
    return {
        "n": found.n,
        "n_answers": found.n_answers,
        "harm": dict(found.harm),
        "unseen_by_the_control": found.unseen,
        "figures": {name: float(f"{value:.4g}") for name, value in found.figures.items()},
        "broken": found.broken,
        "is_good": found.is_good,
        "seconds": round(seconds, 1),
    }


def _table(parts: dict[str, Any]) -> Table:
    table = Table(*(Column(name, no_wrap=True) for name in ("part", "n", "answers", "harm", "figures", "s", "")))
    for name, told in parts.items():
        harm = ", ".join(f"{count} {kind}" for kind, count in told["harm"].items()) or "0"
        figures = ", ".join(f"{key} {value:g}" for key, value in told["figures"].items())
        counts = (told["n"], told["n_answers"], harm, figures, round(told["seconds"]))
        table.add_row(name, *map(str, counts), _verdict(is_good=told["is_good"]))
    return table


if __name__ == "__main__":
    app()
