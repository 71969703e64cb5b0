"""What the processes do that are killed, or whose files lose their last writes: scripts of steps, and group commit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faults.steps import (
    LINE,
    Activate,
    Add,
    BackUp,
    Build,
    ChooseThresholds,
    ExportTo,
    Import,
    Prune,
    Rebuild,
    Relabel,
    Remove,
    RollBack,
    ServeOwnThresholds,
    Stage,
)
from faults.world import References, Station, World, look, look_at, references_of
from miwake.indexer.build import build, rebuild
from miwake.indexer.storage.group_commit import GroupCommit
from miwake.indexer.storage.station import StationFolder
from support.blobs import FAILURE_MODES, blob_records
from support.embedders import linear_discriminants

if TYPE_CHECKING:
    from faults.steps import Change, Step
    from miwake.indexer.records import Records

N_PARTS = 60
N_FIRST = 100
"""Records of the first generation; the rest come with the second."""

N_CHANGES = 8
N_CALLERS = 6
CHANGES_A_CALLER = 4
GROUP_COMMIT = "group commit"
REJECT_LABELS = (1, 2, 3, 7)
"""One more than a change names references, so that one of them is new to all."""

Acknowledge = Callable[[str], None]


def make_base(root: Path) -> World:
    """Make the station that everything begins with, two generations of it, and return what that is."""
    records = blob_records(N_PARTS)
    linear_discriminants(root / "embedder", records)
    build(root / "store", "line1", records.take(np.arange(N_FIRST)), root / "embedder")
    rebuild(StationFolder(root / LINE), records=records.take(np.arange(N_FIRST, len(records))))
    station = look_at(root / LINE)
    assert (station.revision, station.generation) == (2, "g000002")
    assert station.references == references_of(records)
    return World(stations={LINE: station})


def new_records(seed: int, number: int, n_records: int) -> Records:
    """Return records of new parts, with ids that no others have; every second brings a template, which some share."""
    records = blob_records(10, seed=1_000 + seed, first_part=1_000 * (number + 1)).take(np.arange(n_records))
    templates = np.repeat(records.vectors[:1], n_records, axis=0)
    templates[number % 2 :: 2] = np.nan
    return replace(records, templates=templates, ids=tuple(f"new {seed} {number} {row}" for row in range(n_records)))


def draw_changes(world: World, seed: int, n_changes: int) -> list[Change]:
    """Return random changes of the references, each of which has an effect."""
    rng = np.random.default_rng(seed)
    steps: list[Change] = []
    for number in range(n_changes):
        references = world.stations[LINE].references
        ids = tuple(rng.choice(sorted(references), int(rng.integers(1, 4)), replace=False).tolist())
        step: Change
        match int(rng.integers(3)):
            case 0:
                step = Add(new_records(seed, number, int(rng.integers(1, 6))))
            case 1:
                label = next(one for one in REJECT_LABELS if all(references[same].label != one for same in ids))
                step = Relabel(ids, label, FAILURE_MODES[label])
            case _:
                step = Remove(ids)
        steps.append(step)
        world = step.then(world)
    return steps


def _first(world: World) -> tuple[int, References]:
    """Return the revision and the references of the first generation."""
    return 1, dict(list(world.stations[LINE].references.items())[:N_FIRST])


def changing(world: World, seed: int) -> list[Step]:
    """Change the references, time after time."""
    return [*draw_changes(world, seed, N_CHANGES)]


def publishing(world: World, seed: int) -> list[Step]:
    """Change, publish, change, publish."""
    one, other, last = draw_changes(world, seed, 3)
    return [one, Rebuild("g000003"), other, Rebuild("g000004"), last]


def rolling_back(world: World, seed: int) -> list[Step]:
    """Change, roll back, change, publish, roll back twice."""
    one, other = draw_changes(world, seed, 2)
    revision, references = _first(world)
    back = RollBack("g000001", revision, references)
    second = RollBack("g000002", world.stations[LINE].revision, dict(world.stations[LINE].references))
    return [one, back, other, Rebuild("g000003"), second, back]


def backing_up(world: World, seed: int) -> list[Step]:
    """Back up, change, back up elsewhere."""
    return [BackUp("backup1"), *draw_changes(world, seed, 1), BackUp("backup2")]


def creating(_: World, seed: int) -> list[Step]:
    """Create another station."""
    return [Build("line2", blob_records(N_PARTS, seed=2_000 + seed))]


def choosing_thresholds(world: World, seed: int) -> list[Step]:
    """Choose thresholds twice, publish with them, go back to the generation's own, change, roll back."""
    (changed,) = draw_changes(world, seed, 1)
    back = RollBack("g000002", world.stations[LINE].revision, dict(world.stations[LINE].references), 0.02)
    chosen, again = ChooseThresholds(0.01), ChooseThresholds(0.02)
    return [chosen, again, Rebuild("g000003"), ServeOwnThresholds(), changed, back]


def staging(world: World, seed: int) -> list[Step]:
    """Build without serving it, change, and switch to it."""
    one, other = draw_changes(world, seed, 2)
    return [one, Stage(), other, Activate("g000003")]


def pruning(world: World, seed: int) -> list[Step]:
    """Publish until there are generations to remove, and remove them."""
    one, other = draw_changes(world, seed, 2)
    return [one, Rebuild("g000003"), other, Rebuild("g000004"), Prune()]


