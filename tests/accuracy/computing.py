"""Computing the cells that are not there yet, each in a process of its own, and keeping them as they are done."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from rich.console import Console

from accuracy.cells import keep, kept, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from accuracy.cells import Cell
    from miwake.training.fitted import Standing
    from miwake.training.presets import Preset

log = Console(stderr=True, highlight=False, soft_wrap=True)


def compute(
    cells: Sequence[Cell], wanted: Sequence[Cell], preset: Preset, folder: Path, n_jobs: int
) -> dict[Cell, dict[str, Any]]:
    """Return the figures of those cells that are kept in ``folder``, and of those that are wanted."""
    keys = {cell: key_of(cell, preset) for cell in cells}
    there = {cell: kept(_path(folder, cell), key) for cell, key in keys.items()}
    figures = {cell: one for cell, one in there.items() if one is not None}
    missing = sorted((cell for cell in wanted if cell not in figures), key=lambda cell: cell.left_out is not None)
    log.print(f"accuracy: {len(wanted) - len(missing)} of {len(wanted)} cells are there, {len(missing)} to compute")
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(measured, cell, preset, folder / cell.name): cell for cell in missing}
        for n_done, done in enumerate(as_completed(running), start=1):
            cell = running[done]
            figures[cell] = done.result()
            keep(_path(folder, cell), keys[cell], figures[cell])
            told = ", ".join(f"{name} {one:.4g}" for name, one in figures[cell].items() if isinstance(one, float))
            log.print(f"accuracy: {cell.name} ({n_done} of {len(missing)}): {told}")
    return figures


def measured(cell: Cell, preset: Preset, folder: Path) -> dict[str, Any]:
    """Return the figures of a cell, telling how its training stands; its embedder is kept in ``folder``."""
    from accuracy.measuring import measure  # noqa: PLC0415 - heavy, and only its own process needs it

    def report(standing: Standing) -> None:
        if standing.is_validation:
            told = "" if standing.score is None else f", {standing.score.value:.4f} on the calibration parts"
            log.print(f"{cell.name}: step {standing.step} of {standing.n_steps}{told}")

    return measure(cell, preset, folder, report)


def _path(folder: Path, cell: Cell) -> Path:
    return folder / f"{cell.name}.json"
