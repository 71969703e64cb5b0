"""A station against dictionaries: changed, rebuilt, rolled back, killed anywhere, and searched after every step."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from faults.recording import marks
from faults.scenarios import draw_step, make_base
from faults.steps import LINE, RollBack, Step
from faults.world import References, Station, World, look_at
from faults.zygote import Bench, Zygote, find_compiler
from miwake.indexer.storage.station import StationFolder

N_EXAMPLES = int(os.environ.get("MIWAKE_MODEL_EXAMPLES", "30")) // 6
N_STEPS = 12
SEEDS = st.integers(0, 999)
MOST_OPERATIONS = 200
"""A step that does fewer is done before it can be killed."""


class StationModel(RuleBasedStateMachine):
    """``station`` is what the station is, ``generations`` the revision and the references of each generation."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.zygote = bench.zygote
        self.root = Path(tempfile.mkdtemp(dir=bench.folder)) / "root"
        shutil.copytree(bench.base, self.root)
        self.station: Station = bench.before.stations[LINE]
        first = dict(list(self.station.references.items())[:100])
        self.generations: dict[str, tuple[int, References]] = {
            "g000001": (1, first),
            "g000002": (self.station.revision, dict(self.station.references)),
        }
        self.n_steps = 0

    def teardown(self) -> None:
        shutil.rmtree(self.root.parent)

    @property
    def world(self) -> World:
        return World(stations={LINE: self.station})

    def step(self, verb: str, seed: int) -> tuple[Step, Station]:
        """Return a step and what it leads to, whatever number a generation will get."""
        step = draw_step(verb, self.world, seed)
        if isinstance(step, RollBack):
            step = RollBack(step.generation, *self.generations[step.generation])
        return step, step.then(self.world).stations[LINE]

    def become(self, expected: Station) -> None:
        """Compare what is there with what is expected, and remember a new generation by its name."""
        found = look_at(self.root / LINE)
        if not expected.generation:
            assert found.generation not in self.generations
            self.generations[found.generation] = (found.revision, dict(found.references))
            expected = replace(expected, generation=found.generation)
        assert found == expected
        self.station = expected

    def draw_seed(self, seed: int) -> int:
        self.n_steps += 1
        return 1_000 * self.n_steps + seed

    @rule(seed=SEEDS)
    def change(self, seed: int) -> None:
        self.do("change", seed)

    @rule()
    def rebuild(self) -> None:
        self.do("rebuild", 0)

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        self.do(f"rollback {self.draw_generation(data)}", 0)

    def do(self, verb: str, seed: int) -> None:
        step, expected = self.step(verb, self.draw_seed(seed))
        step.do(self.root)
        self.become(expected)

    def draw_generation(self, data: st.DataObject) -> str:
        there = [one for one in StationFolder(self.root / LINE).generations() if one in self.generations]
        return data.draw(st.sampled_from(there))

    @rule(data=st.data(), seed=SEEDS, verb=st.sampled_from(["change", "rebuild", "rollback"]))
    def kill(self, data: st.DataObject, seed: int, verb: str) -> None:
        """Let a process do a step, and kill it at one of its operations: what it did not acknowledge may be there."""
        if verb == "rollback":
            verb = f"rollback {self.draw_generation(data)}"
        seed = self.draw_seed(seed)
        _, expected = self.step(verb, seed)
        kill_at = data.draw(st.integers(1, MOST_OPERATIONS))
        in_the_middle = data.draw(st.booleans())
        function = "faults.scenarios:perform_one"
        run = self.zygote.run(verb, self.root, seed, kill_at=kill_at, in_the_middle=in_the_middle, function=function)
        assert run.was_killed or run.status == 0
        is_done = bool(marks(run.operations)) or not self.is_as_before()
        self.become(expected if is_done else self.station)

    def is_as_before(self) -> bool:
        return look_at(self.root / LINE) == self.station


@pytest.mark.skipif(find_compiler() is None, reason="no C compiler (cc, gcc, clang): nothing can be killed")
def test_a_station_is_what_a_dictionary_says(bench: Bench) -> None:
    class ModelOfBench(StationModel):
        def __init__(self) -> None:
            super().__init__(bench)

    run_state_machine_as_test(
        ModelOfBench,
        settings=settings(max_examples=N_EXAMPLES, stateful_step_count=N_STEPS, deadline=None),
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folder = tmp_path.resolve()
    base, work = folder / "base", folder / "work"
    work.mkdir()
    before = make_base(base)
    with Zygote(folder, base) as zygote:
        yield Bench(zygote, base, before, work)
