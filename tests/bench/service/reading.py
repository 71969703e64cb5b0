"""What a vector takes in the client beside gRPC: packed into a request, and its answer unpacked and read whole."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.service.client_load import read
from bench.service.in_process import BATCH, processor_us
from miwake.client.packing import classify_request
from miwake.client.unpacking import unpack_answers
from miwake.indexer.index import DEFAULT_NEIGHBOURS
from miwake.inspection.v1 import inspection_service_pb2
from miwake.server import wire
from miwake.server.compute import answer
from miwake.server.jobs import Delivery, Job, Task
from support.serving import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.service.station import Station
    from miwake.indexer.index import InspectionIndex

N_TIMES = 100
N_ROUNDS = 5
N_KEPT = 1000


def reading_us(index: InspectionIndex, station: Station) -> dict[str, float]:
    """Return the processor time of a vector in messages of 64, in µs, the least of some rounds; and what one keeps."""
    queries = station.queries()[:BATCH]
    items = wire.read_items(packed(queries), context=None, n_values=queries.shape[1], first_sequence=0)
    job = Job(index=index, task=Task.CLASSIFY, n_neighbours=DEFAULT_NEIGHBOURS, items=replace(items, as_arrays=True))
    delivery = Delivery(answered=tuple(answer([job])), index=index, queue_ms=0, compute_ms=0, batch_size=BATCH)
    data = wire.inspect_response(delivery).SerializeToString()

    def pack() -> None:
        classify_request(queries, station="", ids=None, context=None, n_neighbours=None).encoded()

    def unpack() -> None:
        unpack_answers(inspection_service_pb2.InspectResponse.FromString(data), 0)

    def unpack_and_read() -> None:
        found = unpack_answers(inspection_service_pb2.InspectResponse.FromString(data), 0)
        assert all(map(read, found))

    unpack_us = _least_us(unpack)
    return {
        "client_pack_us": _least_us(pack),
        "client_unpack_us": unpack_us,
        "client_read_us": _least_us(unpack_and_read) - unpack_us,
        "client_kept_bytes": _kept_bytes(data),
    }


def _kept_bytes(data: bytes) -> float:
    """Return the memory that is taken for each vector of a message of which one answer is kept unread."""
    unpacked = [unpack_answers(inspection_service_pb2.InspectResponse.FromString(data), 0)[0] for _ in range(N_TIMES)]
    before = _resident_bytes()
    unpacked += [unpack_answers(inspection_service_pb2.InspectResponse.FromString(data), 0)[0] for _ in range(N_KEPT)]
    return (_resident_bytes() - before) / (N_KEPT * BATCH)


def _resident_bytes() -> int:
    n_pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(n_pages) * resource.getpagesize()


def _least_us(run: Callable[[], None]) -> float:
    def some() -> None:
        for _ in range(N_TIMES):
            run()

    return min(processor_us(some) for _ in range(N_ROUNDS)) / (N_TIMES * BATCH)
