"""Checking a station whole: its database, its generations, and what is current."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from miwake.indexer.errors import ArtifactCorruptError, IndexerError
from miwake.indexer.opening import open_index
from miwake.indexer.storage.generation import open_generation
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.storage.threshold_sets import last_set, list_sets, read_set, reference_to, set_name, sets_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes
    ----------
    subject : text
        Such as ``references`` or ``generation g000002``.
    problem : text
        Empty where there is none.
    detail : text
        What was checked.
    """

    subject: str
    problem: str
    detail: str


def check(station_folder: Path) -> Iterator[Finding]:
    """Yield what is found: every stored vector and row, every file of every generation, and the canaries of CURRENT."""
    station = StationFolder(station_folder)
    yield _tried("references", partial(_check_references, station_folder))
    for generation in station.generations():
        yield _tried(f"generation {generation}", partial(_check_generation, station, generation))
        if sets_path(station, generation).exists():
            yield _tried(f"thresholds of {generation}", partial(_check_thresholds, station, generation))
    yield _tried("current", partial(_check_current, station_folder))


def _tried(subject: str, action: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, "", action())
    except IndexerError as error:
        return Finding(subject, str(error), "")


def _check_references(station_folder: Path) -> str:
    with ReferenceStore.open(station_folder) as store:
        store.check()
        return f"{store.n_references} references at revision {store.revision}, every row and vector as it was written"


def _check_generation(station: StationFolder, generation: str) -> str:
    _, manifest = open_generation(station, generation)
    return f"{len(manifest.files)} files and embedder {manifest.embedder_id}, every byte as it was written"


def _check_thresholds(station: StationFolder, generation: str) -> str:
    names = list_sets(station, generation)
    for number, name in enumerate(names, start=1):
        if name != set_name(number):
            message = f"{sets_path(station, generation)}: {set_name(number)} is missing, though there is {name}"
            raise ArtifactCorruptError(message)
        read_set(station, generation, name)
    last = last_set(station, generation)
    if last != reference_to(station, generation, last.name):
        message = f"{sets_path(station, generation)}: the set that was served last is not {last.name} as it is"
        raise ArtifactCorruptError(message)
    return f"{len(names)} threshold sets, every byte as it was written"


def _check_current(station_folder: Path) -> str:
    index = open_index(station_folder)
    return f"{index.generation} opens, and its canary queries are answered as when it was built"
