"""Replayed power cuts: what was done is recorded once, then undone as far as a disk may lose it, at many moments."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from faults.controls import PERFORM_CARELESSLY, script_of
from faults.disk import Disk
from faults.kills import SCENARIOS
from faults.outcome import Outcome
from faults.recording import Kind, marks
from faults.scenarios import check

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from faults.recording import Operation
    from faults.zygote import Bench

CUTS_A_RECORDING = 34


class Recording(NamedTuple):
    """What a scenario did to the files of the base."""

    scenario: str
    seed: int
    operations: list[Operation]


def cut_power(
    bench: Bench,
    n_cuts: int,
    rng: np.random.Generator,
    *,
    control: str | None = None,
    stops_at_harm: bool = False,
) -> Outcome:
    """Cut the power of every scenario at random moments, and check what the disk may hold then.

    With a negative ``control`` that is what is done instead of the scenarios, and harm must be found.
    """
    outcome = Outcome()
    seed = 0
    while outcome.n < n_cuts and not (stops_at_harm and outcome.bad):
        scenario = SCENARIOS[seed % len(SCENARIOS)] if control is None else script_of(control)
        root = shutil.copytree(bench.base, bench.folder / "root")
        if control is None:
            run = bench.zygote.run(scenario, root, seed)
        else:
            run = bench.zygote.run(control, root, seed, function=PERFORM_CARELESSLY)
        assert run.status == 0, f"{scenario}, seed {seed}: status {run.status}"
        assert_complete(run.operations, bench.base, root)
        shutil.rmtree(root)
        n_here = min(CUTS_A_RECORDING, n_cuts - outcome.n)
        _replay(outcome, Recording(scenario, seed, run.operations), bench, n_here, rng)
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


def _replay(outcome: Outcome, recording: Recording, bench: Bench, n_cuts: int, rng: np.random.Generator) -> None:
    """Cut the power after some of the operations, half of the time right after something was acknowledged."""
    scenario, seed, operations = recording
    after = bench.folder / "after"
    acknowledged = [number for number, one in enumerate(operations, start=1) if one.kind is Kind.MARK]
    cuts = [
        int(rng.choice(acknowledged)) if rng.random() < 0.5 else int(rng.integers(len(operations) + 1))
        for _ in range(n_cuts)
    ]
    disk = Disk(bench.base)
    done = 0
    for cut in sorted(cuts):
        for one in operations[done:cut]:
            disk.apply(one)
        done = cut
        disk.after_power_cut(after, rng)
        last = operations[cut - 1].fail_point if cut else "nothing"
        with outcome.judging(f"{scenario}, seed {seed}, power cut after {cut} operations, the last {last}", scenario):
            check(scenario, after, bench.before, seed, marks(operations[:cut]))
        shutil.rmtree(after)
