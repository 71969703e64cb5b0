"""Changes of the references: committed in groups, then taken over by the index that answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from miwake.indexer.storage.group_commit import GroupCommit

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.storage.changes import Change
    from miwake.indexer.storage.edits import Edit
    from miwake.server.stations import Station, Stations


class ReferenceWriters:
    """One writer for each station whose references are changed here.

    Parameters
    ----------
    stations : Stations
        Told of each change, so that it is searched at once.
    """

    def __init__(self, stations: Stations) -> None:
        self._stations = stations
        self._lock = threading.Lock()
        self._writers: dict[Path, GroupCommit] = {}

    def close(self) -> None:
        """Answer every change that was accepted, and end the writers."""
        for writer in self._writers.values():
            writer.close()

    def writer(self, station: Station) -> GroupCommit:
        """Return the station's writer, which the first change opens.

        Raises
        ------
        StoreError, ArtifactError
            If the store cannot be opened.
        """
        with self._lock:
            if station.folder not in self._writers:
                self._writers[station.folder] = GroupCommit(station.folder)
            return self._writers[station.folder]

    def commit(self, station: Station, edit: Edit) -> tuple[Change, bool]:
        """Make a change durable, and say what it did and whether it is searched now.

        Raises
        ------
        StoreError
            If the store refuses it; then nothing has changed.
        """
        change = self.writer(station).submit(edit).result()
        self._stations.take_over(station)
        return change, station.index.revision >= change.revision
