"""The stations of a store on disk, as the server finds and opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from miwake.indexer.opening import follow, open_index
from miwake.indexer.station import StationFolder, list_stations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from miwake.indexer.index import InspectionIndex
    from miwake.server.index import Index


class StoreOpener:
    """Opens what the indexer has published."""

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
        return StationFolder(station_folder).current().generation

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
        return follow(cast("InspectionIndex", index), station_folder)  # it is one that ``open`` returned
