"""Kills at fail points: before, in the middle of and after every kind of operation on every kind of file."""

from __future__ import annotations

import shutil
from collections import defaultdict
from typing import TYPE_CHECKING

from faults.controls import PERFORM_CARELESSLY, TOO_EARLY, script_of
from faults.outcome import Outcome
from faults.recording import Kind, marks
from faults.scenarios import GROUP_COMMIT, SCRIPTS, check, go_on

if TYPE_CHECKING:
    import numpy as np

    from faults.recording import Operation
    from faults.zygote import Bench

SCENARIOS = (*SCRIPTS, GROUP_COMMIT)


def kill_at_fail_points(bench: Bench, n_kills: int, rng: np.random.Generator) -> Outcome:
    """Kill processes at their fail points, scenario by scenario, and check what they leave; then go on from there.

    Every kind of fail point of a scenario has its turn before one has its second.
    """
    outcome = Outcome()
    points = {one: _fail_points(bench, one) for one in SCENARIOS}
    for number in range(n_kills):
        scenario = SCENARIOS[number % len(SCENARIOS)]
        kinds = points[scenario]
        name = list(kinds)[number // len(SCENARIOS) % len(kinds)]
        operation = kinds[name][int(rng.integers(len(kinds[name])))]
        in_the_middle = operation.kind is Kind.WRITE and bool(rng.random() < 0.5)
        root = shutil.copytree(bench.base, bench.folder / "root")
        run = bench.zygote.run(scenario, root, 0, kill_at=operation.number, in_the_middle=in_the_middle)
        what = f"{scenario}, killed {'in the middle of' if in_the_middle else 'before'} {operation.number}: {name}"
        with outcome.judging(what, scenario):
            assert run.status in (0, -9), f"status {run.status}"
            assert run.was_killed or scenario == GROUP_COMMIT, "nobody was killed"
            reached = check(scenario, root, bench.before, 0, marks(run.operations))
            go_on(scenario, root, bench.before, 0, reached)
        shutil.rmtree(root)
    return outcome


def _fail_points(bench: Bench, scenario: str) -> dict[str, list[Operation]]:
    root = shutil.copytree(bench.base, bench.folder / "root")
    run = bench.zygote.run(scenario, root, 0)
    assert run.status == 0, f"{scenario}: status {run.status}"
    shutil.rmtree(root)
    found: dict[str, list[Operation]] = defaultdict(list)
    for one in run.operations:
        if one.kind is not Kind.MARK:
            found[one.fail_point].append(one)
    return dict(found)


def kill_who_acknowledges_too_early(
    bench: Bench, n_kills: int, rng: np.random.Generator, *, stops_at_harm: bool
) -> Outcome:
    """Kill processes that acknowledge before they have done it: a negative control, which must find losses."""
    outcome = Outcome()
    scenario = script_of(TOO_EARLY)
    n_operations = sum(len(one) for one in _fail_points(bench, scenario).values())
    for _ in range(n_kills):
        root = shutil.copytree(bench.base, bench.folder / "root")
        kill_at = int(rng.integers(1, n_operations + 1))
        run = bench.zygote.run(TOO_EARLY, root, 0, kill_at=kill_at, function=PERFORM_CARELESSLY)
        with outcome.judging(f"killed at {kill_at}", TOO_EARLY):
            check(scenario, root, bench.before, 0, marks(run.operations))
        shutil.rmtree(root)
        if stops_at_harm and outcome.bad:
            break
    return outcome
