"""Removing old generations: ``prune``."""

from __future__ import annotations

from dataclasses import asdict

from miwake.indexer.commands.options import AsJson, Keep, Station, Store
from miwake.indexer.commands.working import print_json, station_path, working


def prune(*, store: Store, station: Station = "", keep: Keep = 5, as_json: AsJson = False) -> None:
    """Remove generations that are kept no longer, and embedders that nothing needs; references are never removed."""
    with working():
        from miwake.indexer.storage.retention import prune as prune_station  # noqa: PLC0415
        from miwake.indexer.storage.station import StationFolder  # noqa: PLC0415

        folder = StationFolder(station_path(store, station))
        pruned = prune_station(folder, keep)
        if as_json:
            print_json(asdict(pruned))
            return
        removed = [*pruned.generations, *(f"embedder {one}" for one in pruned.embedders)]
        print(f"{folder.name}: removed {', '.join(removed) or 'nothing'}")
