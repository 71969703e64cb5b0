"""A station as a whole: ``rollback`` and ``backup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from miwake.indexer.commands.options import Station, Store
from miwake.indexer.commands.working import station_path, working


def rollback(
    *,
    store: Store,
    station: Station = "",
    to: Annotated[
        str | None, typer.Option(help="Generation; by default the one that the current one replaced.")
    ] = None,
) -> None:
    """Serve an earlier generation at its own revision; later changes stay stored and wait for the next rebuild."""
    with working():
        from miwake.indexer.opening import roll_back  # noqa: PLC0415

        index = roll_back(station_path(store, station), to)
        print(f"{index.station}: {index.generation} at revision {index.revision}")


def backup(
    *,
    store: Store,
    station: Station = "",
    to: Annotated[Path, typer.Option(help="Folder that receives the station; a store of its own.")],
) -> None:
    """Copy a station whole, history included, while others use it."""
    with working():
        from miwake.indexer.opening import open_live  # noqa: PLC0415
        from miwake.indexer.storage.backup import backup as copy_station  # noqa: PLC0415
        from miwake.indexer.storage.station import StationFolder  # noqa: PLC0415

        copy = copy_station(StationFolder(station_path(store, station)), to)
        index = open_live(copy.path)
        print(f"{copy.path}: {index.generation}, {index.n_references} references at revision {index.revision}")
