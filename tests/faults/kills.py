"""Kills at fail points: before, in the middle of and after every kind of operation on every kind of file."""

from __future__ import annotations

import shutil
from collections import defaultdict
from typing import TYPE_CHECKING

from faults.outcome import Outcome
from faults.recording import Kind, marks
from faults.scenarios import GROUP_COMMIT, SCRIPTS, check, go_on

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from faults.recording import Operation
    from faults.world import World
    from faults.zygote import Zygote

SCENARIOS = (*SCRIPTS, GROUP_COMMIT)


def kill_at_fail_points(
    zygote: Zygote, base: Path, before: World, folder: Path, n_kills: int, rng: np.random.Generator
) -> Outcome:
    """Kill processes at their fail points, scenario by scenario, and check what they leave.

    Every kind of fail point of a scenario has its turn before one has its second.
    """
    outcome = Outcome()
    points = {one: _fail_points(zygote, one, base, folder) for one in SCENARIOS}
    for number in range(n_kills):
        scenario = SCENARIOS[number % len(SCENARIOS)]
        kinds = points[scenario]
        name = list(kinds)[number // len(SCENARIOS) % len(kinds)]
        operation = kinds[name][int(rng.integers(len(kinds[name])))]
        in_the_middle = operation.kind is Kind.WRITE and bool(rng.random() < 0.5)
        root = shutil.copytree(base, folder / "root")
        run = zygote.run(scenario, root, 0, kill_at=operation.number, in_the_middle=in_the_middle)
        what = f"{scenario}, killed {'in the middle of' if in_the_middle else 'before'} {operation.number}: {name}"
        with outcome.judging(what, scenario):
            assert run.status in (0, -9), f"status {run.status}"
            assert run.was_killed or scenario == GROUP_COMMIT, "nobody was killed"
            reached = check(scenario, root, before, 0, marks(run.operations))
            go_on(scenario, root, before, 0, reached)
        shutil.rmtree(root)
    return outcome


def _fail_points(zygote: Zygote, scenario: str, base: Path, folder: Path) -> dict[str, list[Operation]]:
    root = shutil.copytree(base, folder / "root")
    run = zygote.run(scenario, root, 0)
    assert run.status == 0, f"{scenario}: status {run.status}"
    shutil.rmtree(root)
    found: dict[str, list[Operation]] = defaultdict(list)
    for one in run.operations:
        if one.kind is not Kind.MARK:
            found[one.fail_point].append(one)
    return dict(found)
