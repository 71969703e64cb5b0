"""Which generations are kept, and removing the others so that nothing half removed is ever opened."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.indexer.errors import ArtifactError
from miwake.indexer.storage.files import fsync_folder, read_json
from miwake.indexer.storage.generation import FORMAT_VERSION, MANIFEST_FILE, Manifest, system_errors
from miwake.indexer.storage.threshold_sets import forget

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.storage.station import StationFolder

KEEP = 5
"""Generations kept by default, the current one among them."""

REMOVED = ".removed"
"""How the hidden name of a folder ends that is being removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed, oldest first.

    Attributes
    ----------
    generations, embedders : tuples of texts
    """

    generations: tuple[str, ...]
    embedders: tuple[str, ...]


def prune(station: StationFolder, keep: int = KEEP) -> Pruned:
    """Remove all but the newest ``keep`` generations, and the embedders that none of the others needs.

    The current generation stays, and so do the one before it and the one it was built after: what a roll back goes to.
    A server that still answers from a removed generation goes on: the system keeps what it has mapped.

    Raises
    ------
    ValueError
        If ``keep`` is not at least 1.
    StationNotFoundError, ArtifactCorruptError, ArtifactVersionError
        If it cannot be told which generation is current; then nothing is removed.
    StoreBusyError
        If another process holds the station's lock.
    StoreError
        If the system does not let a folder be removed.
    """
    if keep < 1:
        message = f"keep {keep}: expected at least 1"
        raise ValueError(message)
    with station.lock(), system_errors("not everything was removed"):
        _remove_left_over(station)
        needed = _needed(station, keep)
        removed = [one for one in station.generations() if one not in needed]
        for generation in removed:
            _remove(station.generation_path(generation))
            forget(station, generation)
        return Pruned(generations=tuple(removed), embedders=tuple(_prune_embedders(station)))


def _needed(station: StationFolder, keep: int) -> set[str]:
    stored = station.generations()
    current = station.current().generation
    before = stored[: stored.index(current)] if current in stored else stored
    needed = {current, *stored[-keep:], *before[-1:]}
    parent = _manifest(station, current).parent
    return needed if parent is None else {*needed, parent}


def _prune_embedders(station: StationFolder) -> list[str]:
    try:
        needed = {_manifest(station, one).embedder_id for one in station.generations()}
    except ArtifactError:
        return []  # whose embedder a damaged generation needs, nobody can tell
    unused = sorted(
        one.name for one in station.embedders_path.iterdir() if _is_embedder(one) and one.name not in needed
    )
    for embedder in unused:
        _remove(station.embedders_path / embedder)
    return unused


def _is_embedder(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _manifest(station: StationFolder, generation: str) -> Manifest:
    return read_json(station.generation_path(generation) / MANIFEST_FILE, Manifest, FORMAT_VERSION)


def _remove(folder: Path) -> None:
    """Give a folder a name that nobody opens, durably, and only then remove it."""
    hidden = folder.with_name(f".{folder.name}{REMOVED}")
    folder.rename(hidden)
    fsync_folder(folder.parent)
    shutil.rmtree(hidden)


def _remove_left_over(station: StationFolder) -> None:
    for parent in (station.generations_path, station.embedders_path):
        for left_over in parent.glob(f".*{REMOVED}"):
            shutil.rmtree(left_over)
