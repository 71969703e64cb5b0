"""What a second worker process brings, and what it costs, in one run: both servers up, loaded in turn."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.service.load import Plan
from bench.service.station import make_station
from support.serving import running_server

if TYPE_CHECKING:
    from bench.service.station import Station
    from support.serving import ServerProcess

N_REFERENCES = 20_000
N_STREAMS = 16
"""Each with a connection of its own: the kernel shares them out, seldom quite evenly."""

N_MESSAGES = 2500
SIZE = 16
N_TURNS = 5


def measure() -> dict[str, float | str]:
    """Return vectors a second of one and two workers under a closed loop, the ratio, and its range over the turns."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        station = make_station(Path(folder), N_REFERENCES)
        servers = [
            held.enter_context(running_server(station.store, Path(folder) / f"log-{n}", "--workers", str(n)))
            for n in (1, 2)
        ]
        for server in servers:
            _rate(server, station, n_messages=N_MESSAGES // 5)
        turns = [[_rate(server, station) for server in servers] for _ in range(N_TURNS)]
    ratios = [two / one for one, two in turns]
    return {
        "vectors_per_s_1": statistics.median(one for one, _ in turns),
        "vectors_per_s_2": statistics.median(two for _, two in turns),
        "ratio": statistics.median(ratios),
        "ratio_least": min(ratios),
        "ratio_most": max(ratios),
    }


def _rate(server: ServerProcess, station: Station, n_messages: int = N_MESSAGES) -> float:
    plan = Plan(
        address=server.address,
        queries=str(station.queries_file),
        size=SIZE,
        n_streams=N_STREAMS,
        n_messages=n_messages,
        window=64,
    )
    return n_messages * SIZE / plan.run(server.process.pid).elapsed_s
