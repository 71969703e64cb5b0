"""How long answers take, and what many streams cost: under half the load that the server can take, or nearly none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.service.in_process import compute_ms
from bench.service.load import Plan

if TYPE_CHECKING:
    from bench.service.processes import Went
    from bench.service.station import Station
    from miwake.indexer.index import InspectionIndex
    from support.serving import ServerProcess

N_ROUNDS = 5
LOAD = 0.5
"""Of the capacity measured beforehand, in vectors a second."""

SIZE, N_STREAMS = 16, 4
N_MESSAGES = 2000
FEW_STREAMS, MANY_STREAMS = 1, 64
IDLE_RATE = 50.0
"""Single vectors a second that leave a server idle in between."""

N_IDLE = 300


def latencies(index: InspectionIndex, server: ServerProcess, station: Station, capacity: float) -> dict[str, float]:
    """Return ``p99_16``, ``idle_ms`` and ``streams_ratio``, and what is behind them: medians of rounds.

    ``late_16_ms`` is how late the load itself hands over the latest hundredth of its messages, a part of ``p99_16``.

    Parameters
    ----------
    capacity : float
        Vectors a second that the server answers when it is saturated, 16 a message.
    """
    rounds = [_round(index, server, station, LOAD * capacity) for _ in range(N_ROUNDS)]
    return {"rate": LOAD * capacity} | {key: float(np.median([one[key] for one in rounds])) for key in rounds[0]}


def _round(index: InspectionIndex, server: ServerProcess, station: Station, rate: float) -> dict[str, float]:
    queries = station.queries()
    compute_16 = compute_ms(index, queries, SIZE, gap_s=0.0)
    compute_1 = compute_ms(index, queries, 1, gap_s=1 / IDLE_RATE)
    loaded = _send(server, station, SIZE, N_STREAMS, N_MESSAGES, rate)
    idle = _send(server, station, 1, 1, N_IDLE, IDLE_RATE)
    few, many = (_send(server, station, SIZE, n, N_MESSAGES, rate) for n in (FEW_STREAMS, MANY_STREAMS))
    return {
        "compute_16_ms": compute_16,
        "p50_16_ms": loaded.told["p50_ms"],
        "p99_16_ms": loaded.told["p99_ms"],
        "p99_16": loaded.told["p99_ms"] / compute_16,
        "late_16_ms": loaded.told["late_p99_ms"],
        "compute_1_ms": compute_1,
        "idle_p50_ms": idle.told["p50_ms"],
        "idle_ms": idle.told["p50_ms"] - compute_1,
        f"streams_{FEW_STREAMS}_us": 1e6 * few.server_s / (SIZE * N_MESSAGES),
        f"streams_{MANY_STREAMS}_us": 1e6 * many.server_s / (SIZE * N_MESSAGES),
        "streams_ratio": many.server_s / few.server_s,
    }


def _send(server: ServerProcess, station: Station, size: int, n_streams: int, n_messages: int, rate: float) -> Went:
    plan = Plan(
        address=server.address,
        queries=str(station.queries_file),
        size=size,
        n_streams=n_streams,
        n_messages=n_messages,
        rate=rate,
    )
    return plan.run(server.process.pid)
