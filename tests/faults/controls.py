"""Negative controls: the same work done carelessly, so that a campaign which does not notice is no evidence.

They run in processes of their own, which end with them; only functions of ``os`` are replaced, none of ours.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from faults.scenarios import SCRIPTS, Acknowledge, draw_changes, perform
from faults.steps import LINE
from faults.world import World, look_at
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from pathlib import Path

N_CHANGES = 8
PRAGMAS = {
    "synchronous OFF": ("PRAGMA synchronous = OFF",),
    "rollback journal, synchronous FULL": ("PRAGMA synchronous = FULL",),
    "WAL, synchronous NORMAL": ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"),
}
"""Settings of SQLite that lose what they have acknowledged when the power is cut."""

WITHOUT_SYNC = "publishing without a sync"
POWER_CUT_CONTROLS = (*PRAGMAS, WITHOUT_SYNC)
PERFORM_CARELESSLY = "faults.controls:perform_carelessly"
TOO_EARLY = "acknowledged too early"


def script_of(control: str) -> str:
    """Return the script whose steps a control does carelessly."""
    return "publishing" if control == WITHOUT_SYNC else "changing"


def perform_carelessly(control: str, root: Path, seed: int, acknowledge: Acknowledge) -> None:
    """Do what a script does without what makes it safe."""
    world = World(stations={LINE: look_at(root / LINE)})
    if control == WITHOUT_SYNC:
        os.fsync = lambda _: None  # type: ignore[assignment]
        perform(script_of(control), root, seed, acknowledge)
    elif control == TOO_EARLY:
        for number, step in enumerate(SCRIPTS[script_of(control)](world, seed)):
            acknowledge(str(number))
            step.do(root)
    else:
        steps = draw_changes(world, seed, N_CHANGES)
        with ReferenceStore.open(root / LINE) as store:
            for pragma in PRAGMAS[control]:
                store._connection.execute(pragma)
            for number, step in enumerate(steps):
                step.change(store)
                acknowledge(str(number))
