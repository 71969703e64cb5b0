"""Making a generation current that was built without being made so, or that an earlier switch has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miwake.indexer.opening import follow, open_index
from miwake.indexer.storage.generation import activate
from miwake.indexer.storage.station import StationFolder

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.index import InspectionIndex


def switch_to(station_folder: Path, generation: str) -> InspectionIndex:
    """Make a generation current, with the changes of the references since it was built, and return it opened.

    Raises
    ------
    StationNotFoundError, ArtifactCorruptError, ArtifactVersionError
        As ``open_index``; what is current stays so.
    StoreBusyError
        If another process holds the station's lock.
    """
    station = StationFolder(station_folder)
    with station.lock():
        index = open_index(station_folder, generation)
        activate(station, generation, is_verified=True)
    return follow(index, station_folder)
