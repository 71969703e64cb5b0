"""The stations of a store on disk, as the server finds, opens and follows them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from miwake.indexer.opening import follow, open_index
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.station import CURRENT_FILE, StationFolder, list_stations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from miwake.indexer.index import InspectionIndex
    from miwake.server.index import Index

SETTLED_NS = 2_000_000_000
"""A file changed more recently than this may change again without its time telling; clocks tick in milliseconds."""


class StoreOpener:
    """Opens what the indexer has published; looks at what changes only where its files have changed."""

    def __init__(self) -> None:
        self._generations: dict[Path, tuple[object, str]] = {}
        self._followed: dict[Path, tuple[object, Index]] = {}

    def list_stations(self, store: Path) -> Sequence[str]:
        """Return the names of the stations in a store."""
        return list_stations(store)

    def current_generation(self, station_folder: Path) -> str:
        """Return the id of the generation that is current.

        Raises
        ------
        StationNotFoundError, ArtifactError
            If there is none, or ``CURRENT`` is damaged.
        """
        state = _state(station_folder)
        known_state, generation = self._generations.get(station_folder, (None, ""))
        if state is None or state != known_state:
            generation = StationFolder(station_folder).current().generation
            self._generations[station_folder] = (state, generation)
        return generation

    def open(self, station_folder: Path, generation: str) -> Index:
        """Verify and load a generation; as ``open_index``."""
        return open_index(station_folder, generation)

    def follow(self, station_folder: Path, index: Index) -> Index:
        """Return the index with the latest changes of its references; after a roll back, without any.

        Raises
        ------
        StoreError, ArtifactError
            If the references cannot be read.
        """
        state = _state(station_folder)
        known_state, known_index = self._followed.get(station_folder, (None, None))
        if state is None or state != known_state or index is not known_index:
            index = follow(cast("InspectionIndex", index), station_folder)  # it is one that ``open`` returned
            self._followed[station_folder] = (state, index)
        return index


def _state(station_folder: Path) -> object:
    """Return what changes whenever ``CURRENT`` or the references do; None where it cannot tell yet.

    It looks at the files from outside: to open and close the database beside SQLite would drop SQLite's locks on it.
    """
    try:
        found = [(station_folder / name).stat() for name in (CURRENT_FILE, STORE_FILE)]
    except OSError:
        return None
    if max(one.st_mtime_ns for one in found) > time.time_ns() - SETTLED_NS:
        return None
    return [(one.st_ino, one.st_size, one.st_mtime_ns) for one in found]
