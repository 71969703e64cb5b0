"""Tables of presets and of evaluations, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from miwake.training.grids import Grid
    from miwake.training.presets import Preset


def preset_table(presets: Iterable[Preset], default: str) -> Table:
    """Return what each preset is and where it comes from."""
    table = Table("preset", "what it is", "where it comes from", show_lines=True)
    for preset in presets:
        name = f"{preset.name} (default)" if preset.name == default else preset.name
        table.add_row(name, preset.summary, preset.origin)
    return table


def evaluation_table(grid: Grid) -> Table:
    """Return a table of an evaluation for the terminal."""
    table = Table(*grid.names, title=grid.title, caption=grid.caption)
    for row in grid.rows:
        table.add_row(*row)
    return table
