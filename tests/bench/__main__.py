"""``python -m bench``, which ``make bench`` calls: each section in turn, into one file of ratios."""

from __future__ import annotations

import importlib
import json
import os
import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

SECTIONS = {
    "soart3": "bench.soart3",
    "search": "bench.search",
    "build": "bench.build",
    "service": "bench.service.section",
    "workers": "bench.workers",
    "hostile": "bench.hostile.section",
    "store": "bench.store",
    "health": "bench.health",
    "embedder": "bench.embedder",
}
"""Name in the file → module with a function ``measure`` that returns what it found by name: numbers, or why there are
none."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Read by the libraries when they are loaded, which only the sections do: all figures are for one core."""

app = typer.Typer(add_completion=False)


@app.command()
def bench(
    sections: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SECTIONS)}; by default all.")] = None,
    out: Annotated[Path, typer.Option(help="The file to write, by section; what it has of others stays.")] = Path(
        "build/bench.json"
    ),
) -> None:
    """Measure ratios against slow twins, both sides in turn in one run."""
    log = Console(stderr=True, highlight=False)
    chosen = sections or list(SECTIONS)
    for name in chosen:
        if name not in SECTIONS:
            message = f"section {name!r}: expected one of {', '.join(SECTIONS)}"
            raise typer.BadParameter(message)
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    found = _kept(out) | {"machine": _machine()}
    for name in chosen:
        log.print(f"bench: {name} …")
        measured = importlib.import_module(SECTIONS[name]).measure()
        found[name] = {key: _rounded(value) for key, value in measured.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    output = Console(highlight=False)
    for name in chosen:
        for key, value in found[name].items():
            output.print(f"{name}.{key:<24} {value if isinstance(value, str) else f'{value:g}'}")
    log.print(f"bench: written to {out}", soft_wrap=True)


def _rounded(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(f"{value:.4g}")


def _kept(path: Path) -> dict[str, dict[str, float | str]]:
    """Return what a file has of earlier runs; nothing where there is none."""
    kept: dict[str, dict[str, float | str]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: section for name, section in kept.items() if name in SECTIONS}


def _machine() -> dict[str, float | str]:
    """Return what the figures depend on."""
    names = [line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
    }


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    app()