def exchanging(world: World, seed: int) -> list[Step]:
    """Change, export, make another station of that, change, export again."""
    one, other = draw_changes(world, seed, 2)
    return [one, ExportTo("line.parquet"), Import("line.parquet", "line3"), other, ExportTo("line.parquet")]


SCRIPTS: dict[str, Callable[[World, int], list[Step]]] = {
    "changing": changing,
    "publishing": publishing,
    "rolling back": rolling_back,
    "backing up": backing_up,
    "creating": creating,
    "choosing thresholds": choosing_thresholds,
    "staging": staging,
    "pruning": pruning,
    "exchanging": exchanging,
}
"""What is done, from the world that it begins with and a seed."""


def perform(scenario: str, root: Path, seed: int, acknowledge: Acknowledge) -> None:
    """Do a script's steps, or let threads commit in groups, and acknowledge each change when it is done."""
    if scenario == GROUP_COMMIT:
        commit_in_groups(root, seed, acknowledge)
        return
    for number, step in enumerate(SCRIPTS[scenario](_world_of(root), seed)):
        step.do(root)
        acknowledge(str(number))


def _world_of(root: Path) -> World:
    return World(stations={LINE: look_at(root / LINE)})


def perform_one(verb: str, root: Path, seed: int, acknowledge: Acknowledge) -> None:
    """Do one step: ``change``, ``rebuild``, or ``rollback`` and the name of a generation."""
    draw_step(verb, _world_of(root), seed).do(root)
    acknowledge(verb)


def draw_step(verb: str, world: World, seed: int) -> Step:
    """Return the step that a verb stands for; of generations it knows no more than their names."""
    name, _, generation = verb.partition(" ")
    match name:
        case "change":
            return draw_changes(world, seed, 1)[0]
        case "rebuild":
            return Rebuild("")
        case _:
            return RollBack(generation, 0, {})


def caller_ids(caller: int) -> list[str]:
    """Return the ids that a caller of the group commit changes."""
    return [f"caller {caller} {number}" for number in range(CHANGES_A_CALLER)]


def commit_in_groups(root: Path, seed: int, acknowledge: Acknowledge) -> None:
    """Let threads add references one by one, all through one group commit."""

    def call(caller: int) -> None:
        records = replace(
            blob_records(10, seed=seed * N_CALLERS + caller).take(np.arange(CHANGES_A_CALLER)),
            ids=tuple(caller_ids(caller)),
        )
        for number in range(CHANGES_A_CALLER):
            group.add(records.take(np.array([number])), actor=f"caller {caller}")
            acknowledge(f"{caller} {number}")

    with GroupCommit(root / LINE) as group, ThreadPoolExecutor(N_CALLERS) as callers:
        list(callers.map(call, range(N_CALLERS)))


def check(scenario: str, root: Path, before: World, seed: int, acknowledged: list[str]) -> int:
    """Check that what was acknowledged is there, and at most what was begun beside it; return how far it came.

    Raises
    ------
    AssertionError
        If something acknowledged is lost, or something is there that nobody did.
    IndexerError
        If a station cannot be opened, or is damaged.
    """
    found = look(root)
    if scenario == GROUP_COMMIT:
        _check_groups(found.stations[LINE], before.stations[LINE], acknowledged)
        return len(acknowledged)
    worlds = [before]
    for step in SCRIPTS[scenario](before, seed):
        worlds.append(step.then(worlds[-1]))
    n_done = len(acknowledged)
    for reached in (n_done, min(n_done + 1, len(worlds) - 1)):
        if found == worlds[reached]:
            return reached
    message = f"{n_done} steps were acknowledged, but found is {found}, expected {worlds[n_done]} or the next"
    raise AssertionError(message)


def _check_groups(found: Station, before: Station, acknowledged: list[str]) -> None:
    n_added = 0
    for caller in range(N_CALLERS):
        n_done = sum(one.split()[0] == str(caller) for one in acknowledged)
        there = [one for one in caller_ids(caller) if one in found.references]
        assert there == caller_ids(caller)[: len(there)]
        assert n_done <= len(there) <= n_done + 1, f"caller {caller}: {n_done} acknowledged, {len(there)} there"
        n_added += len(there)
    assert found.revision == before.revision + n_added
    assert len(found.references) == len(before.references) + n_added
    assert found.references.items() >= before.references.items()
    assert found.served == found.references


def go_on(scenario: str, root: Path, before: World, seed: int, reached: int) -> None:
    """Do the step again that was cut short, and check that it leads where it should.

    Raises
    ------
    AssertionError, IndexerError
        As ``check``; or as the step does.
    """
    if scenario == GROUP_COMMIT:
        return
    steps = SCRIPTS[scenario](before, seed)
    world = before
    for step in steps[: reached + 1]:
        world = step.then(world)
    if reached < len(steps):
        steps[reached].do(root)
    found = look(root)
    assert _without_numbers(found) == _without_numbers(world)
    # A generation that was whole and not yet current keeps its number.
    assert all(found.stations[path].generation >= one.generation for path, one in world.stations.items())


def _without_numbers(world: World) -> World:
    return replace(world, stations={path: replace(one, generation="") for path, one in world.stations.items()})
