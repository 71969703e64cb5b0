"""Replayed power cuts: what was done is recorded once, then undone as far as a disk may lose it, at many moments."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from faults.controls import script_of
from faults.disk import Disk
from faults.kills import SCENARIOS
from faults.outcome import Outcome
from faults.recording import Kind, Operation, marks
from faults.scenarios import check

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from faults.world import World
    from faults.zygote import Zygote

CUTS_A_RECORDING = 34


def cut_power(
    zygote: Zygote,
    base: Path,
    before: World,
    folder: Path,
    n_cuts: int,
    rng: np.random.Generator,
    *,
    control: str | None = None,
) -> Outcome:
    """Cut the power of every scenario at random moments, and check what the disk may hold then.

    With a negative ``control`` that is what is done instead of the scenarios, and harm must be found.
    """
    outcome = Outcome()
    seed = 0
    while outcome.n < n_cuts:
        scenario = SCENARIOS[seed % len(SCENARIOS)] if control is None else script_of(control)
        root = shutil.copytree(base, folder / "root")
        if control is None:
            run = zygote.run(scenario, root, seed)
        else:
            run = zygote.run(control, root, seed, function="faults.controls:perform_carelessly")
        assert run.status == 0, f"{scenario}, seed {seed}: status {run.status}"
        assert_complete(run.operations, base, root)
        shutil.rmtree(root)
        n_here = min(CUTS_A_RECORDING, n_cuts - outcome.n)
        replay(outcome, scenario, run.operations, base, before, folder, n_here, seed, rng)
        seed += 1
    return outcome


def assert_complete(operations: list[Operation], base: Path, root: Path) -> None:
    """Check that the recorded operations are all that has happened to the files since they were copied."""
    disk = Disk(base)
    for one in operations:
        disk.apply(one)
    found = {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()}
    recorded = disk.files()
    differing = [one for one in found.keys() | recorded.keys() if found.get(one) != recorded.get(one)]
    assert not differing, f"not recorded: what became of {differing}"


def replay(
    outcome: Outcome,
    scenario: str,
    operations: list[Operation],
    base: Path,
    before: World,
    folder: Path,
    n_cuts: int,
    seed: int,
    rng: np.random.Generator,
) -> None:
    """Cut the power after some of the operations, half of the time right after something was acknowledged."""
    acknowledged = [number for number, one in enumerate(operations, start=1) if one.kind is Kind.MARK]
    cuts = [
        int(rng.choice(acknowledged)) if rng.random() < 0.5 else int(rng.integers(len(operations) + 1))
        for _ in range(n_cuts)
    ]
    disk = Disk(base)
    done = 0
    for cut in sorted(cuts):
        for one in operations[done:cut]:
            disk.apply(one)
        done = cut
        disk.after_power_cut(folder / "after", rng)
        last = operations[cut - 1].fail_point if cut else "nothing"
        with outcome.judging(f"{scenario}, seed {seed}, power cut after {cut} operations, the last {last}", scenario):
            check(scenario, folder / "after", before, seed, marks(operations[:cut]))
        shutil.rmtree(folder / "after")
