"""One ``Inspect`` call: one thread reads and submits, another yields the answers in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING

import grpc

from miwake.server import wire
from miwake.server.errors import RequestError, StreamTakenOverError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.inspection.v1 import inspection_service_pb2
    from miwake.server.engine import Engine
    from miwake.server.stream import Stream


class Signal(Enum):
    """What the answering thread is told."""

    DUE = auto()
    READ_ALL = auto()
    DRAIN = auto()
    GONE = auto()


@dataclass(frozen=True, slots=True)
class BackOff:
    """The queue is full; the caller may look again after so many seconds."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """What ended the reading; raised once everything accepted before is answered."""

    error: Exception


Event = Signal | BackOff | Failure


class InspectCall:
    """What a call's two threads share: the stream, which the first message names, and what one tells the other.

    Attributes
    ----------
    stream : Stream or None
        None before the first message.
    takes_more : bool
        Whether vectors are still accepted; those that were are answered, also when the server drains.
    """

    def __init__(self, engine: Engine) -> None:
        self._streams = engine.streams
        self._encoded = engine.encoded
        self._events: SimpleQueue[Event] = SimpleQueue()
        self.stream: Stream | None = None
        self._is_gone = False
        self._is_superseded = False
        self._n_recorded_told = 0
        self.takes_more = True

    def read(self, requests: Iterator[inspection_service_pb2.InspectRequest]) -> None:
        """Accept what the caller sends until it ends, the stream drains, or a request is refused."""
        try:
            while self.takes_more and (self.stream is None or self.stream.wait_for_room(self)):
                request = next(requests, None)
                if request is None:
                    self._events.put(Signal.READ_ALL)
                    return
                self._accept(request)
        except grpc.RpcError:
            self.leave()
        except Exception as error:  # noqa: BLE001 - raised again by the thread that can tell the caller
            self._events.put(Failure(error))

    def answers(self) -> Iterator[inspection_service_pb2.InspectResponse]:
        """Yield the responses: one for each computed batch that held vectors of this stream.

        Raises
        ------
        RequestError, UnknownStationError, IndexNotLoadedError
            If a request is refused; everything accepted before it has been answered by then.
        StreamTakenOverError
            If another call has taken the stream up.
        """
        try:
            end: Event | None = None
            is_acknowledged = False
            while end is None or not self._is_answered():
                event = self._events.get()
                if event is Signal.GONE or self._is_superseded:
                    break
                if self.stream is not None and self.stream.stream_id and not is_acknowledged:
                    is_acknowledged = True
                    yield self._acknowledge(self.stream, wire.acknowledgement_response())
                if isinstance(event, BackOff):
                    yield wire.back_off_response(event.retry_after_s)
                elif event is not Signal.DUE and not isinstance(end, Failure):
                    end = event
                    if event is Signal.DRAIN:
                        yield wire.draining_response(0 if self.stream is None else self.stream.n_accepted)
                if self.stream is not None:
                    yield from self._due(self.stream)
            if self._is_superseded and self.stream is not None:
                raise StreamTakenOverError(self.stream.stream_id)
            if isinstance(end, Failure) and not self._is_gone:
                raise end.error
        finally:
            self.leave()

    def drain(self) -> None:
        """Accept nothing more, and say so to the caller."""
        if self.takes_more:
            self._stop_reading()
            self._events.put(Signal.DRAIN)

    def leave(self) -> None:
        """Let go of the stream: the caller is gone, or has everything."""
        self._is_gone = True
        self._stop_reading()
        if self.stream is not None:
            self._streams.leave(self.stream, self)
        self._events.put(Signal.GONE)

    def answers_are_due(self) -> None:
        """Wake the answering thread."""
        self._events.put(Signal.DUE)

    def back_off(self, retry_after_s: float) -> None:
        """Say that the queue is full."""
        self._events.put(BackOff(retry_after_s))

    def is_taken_over(self) -> None:
        """End the call."""
        self._is_superseded = True
        self.takes_more = False
        self._events.put(Signal.DUE)

    def _accept(self, request: inspection_service_pb2.InspectRequest) -> None:
        stream = self.stream
        if stream is None:
            stream = self.stream = self._streams.open(self, request)
            self._events.put(Signal.DUE)
            if self._is_gone:  # it may have looked for the stream before there was one
                self.leave()
        else:
            _check_unchanged(stream, request)
        stream.accept(self, request)

    def _stop_reading(self) -> None:
        self.takes_more = False
        if self.stream is not None:
            self.stream.stop_waiting()

    def _is_answered(self) -> bool:
        return self.stream is None or self.stream.is_answered

    def _due(self, stream: Stream) -> Iterator[inspection_service_pb2.InspectResponse]:
        """Yield what can be sent now."""
        is_telling = bool(stream.stream_id) or stream.n_recorded is not None
        while taken := stream.take(self):
            share, n_left_out = taken
            started = perf_counter()
            response = share.payload.response()
            if share.is_recorded:
                response.provenance.recorded = True
            if n_left_out:
                response = wire.without_first(response, n_left_out)
            if is_telling:
                self._acknowledge(stream, response)
            if self._encoded is not None:
                self._encoded(perf_counter() - started)
            yield response
        if stream.n_recorded is not None and stream.is_all_recorded and stream.n_recorded > self._n_recorded_told:
            yield self._acknowledge(stream, wire.acknowledgement_response())

    def _acknowledge(
        self, stream: Stream, response: inspection_service_pb2.InspectResponse
    ) -> inspection_service_pb2.InspectResponse:
        n_recorded = stream.n_recorded
        self._n_recorded_told = n_recorded or 0
        return wire.acknowledge(response, n_accepted=stream.n_accepted, n_recorded=n_recorded)


def _check_unchanged(stream: Stream, request: inspection_service_pb2.InspectRequest) -> None:
    """Refuse a later message that says another thing than the first about what cannot change."""
    if request.station not in ("", stream.station.name):
        problem = f"{request.station!r} in a stream of station {stream.station.name!r}, which cannot change"
        raise RequestError(field="station", problem=problem)
    if request.stream_id not in ("", stream.stream_id):
        problem = f"{request.stream_id!r} in stream {stream.stream_id!r}: it is named by the first message"
        raise RequestError(field="stream_id", problem=problem)
    if request.generation and request.generation != stream.generation:
        problem = f"{request.generation!r}, where the first message says {stream.generation!r}: it cannot change"
        raise RequestError(field="generation", problem=problem)
