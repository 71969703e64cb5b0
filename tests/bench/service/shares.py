"""How much of the server's processor time is the index's: what one process would take, over what the server takes.

Processor time and not elapsed time, since the load runs beside the server: ``share_16`` of 0.8 says that of every core
that the server uses, four fifths do what a loop over ``index.classify`` in batches of 64 would do on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.service.in_process import classify_us
from bench.service.load import Plan
from bench.service.processes import run_load

if TYPE_CHECKING:
    from bench.service.station import Station
    from miwake.indexer.index import InspectionIndex
    from support.serving import ServerProcess

N_ROUNDS = 5
N_VECTORS = 8192
"""In a round; every kind of load has its turn in each."""


class Messages(NamedTuple):
    """Vectors in a message, and streams that send such messages."""

    size: int
    n_streams: int


SATURATING = (Messages(64, 2), Messages(16, 4), Messages(1, 8))


def shares(index: InspectionIndex, server: ServerProcess, station: Station) -> dict[str, float]:
    """Return the shares and the µs a vector behind them: medians of rounds, after one that is not counted."""
    rounds = [_round(index, server, station) for _ in range(N_ROUNDS + 1)][1:]
    return {key: float(np.median([one[key] for one in rounds])) for key in rounds[0]}


def _round(index: InspectionIndex, server: ServerProcess, station: Station) -> dict[str, float]:
    alone = classify_us(index, station.queries())
    found = {"index_us": alone}
    for messages in SATURATING:
        plan = Plan(
            address=server.address,
            queries=str(station.queries_file),
            size=messages.size,
            n_streams=messages.n_streams,
            n_messages=N_VECTORS // messages.size,
        )
        went = plan.run(server.process.pid)
        found |= _found(alone, str(messages.size), went.server_s)
        found[f"per_second_{messages.size}"] = N_VECTORS / went.elapsed_s
    arguments = (server.address, str(station.queries_file), str(N_VECTORS), "singly")
    went = run_load("client_load", *arguments, server_pid=server.process.pid)
    found |= _found(alone, "client", went.server_s)
    found["client_us"] = 1e6 * went.client_s / N_VECTORS
    found["per_second_client"] = N_VECTORS / went.elapsed_s
    return found


def _found(alone: float, key: str, server_s: float) -> dict[str, float]:
    served = 1e6 * server_s / N_VECTORS
    return {f"served_{key}_us": served, f"share_{key}": alone / served}
