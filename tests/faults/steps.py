"""What is done to a station step by step, through the functions that the commands call, and what each step leads to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from faults.world import Export, References, Station, World, references_of
from miwake.indexer.build import build, rebuild
from miwake.indexer.building.build_settings import BuildSettings
from miwake.indexer.exchange.exporting import export
from miwake.indexer.exchange.importing import import_station
from miwake.indexer.opening import roll_back
from miwake.indexer.storage.backup import backup
from miwake.indexer.storage.retention import prune
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.station import DEFAULT_SET, StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.switching import switch_to
from miwake.indexer.thresholding import change, serve
from miwake.indexer.verdict.request import ThresholdRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from faults.world import Reference
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


def _changed(world: World, references: References) -> World:
    before = world.stations[LINE]
    after = replace(before, revision=before.revision + 1, references=references)
    if before.follows:
        after = replace(after, served_revision=after.revision, served=references)
    return world.with_station(LINE, after)


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
        return _changed(world, {**world.stations[LINE].references, **references_of(self.records)})


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
        before = world.stations[LINE].references
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
        before = world.stations[LINE].references
        return _changed(world, {one: reference for one, reference in before.items() if one not in self.ids})


@dataclass(frozen=True)
class Rebuild:
    """Publish a generation of the latest revision."""

    generation: str

    def do(self, root: Path) -> None:
        rebuild(StationFolder(root / LINE))

    def then(self, world: World) -> World:
        before = world.stations[LINE]
        after = replace(
            before, generation=self.generation, served_revision=before.revision, served=before.references, follows=True
        )
        return world.with_station(LINE, after)


@dataclass(frozen=True)
class Stage:
    """Build a generation that is not served yet."""

    def do(self, root: Path) -> None:
        rebuild(StationFolder(root / LINE), settings=BuildSettings(stage=True))

    def then(self, world: World) -> World:
        return world


@dataclass(frozen=True)
class Activate:
    """Serve a generation, with the changes since it was built."""

    generation: str

    def do(self, root: Path) -> None:
        switch_to(root / LINE, self.generation)

    def then(self, world: World) -> World:
        before = world.stations[LINE]
        after = replace(
            before, generation=self.generation, served_revision=before.revision, served=before.references, follows=True
        )
        return world.with_station(LINE, after)


@dataclass(frozen=True)
class RollBack:
    """Serve an earlier generation at its own revision, with the thresholds that it was served with last."""

    generation: str
    revision: int
    references: References
    pass_at_most: float | None = None

    def do(self, root: Path) -> None:
        roll_back(root / LINE, self.generation)

    def then(self, world: World) -> World:
        after = replace(
            world.stations[LINE],
            generation=self.generation,
            served_revision=self.revision,
            served=self.references,
            pass_at_most=self.pass_at_most,
            follows=False,
        )
        return world.with_station(LINE, after)


@dataclass(frozen=True)
class ChooseThresholds:
    """Choose a threshold set, and serve it."""

    pass_at_most: float

    def do(self, root: Path) -> None:
        change(root / LINE, ThresholdRequest(pass_at_most=self.pass_at_most), actor=ACTOR)

    def then(self, world: World) -> World:
        return world.with_station(LINE, replace(world.stations[LINE], pass_at_most=self.pass_at_most))


@dataclass(frozen=True)
class ServeOwnThresholds:
    """Serve a generation's own thresholds again."""

    def do(self, root: Path) -> None:
        serve(root / LINE, DEFAULT_SET)

    def then(self, world: World) -> World:
        return world.with_station(LINE, replace(world.stations[LINE], pass_at_most=None))


@dataclass(frozen=True)
class Prune:
    """Remove the generations that nobody goes back to."""

    def do(self, root: Path) -> None:
        prune(StationFolder(root / LINE), 1)

    def then(self, world: World) -> World:
        return world


@dataclass(frozen=True)
class BackUp:
    """Copy the station."""

    target: str

    def do(self, root: Path) -> None:
        backup(StationFolder(root / LINE), root / self.target)

    def then(self, world: World) -> World:
        return world.with_station(f"{self.target}/line1", world.stations[LINE])


@dataclass(frozen=True)
class Build:
    """Create a station from records and an embedder."""

    name: str
    records: Records

    def do(self, root: Path) -> None:
        build(root / "store", self.name, self.records, root / "embedder")

    def then(self, world: World) -> World:
        return world.with_station(f"store/{self.name}", _first_of(references_of(self.records), revision=1))


@dataclass(frozen=True)
class ExportTo:
    """Write the references to a file."""

    name: str

    def do(self, root: Path) -> None:
        export(root / LINE, root / self.name, overwrites=True)

    def then(self, world: World) -> World:
        exported = Export({one: same.label for one, same in world.stations[LINE].references.items()})
        return replace(world, exports={**world.exports, self.name: exported})


@dataclass(frozen=True)
class Import:
    """Make another station of an exported file; where all that was missing is its index, build that."""

    file: str
    name: str

    def do(self, root: Path) -> None:
        station = StationFolder(root / "store" / self.name)
        if (station.path / STORE_FILE).exists():
            rebuild(station, embedder_folder=root / "embedder")
        else:
            arguments = root / self.file, root / "store", self.name
            import_station(*arguments, actor=ACTOR, embedder_folder=root / "embedder")

    def then(self, world: World) -> World:
        before = world.stations[LINE]
        return world.with_station(f"store/{self.name}", _first_of(before.references, revision=before.revision))


def _first_of(references: Mapping[str, Reference], *, revision: int) -> Station:
    return Station(
        revision=revision,
        references=references,
        generation="g000001",
        served_revision=revision,
        served=references,
    )
