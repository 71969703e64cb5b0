"""Random damage to every file of a station: opening refuses it, or it is not there any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from faults.outcome import Outcome
from faults.scenarios import N_CHANGES, draw_changes
from faults.steps import LINE, ChooseThresholds, Rebuild, RollBack
from faults.world import World, look_at, stored_references
from miwake.indexer.checking import check
from miwake.indexer.errors import IndexerError
from miwake.indexer.opening import open_live
from miwake.indexer.storage.generation import open_generation
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.station import CURRENT_FILE, LOCK_FILE, StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.storage.threshold_sets import LAST_FILE, sets_path

if TYPE_CHECKING:
    from pathlib import Path

BLOCK_BYTES = 64
MAY_BE_ABSENT = LAST_FILE
"""Where it is missing, a generation was never served with another threshold set: nobody can tell that from a loss."""

DATABASE = (STORE_FILE, f"{STORE_FILE}-journal")


class Damage(NamedTuple):
    """What becomes of a file: other content, or none."""

    kind: str
    content: bytes | None


def _flip(data: bytearray, rng: np.random.Generator) -> bytes:
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _truncate(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: rng.integers(len(data))])


def _zero(data: bytearray, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    data[start : start + BLOCK_BYTES] = bytes(len(data[start : start + BLOCK_BYTES]))
    return bytes(data)


def _swap(data: bytearray, rng: np.random.Generator) -> bytes:
    one, other = (int(start) for start in rng.integers(max(1, len(data) // BLOCK_BYTES), size=2) * BLOCK_BYTES)
    first, second = data[one : one + BLOCK_BYTES], data[other : other + BLOCK_BYTES]
    if len(first) == len(second):
        data[one : one + BLOCK_BYTES], data[other : other + BLOCK_BYTES] = second, first
    return bytes(data)


def _append(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data) + rng.bytes(int(rng.integers(1, BLOCK_BYTES)))


CHANGES: dict[str, Callable[[bytearray, np.random.Generator], bytes]] = {
    "a bit flipped": _flip,
    "truncated": _truncate,
    "a block zeroed": _zero,
    "two blocks swapped": _swap,
    "bytes appended": _append,
}
REPLACED, DELETED, UNLISTED = "replaced by another generation's", "deleted", "an unlisted file beside it"


def draw_damage(path: Path, others: list[bytes], rng: np.random.Generator, *, is_listed: bool = False) -> Damage:
    """Return damage to a file, which it is certain to change.

    Parameters
    ----------
    others : list of bytes
        What files of this name hold in other generations.
    is_listed : bool
        Whether there is a list of all files in its folder.
    """
    data = path.read_bytes()
    kinds = [*CHANGES, *([UNLISTED] if is_listed else []), *([REPLACED] if others else [])]
    if path.name != MAY_BE_ABSENT:
        kinds.append(DELETED)
    while True:
        kind = kinds[int(rng.integers(len(kinds)))]
        if kind in (DELETED, UNLISTED):
            return Damage(kind, None)
        is_replaced = kind == REPLACED
        content = others[int(rng.integers(len(others)))] if is_replaced else CHANGES[kind](bytearray(data), rng)
        if content != data:
            return Damage(kind, content)


def damage_station(base: Path, folder: Path, n_damages: int, rng: np.random.Generator) -> Outcome:
    """Damage every file of a station but the database, time after time; ``lost`` counts the damages accepted.

    What is served is opened as a server does; for what is not (an earlier generation), ``check`` must tell.
    """
    root = shutil.copytree(base, folder / "root")
    for step in (ChooseThresholds(0.01), ChooseThresholds(0.02), Rebuild(""), RollBack("g000002", 0, {})):
        step.do(root)
    station = StationFolder(root / LINE)
    outcome = Outcome()
    served = _served(station)
    listed = (station.generations_path, station.embedders_path)
    files = [one for one in sorted(station.path.rglob("*")) if one.is_file() and one.name not in (*DATABASE, LOCK_FILE)]
    for number in range(n_damages):
        path = files[number % len(files)]
        others = [
            one.read_bytes()
            for one in station.generations_path.glob(f"*/{path.name}")
            if one.read_bytes() != path.read_bytes()
        ]
        damage = draw_damage(path, others, rng, is_listed=path.parent.parent in listed)
        name = path.relative_to(station.path)
        is_served = any(path == one or one in path.parents for one in served)
        with outcome.judging(f"{name}: {damage.kind}", damage.kind), _damaged(path, damage):
            assert _is_refused(station, is_served=is_served), "accepted"
    assert not _is_refused(station, is_served=True), "the station was not left as it was"
    shutil.rmtree(root)
    return outcome


def damage_station_carelessly(base: Path, folder: Path, n_damages: int, rng: np.random.Generator) -> Outcome:
    """Damage the vectors of a generation as ``damage_station`` does, and look at them without their hashes."""
    station = StationFolder(shutil.copytree(base / LINE, folder / "line1"))
    outcome = Outcome()
    path = open_generation(station)[0] / "vectors.npy"
    for _ in range(n_damages):
        damage = draw_damage(path, [], rng)
        with outcome.judging(damage.kind, damage.kind), _damaged(path, damage):
            assert _cannot_be_loaded(path), "accepted"
    shutil.rmtree(station.path)
    return outcome


def damage_database(base: Path, folder: Path, n_damages: int, rng: np.random.Generator) -> Outcome:
    """Damage the database; ``lost`` counts answers that are not as before and came without an error.

    What a station serves is refused or as before. The history of an id is that too, or ``check`` tells.
    """
    root = shutil.copytree(base, folder / "root")
    for step in draw_changes(World(stations={LINE: look_at(root / LINE)}), 0, N_CHANGES):
        step.do(root)
    outcome = Outcome()
    path = root / LINE / STORE_FILE
    references, histories = _or_none(_references, root / LINE), _or_none(_histories, root / LINE)
    for _ in range(n_damages):
        damage = draw_damage(path, [], rng)
        with outcome.judging(f"{STORE_FILE}: {damage.kind}", damage.kind), _damaged(path, damage):
            found = _or_none(_references, root / LINE)
            assert found in (references, None), "other references, and no error"
            outcome.by_kind["refused" if found is None else "served as before"] += 1
            is_sound = not any(finding.problem for finding in check(root / LINE))
            told = _or_none(_histories, root / LINE)
            assert told in (histories, None) or not is_sound, "another history, and nothing found"
            outcome.by_kind["found nowhere, and changed no answer" if is_sound else "found by check"] += 1
        path.with_name(f"{STORE_FILE}-journal").unlink(missing_ok=True)
    shutil.rmtree(root)
    return outcome


class _damaged:  # noqa: N801 - used like a function
    def __init__(self, path: Path, damage: Damage) -> None:
        self._path, self._damage = path, damage
        self._intact = path.read_bytes()
        self._extra = path.with_name("unlisted")

    def __enter__(self) -> None:
        if self._damage.kind == UNLISTED:
            self._extra.write_bytes(b"unlisted")
        elif self._damage.content is None:
            self._path.unlink()
        else:
            self._path.write_bytes(self._damage.content)

    def __exit__(self, *_: object) -> None:
        self._path.write_bytes(self._intact)
        self._extra.unlink(missing_ok=True)


def _served(station: StationFolder) -> list[Path]:
    folder, manifest = open_generation(station)
    thresholds = sets_path(station, manifest.generation) / f"{station.current().threshold_set}.json"
    return [folder, station.embedders_path / manifest.embedder_id, station.path / CURRENT_FILE, thresholds]


def _is_refused(station: StationFolder, *, is_served: bool) -> bool:
    try:
        open_live(station.path)
    except IndexerError:
        return True
    return not is_served and any(finding.problem for finding in check(station.path))


def _cannot_be_loaded(path: Path) -> bool:
    try:
        np.load(path)
    except (OSError, ValueError, EOFError):
        return True
    return False


def _or_none(read: Callable[[Path], object], line: Path) -> object:
    try:
        return read(line)
    except IndexerError:
        return None


def _references(line: Path) -> object:
    """Return the references of every revision, and which of them a server searches."""
    with ReferenceStore.open(line) as store:
        revisions = range(store.revision + 1)
        found = [stored_references(store, revision) for revision in revisions]
    index = open_live(line)
    everything = index.search(
        np.frombuffer(next(iter(found[1].values())).vector, dtype=np.float32)[None], n_neighbours=index.n_references
    )
    return revisions, found, index.revision, sorted(zip(everything.ids[0], everything.labels[0].tolist(), strict=True))


def _histories(line: Path) -> object:
    with ReferenceStore.open(line) as store:
        return [store.history(one) for one in store.snapshot(1).ids]
