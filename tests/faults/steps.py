"""What is done to a station step by step, through the functions that the commands call, and what each step leads to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from faults.world import References, Station, World, references_of
from miwake.indexer.build import build, rebuild
from miwake.indexer.opening import roll_back
from miwake.indexer.storage.backup import backup
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.records import Records

LINE = "store/line1"
ACTOR = "faults"


class Step(Protocol):
    """One thing that is acknowledged when it is done."""

    def do(self, root: Path) -> None:
        """Do it to the station in ``root``."""

    def then(self, world: World) -> World:
        """Return what it makes of a world."""


class Change(Step, Protocol):
    """A step that changes references."""

    def change(self, store: ReferenceStore) -> None:
        """Do it to the references."""


def _with(world: World, station: Station) -> World:
    return {**world, LINE: station}


def _changed(world: World, references: References) -> World:
    before = world[LINE]
    after = replace(before, revision=before.revision + 1, references=references)
    if before.served_revision == before.revision:  # no roll back is in force
        after = replace(after, served_revision=after.revision, served=references)
    return _with(world, after)


@dataclass(frozen=True)
class Add:
    """Add records that are not there."""

    records: Records

    def do(self, root: Path) -> None:
        with ReferenceStore.open(root / LINE) as store:
            self.change(store)

    def change(self, store: ReferenceStore) -> None:
        """Do it to the references."""
        store.add(self.records, actor=ACTOR)

    def then(self, world: World) -> World:
        return _changed(world, {**world[LINE].references, **references_of(self.records)})


@dataclass(frozen=True)
class Relabel:
    """Give references a label that they do not have."""

    ids: tuple[str, ...]
    label: int
    failure_mode: str

    def do(self, root: Path) -> None:
        with ReferenceStore.open(root / LINE) as store:
            self.change(store)

    def change(self, store: ReferenceStore) -> None:
        """Do it to the references."""
        store.relabel(self.ids, self.label, self.failure_mode, actor=ACTOR)

    def then(self, world: World) -> World:
        before = world[LINE].references
        changed = {one: replace(before[one], label=self.label, failure_mode=self.failure_mode) for one in self.ids}
        return _changed(world, {**before, **changed})


@dataclass(frozen=True)
class Remove:
    """Remove references that are there."""

    ids: tuple[str, ...]

    def do(self, root: Path) -> None:
        with ReferenceStore.open(root / LINE) as store:
            self.change(store)

    def change(self, store: ReferenceStore) -> None:
        """Do it to the references."""
        store.remove(self.ids, actor=ACTOR)

    def then(self, world: World) -> World:
        before = world[LINE].references
        return _changed(world, {one: reference for one, reference in before.items() if one not in self.ids})


@dataclass(frozen=True)
class Rebuild:
    """Publish a generation of the latest revision."""

    generation: str

    def do(self, root: Path) -> None:
        rebuild(StationFolder(root / LINE))

    def then(self, world: World) -> World:
        before = world[LINE]
        return _with(
            world,
            replace(before, generation=self.generation, served_revision=before.revision, served=before.references),
        )


@dataclass(frozen=True)
class RollBack:
    """Serve an earlier generation at its own revision."""

    generation: str
    revision: int
    references: References

    def do(self, root: Path) -> None:
        roll_back(root / LINE, self.generation)

    def then(self, world: World) -> World:
        return _with(
            world,
            replace(world[LINE], generation=self.generation, served_revision=self.revision, served=self.references),
        )


@dataclass(frozen=True)
class BackUp:
    """Copy the station."""

    target: str

    def do(self, root: Path) -> None:
        backup(StationFolder(root / LINE), root / self.target)

    def then(self, world: World) -> World:
        return {**world, f"{self.target}/line1": world[LINE]}


@dataclass(frozen=True)
class Build:
    """Create a station from records and an embedder."""

    name: str
    records: Records

    def do(self, root: Path) -> None:
        build(root / "store", self.name, self.records, root / "embedder")

    def then(self, world: World) -> World:
        references = references_of(self.records)
        station = Station(revision=1, references=references, generation="g000001", served_revision=1, served=references)
        return {**world, f"store/{self.name}": station}
