"""``python -m faults.writer ROOT SEED``: changes, publishes and rolls back a station until its standard input ends."""

from __future__ import annotations

import select
import sys
from pathlib import Path

import numpy as np

from faults.scenarios import draw_changes
from faults.steps import LINE
from faults.world import World, look_at
from miwake.indexer.build import rebuild
from miwake.indexer.building.build_settings import BuildSettings
from miwake.indexer.opening import roll_back
from miwake.indexer.storage.station import StationFolder

CHANGES_A_ROUND = 10
EVERYTHING = BuildSettings(n_candidates=10_000)
"""All references are candidates: whoever searches by hand needs no candidate stage."""


def write(root: Path, seed: int) -> None:
    """Change the references time after time, and now and then publish, or roll back."""
    rng = np.random.default_rng(seed)
    station = StationFolder(root / LINE)
    world = World(stations={LINE: look_at(root / LINE)})
    sys.stdout.write("writing\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0)[0]:
        for step in draw_changes(world, int(rng.integers(2**31)), CHANGES_A_ROUND):
            step.do(root)
            world = step.then(world)
        if rng.random() < 0.25:
            roll_back(station.path)
        else:
            rebuild(station, settings=EVERYTHING)


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
