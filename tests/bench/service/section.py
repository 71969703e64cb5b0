"""What the service costs over the index itself, and against a vector database with the rest of the job around it.

The server is ``miwake-serve`` as a process of its own behind a real socket, with one thread for each numerical library;
every answer has its full default evidence: 15 neighbours and all anchors. Every load is a process of its own too.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.service.against_milvus import against_milvus
from bench.service.latency import latencies
from bench.service.reading import reading_us
from bench.service.shares import shares
from bench.service.stages import stages
from bench.service.station import make_station
from bench.service.writing import writing_us
from support.serving import running_server

FOLDER = Path("build")


def measure() -> dict[str, float | str]:
    """Return the shares, latencies and ratios of the service, and the figures behind them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="bench-service-") as name:
        folder = Path(name).resolve()
        station = make_station(folder)
        index = station.open()
        with running_server(station.store, folder / "log") as server:
            found: dict[str, float | str] = {**shares(index, server, station), **writing_us(index, station)}
            found |= reading_us(index, station)
            found |= stages(index, station.queries())
            found |= latencies(index, server, station, float(found["per_second_16"]))
        found |= against_milvus(index, station)
    return found
