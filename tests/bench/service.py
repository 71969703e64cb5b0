"""What the service costs over the index itself: the server's CPU time a vector against the index's in this process.

CPU time and not elapsed time, since the load generator runs beside the server. The station is a light one (a linear
embedder, a few thousand references), so that what the service adds is seen: a heavier one only raises the shares.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from miwake.indexer.build import build
from miwake.indexer.opening import open_index
from miwake.indexer.splits import held_out_split
from miwake.indexer.synthetic.generator import generate
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2
from miwake.server import wire
from miwake.server.compute import answer
from miwake.server.jobs import Delivery, Job, Task
from support.embedders import linear_discriminants
from support.plain_messages import plain_verdict
from support.serving import STATION, open_channel, packed, requests_of, running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch
    from miwake.server.index import Index
    from support.serving import ServerProcess

    Vectors = NDArray[np.float32]

N_PARTS, N_VECTORS, BATCH, N_ROUNDS, N_WRITES = 1500, 8192, 64, 5, 20
WINDOW = 256
"""Vectors that a stream's caller lets be unanswered."""

METHOD = "/miwake.inspection.v1.InspectionService/Inspect"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """How vectors are sent: so many a message, on so many streams."""

    size: int
    n_streams: int


LOADS = (Load(64, 2), Load(16, 4), Load(1, 8))


def measure() -> dict[str, float]:
    """Return the share of the server's CPU time that is the index's, by vectors a message, and the times behind it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        training, test = held_out_split(generate(n_parts=N_PARTS, seed=1))
        linear_discriminants(folder / "embedder", training)
        build(folder / "store", STATION, training, folder / "embedder")
        queries = test.vectors[np.arange(N_VECTORS) % len(test)]
        index = open_index(folder / "store" / STATION)
        with running_server(folder / "store", folder / "log") as server:
            rounds = [_round(index, server, queries) for _ in range(N_ROUNDS)]
    return {key: float(np.median([one[key] for one in rounds])) for key in rounds[0]}


def _round(index: Index, server: ServerProcess, queries: Vectors) -> dict[str, float]:
    """Measure every side once, in turn."""
    alone = _index_us(index, queries)
    written, written_plainly = _write_us(index, queries)
    found = {"index_us": alone, "write_us": written, "write_plainly_us": written_plainly}
    for load in LOADS:
        served = _served_us(server, queries, load)
        found[f"served_{load.size}_us"] = served
        found[f"share_{load.size}"] = alone / served
    return found


def _index_us(index: Index, queries: Vectors) -> float:
    def classify() -> None:
        for start in range(0, len(queries), BATCH):
            index.classify(queries[start : start + BATCH], n_neighbours=15)

    return _cpu_us(classify) / len(queries)


def _write_us(index: Index, queries: Vectors) -> tuple[float, float]:
    """Return what a verdict of a response of 64 takes to be written and serialised, and its slow twin."""
    items = wire.read_items(packed(queries[:BATCH]), context=None, n_values=queries.shape[1], first_sequence=0)
    (answered,) = answer([Job(index=index, task=Task.CLASSIFY, n_neighbours=15, items=items)])
    delivery = Delivery(answered=(answered,), index=index, queue_ms=0, compute_ms=0, batch_size=BATCH)
    results = answered.slices[0].results
    batch = cast("VerdictBatch", results.batch)

    def write() -> None:
        for _ in range(N_WRITES):
            results.columns = None
            wire.inspect_response(delivery).SerializeToString()

    def write_plainly() -> None:
        for _ in range(N_WRITES):
            answers = [
                answer_pb2.Answer(id=id_, verdict=plain_verdict(batch, row)) for row, id_ in enumerate(items.ids)
            ]
            inspection_service_pb2.InspectResponse(answers=answers).SerializeToString()

    return _cpu_us(write) / (N_WRITES * BATCH), _cpu_us(write_plainly) / (N_WRITES * BATCH)


def _cpu_us(run: Callable[[], None]) -> float:
    begin = time.process_time()
    run()
    return 1e6 * (time.process_time() - begin)


def _served_us(server: ServerProcess, queries: Vectors, load: Load) -> float:
    vectors = packed(queries[: len(queries) // load.n_streams])
    messages = [request.SerializeToString() for request in requests_of(vectors, size=load.size)]
    threads = [
        threading.Thread(target=_stream, args=(server.address, messages, load.size)) for _ in range(load.n_streams)
    ]
    begin = _process_s(server.process.pid)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1e6 * (_process_s(server.process.pid) - begin) / len(queries)


def _stream(address: str, messages: list[bytes], size: int) -> None:
    """Send messages within a window of unanswered vectors; they come serialised, so that the server is what is slow."""
    room = threading.Semaphore(WINDOW // size)

    def requests() -> Iterator[bytes]:
        for message in messages:
            room.acquire()
            yield message

    n_answered = 0
    with open_channel(address) as channel:
        inspect = channel.stream_stream(
            METHOD,
            request_serializer=bytes,
            response_deserializer=inspection_service_pb2.InspectResponse.FromString,
        )
        for response in inspect(requests()):
            n_before = n_answered // size
            n_answered += len(response.answers)
            for _ in range(n_answered // size - n_before):
                room.release()
    assert n_answered == len(messages) * size


def _process_s(pid: int) -> float:
    """Return the CPU time that a process has taken so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
