"""One ``Inspect`` stream: one thread reads and submits, another yields the answers in order."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum, auto
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING

import grpc

from miwake.server import wire
from miwake.server.batcher import Lane
from miwake.server.errors import RequestError
from miwake.server.intake import verdict_jobs
from miwake.server.jobs import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.inspection.v1 import inspection_service_pb2
    from miwake.server.engine import Engine
    from miwake.server.stations import Station


class Signal(Enum):
    """What the answering thread is told beside deliveries."""

    READ_ALL = auto()
    DRAIN = auto()
    GONE = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """What ended the reading; raised once everything accepted before is answered."""

    error: Exception


class InspectStream:
    """The state that a stream's two threads share.

    Vectors are *accepted* once they are counted here; every accepted one is answered, also when the server drains.
    """

    def __init__(self, engine: Engine) -> None:
        self._stations = engine.stations
        self._batcher = engine.batcher
        self._limits = engine.limits
        self._encoded = engine.encoded
        self._events: SimpleQueue[Delivery | Signal | Failure] = SimpleQueue()
        self._lane = Lane(self._events.put)
        self._station: Station | None = None
        self._room = threading.Condition(threading.Lock())
        self._n_accepted = 0
        self._n_answered = 0
        self._takes_more = True

    def read(self, requests: Iterator[inspection_service_pb2.InspectRequest]) -> None:
        """Accept what the caller sends until it ends, the stream drains, or a request is refused."""
        try:
            while self._has_room():
                request = next(requests, None)
                if request is None:
                    self._events.put(Signal.READ_ALL)
                    return
                self._accept(request)
        except grpc.RpcError:
            self.cancel()
        except Exception as error:  # noqa: BLE001 - raised again by the thread that can tell the caller
            self._events.put(Failure(error))

    def answers(self) -> Iterator[inspection_service_pb2.InspectResponse]:
        """Yield the responses: one for each computed batch that held vectors of this stream.

        Raises
        ------
        RequestError, UnknownStationError, IndexNotLoadedError
            If a request is refused; everything accepted before it has been answered by then.
        """
        try:
            end: Signal | Failure | None = None
            while end is None or self._n_answered < self._n_accepted:
                event = self._events.get()
                if isinstance(event, Delivery):
                    yield self._encode(event)
                    self._count_answered(len(event))
                elif event is Signal.GONE:
                    return
                else:
                    end = event
                    if event is Signal.DRAIN:
                        yield wire.draining_response(self._n_accepted)
            if isinstance(end, Failure):
                raise end.error
        finally:
            self.cancel()

    def drain(self) -> None:
        """Accept nothing more, and say so to the caller."""
        with self._room:
            if self._takes_more:
                self._takes_more = False
                self._room.notify()
                self._events.put(Signal.DRAIN)

    def cancel(self) -> None:
        """Forget the stream: the caller is gone, or has everything."""
        with self._room:
            self._takes_more = False
            self._room.notify()
        self._batcher.cancel(self._lane)
        self._events.put(Signal.GONE)

    def _encode(self, delivery: Delivery) -> inspection_service_pb2.InspectResponse:
        started = perf_counter()
        response = wire.inspect_response(delivery)
        if self._encoded is not None:
            self._encoded(perf_counter() - started)
        return response

    def _has_room(self) -> bool:
        """Wait until the window has room; return false once the stream takes no more."""
        with self._room:
            while self._takes_more and self._n_accepted - self._n_answered >= self._limits.stream_window:
                self._room.wait()
            return self._takes_more

    def _accept(self, request: inspection_service_pb2.InspectRequest) -> None:
        jobs = verdict_jobs(request, self._station_of(request).index, self._limits, first_sequence=self._n_accepted)
        with self._room:
            if not self._takes_more:
                return
            self._n_accepted += len(request.vectors)
        if request.vectors:
            self._batcher.submit(self._lane, jobs, wait=True)

    def _station_of(self, request: inspection_service_pb2.InspectRequest) -> Station:
        if self._station is None:
            self._station = self._stations.get(request.station)
        elif request.station not in ("", self._station.name):
            problem = f"{request.station!r} in a stream of station {self._station.name!r}, which cannot change"
            raise RequestError(field="station", problem=problem)
        return self._station

    def _count_answered(self, n_answered: int) -> None:
        with self._room:
            self._n_answered += n_answered
            self._room.notify()
