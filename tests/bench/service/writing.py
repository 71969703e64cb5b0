"""What a verdict takes to be written into a response: in arrays, as a message, and as a message built plainly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from bench.service.in_process import BATCH, processor_us
from miwake.indexer.index import DEFAULT_NEIGHBOURS
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2
from miwake.server import wire
from miwake.server.compute import answer
from miwake.server.jobs import Delivery, Job, Task
from support.plain_messages import plain_verdict
from support.serving import packed

if TYPE_CHECKING:
    from bench.service.station import Station
    from miwake.indexer.answers import VerdictBatch
    from miwake.indexer.index import InspectionIndex

N_WRITES = 40


def writing_us(index: InspectionIndex, station: Station) -> dict[str, float]:
    """Return the processor time of a verdict in a response of 64, written and serialised, in µs."""
    queries = station.queries()[:BATCH]
    items = wire.read_items(packed(queries), context=None, n_values=queries.shape[1], first_sequence=0)
    (answered,) = answer([Job(index=index, task=Task.CLASSIFY, n_neighbours=DEFAULT_NEIGHBOURS, items=items)])
    delivery = Delivery(answered=(answered,), index=index, queue_ms=0, compute_ms=0, batch_size=BATCH)
    results = answered.slices[0].results
    batch = cast("VerdictBatch", results.batch)

    in_arrays = replace(delivery, answered=(replace(answered, items=replace(items, as_arrays=True)),))

    def write() -> None:
        for _ in range(N_WRITES):
            wire.inspect_response(in_arrays).SerializeToString()

    def write_messages() -> None:
        for _ in range(N_WRITES):
            results.columns = None
            wire.inspect_response(delivery).SerializeToString()

    def write_plainly() -> None:
        for _ in range(N_WRITES):
            answers = [
                answer_pb2.Answer(id=id_, verdict=plain_verdict(batch, row)) for row, id_ in enumerate(items.ids)
            ]
            inspection_service_pb2.InspectResponse(answers=answers).SerializeToString()

    return {
        "write_us": processor_us(write) / (N_WRITES * BATCH),
        "write_messages_us": processor_us(write_messages) / (N_WRITES * BATCH),
        "write_plainly_us": processor_us(write_plainly) / (N_WRITES * BATCH),
    }
