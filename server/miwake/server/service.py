"""The rpcs of ``miwake.inspection.v1.InspectionService``."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

from miwake.inspection.v1 import inspection_service_pb2_grpc
from miwake.server import wire
from miwake.server.batcher import Lane
from miwake.server.errors import DeadlineError, OverloadedError, StoppingError
from miwake.server.intake import search_jobs, verdict_jobs
from miwake.server.stream import InspectStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import grpc

    from miwake.inspection.v1 import inspection_service_pb2
    from miwake.server.batcher import Batcher
    from miwake.server.intake import Limits
    from miwake.server.jobs import Delivery, Job
    from miwake.server.stations import Stations

STREAM_RETRY_AFTER_S = 5.0
"""When to try again where too many streams are open: they last."""


class InspectionService(inspection_service_pb2_grpc.InspectionServiceServicer):
    """Judges vectors with the index of their station.

    Every stream takes one thread of the server's pool, which answers, and one of its own, which reads.

    Parameters
    ----------
    stations, batcher, limits
        What answers, where it is computed, and how much at once.
    encoded : function of seconds, optional
        Told how long each response of a stream took to be encoded.
    """

    def __init__(
        self, *, stations: Stations, batcher: Batcher, limits: Limits, encoded: Callable[[float], object] | None = None
    ) -> None:
        self._stations = stations
        self._encoded = encoded
        self._batcher = batcher
        self._limits = limits
        self._readers = ThreadPoolExecutor(limits.max_streams, thread_name_prefix="reader")
        self._changed = threading.Condition()
        self._streams: set[InspectStream] = set()
        self._n_calls = 0
        self._is_stopping = False

    def Inspect(  # noqa: N802 - the contract's name
        self, request_iterator: Iterator[inspection_service_pb2.InspectRequest], context: grpc.ServicerContext
    ) -> Iterator[inspection_service_pb2.InspectResponse]:
        """Judge a stream of vectors."""
        stream = InspectStream(
            stations=self._stations, batcher=self._batcher, limits=self._limits, encoded=self._encoded
        )
        with self._open(stream):
            context.add_callback(stream.cancel)
            self._readers.submit(stream.read, request_iterator)
            yield from stream.answers()

    def Classify(  # noqa: N802
        self, request: inspection_service_pb2.ClassifyRequest, context: grpc.ServicerContext
    ) -> inspection_service_pb2.ClassifyResponse:
        """Judge a batch of vectors."""
        with self._open():
            jobs = verdict_jobs(request, self._stations.get(request.station).index, self._limits)
            return wire.classify_response(self._answer(jobs, context))

    def SearchNeighbours(  # noqa: N802
        self, request: inspection_service_pb2.SearchNeighboursRequest, context: grpc.ServicerContext
    ) -> inspection_service_pb2.SearchNeighboursResponse:
        """Find the references nearest to each vector of a batch."""
        with self._open():
            jobs = search_jobs(request, self._stations.get(request.station).index, self._limits)
            return wire.search_response(self._answer(jobs, context))

    @property
    def n_streams(self) -> int:
        """Open ``Inspect`` streams."""
        return len(self._streams)

    def drain(self, timeout_s: float) -> int:
        """Take nothing new, and wait until everything accepted is answered.

        Returns
        -------
        int
            Calls that were still open when the time was over.
        """
        with self._changed:
            self._is_stopping = True
            streams = tuple(self._streams)
        for stream in streams:
            stream.drain()
        with self._changed:
            self._changed.wait_for(lambda: not self._n_calls, timeout_s)
            return self._n_calls

    def close(self) -> None:
        """End the reading threads; every call must have ended."""
        self._readers.shutdown()

    def _answer(self, jobs: Sequence[Job], context: grpc.ServicerContext) -> list[Delivery]:
        """Have a unary call's jobs answered.

        Raises
        ------
        OverloadedError
            If the queue is full.
        DeadlineError
            If the caller is gone before the answer is there.
        """
        arrived: SimpleQueue[Delivery | None] = SimpleQueue()
        lane = Lane(arrived.put)
        context.add_callback(lambda: arrived.put(None))
        self._batcher.submit(lane, jobs, wait=False)
        deliveries: list[Delivery] = []
        while sum(len(delivery.answered) for delivery in deliveries) < len(jobs):
            delivery = arrived.get()
            if delivery is None:
                self._batcher.cancel(lane)
                raise DeadlineError
            deliveries.append(delivery)
        return deliveries

    @contextmanager
    def _open(self, stream: InspectStream | None = None) -> Iterator[None]:
        """Count a call for as long as it is open.

        Raises
        ------
        StoppingError
            If the server is stopping.
        OverloadedError
            If it is a stream, and too many are open.
        """
        limit = self._limits.max_streams
        with self._changed:
            if self._is_stopping:
                raise StoppingError
            if stream is not None:
                if len(self._streams) >= limit:
                    raise OverloadedError(what="open streams", limit=limit, retry_after_s=STREAM_RETRY_AFTER_S)
                self._streams.add(stream)
            self._n_calls += 1
        try:
            yield
        finally:
            with self._changed:
                if stream is not None:
                    self._streams.remove(stream)
                self._n_calls -= 1
                self._changed.notify_all()
