"""All streams that can be taken up again: those that a call has, and for a while those that no call has any more."""

from __future__ import annotations

import threading
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from miwake.server import wire
from miwake.server.errors import RequestError
from miwake.server.stream import Stream

if TYPE_CHECKING:
    from miwake.inspection.v1 import inspection_service_pb2
    from miwake.server.batcher import Batcher
    from miwake.server.intake import Limits
    from miwake.server.recording import Recorder
    from miwake.server.stations import Station, Stations
    from miwake.server.stream import Call

LONGEST_ID = 200
"""Characters of a stream's name."""

MOST_RECEIVED = 2**62
"""Answers that a caller may say it has: far beyond any stream, and far enough from where 64 bits end."""


class Parked(NamedTuple):
    """Until when a stream without a call is remembered, and what it takes."""

    until: float
    n_bytes: int


class Streams:
    """The streams of a server.

    Parameters
    ----------
    stations : Stations
    batcher : Batcher
    limits : Limits
    recorder : Recorder, optional
    """

    def __init__(
        self, stations: Stations, batcher: Batcher, limits: Limits, *, recorder: Recorder | None = None
    ) -> None:
        self._stations = stations
        self._batcher = batcher
        self._limits = limits
        self._recorder = recorder
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Stream] = {}
        self._parked: OrderedDict[Stream, Parked] = OrderedDict()
        self._n_bytes = 0
        self._is_closed = False

    @property
    def n_parked(self) -> int:
        """Streams that no call has."""
        return len(self._parked)

    def open(self, call: Call, request: inspection_service_pb2.InspectRequest) -> Stream:
        """Return the stream that the first message of a call names, or a new one; the call has it from now on.

        Raises
        ------
        RequestError
            If the message contradicts what is known of the stream; the call that has it goes on.
        UnknownStationError, IndexNotLoadedError
            As ``Stations.get``.
        MissingGenerationError, UnusableGenerationError, OverloadedError
            As ``Pins.take``.
        """
        n_received = wire.read_n_received(request)
        _check_first(request.stream_id, n_received)
        station = self._stations.get(request.station)
        # What is pinned may take long to open: no lock is held.
        new = self._new(station, request, n_received or 0)
        if not request.stream_id:
            new.begin(call, 0)
            return new
        stream = new
        try:
            with self._lock:
                stream = self._take_up(new, call, n_received)
        except RequestError:
            self._end(new)
            raise
        if stream is not new:
            self._end(new)
        return stream

    def leave(self, stream: Stream, call: Call) -> None:
        """Keep a stream that its call has left for a while, so that it can be taken up again."""
        if not stream.stream_id:
            if stream.leave(call):
                self._end(stream)
            return
        with self._lock:
            if not stream.leave(call):
                return
            n_bytes = stream.n_bytes()
            self._parked[stream] = Parked(monotonic() + self._limits.resume_s, n_bytes)
            self._n_bytes += n_bytes
            self._forget_old()

    def close(self) -> None:
        """Forget what no call has, now and from now on."""
        with self._lock:
            self._is_closed = True
            self._forget_old()

    def _take_up(self, new: Stream, call: Call, n_received: int | None) -> Stream:
        """Return what is known under the name of a new stream, or else that."""
        self._forget_old()
        key = new.station.name, new.stream_id
        known = self._known.get(key)
        if known is not None:
            if n_received is None:
                problem = (
                    f"{new.stream_id!r}: a stream of this name is known here; to take it up again, give n_received"
                )
                raise RequestError(field="stream_id", problem=problem)
            if known.generation != new.generation:
                problem = f"{new.generation!r}, where the stream began with {known.generation!r}: it cannot change"
                raise RequestError(field="generation", problem=problem)
            if known.begin(call, n_received):
                self._unpark(known)
                return known
            self._forget(known)
        self._known[key] = new
        new.begin(call, n_received or 0)
        return new

    def _new(self, station: Station, request: inspection_service_pb2.InspectRequest, n_received: int) -> Stream:
        pin = self._stations.pins.take(station, request.generation) if request.generation else None
        return Stream(
            station,
            self._batcher,
            self._limits,
            recorder=self._recorder,
            pin=pin,
            stream_id=request.stream_id,
            n_received=n_received,
        )

    def _forget_old(self) -> None:
        """Forget parked streams whose time is over, and the oldest of too many."""
        now = monotonic()
        while self._parked:
            stream, parked = next(iter(self._parked.items()))
            is_one_too_many = len(self._parked) > self._limits.max_streams or self._n_bytes > self._limits.parked_bytes
            if not (self._is_closed or is_one_too_many or parked.until <= now):
                return
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        self._unpark(stream)
        del self._known[stream.station.name, stream.stream_id]
        self._end(stream)

    def _unpark(self, stream: Stream) -> None:
        parked = self._parked.pop(stream, None)
        if parked is not None:
            self._n_bytes -= parked.n_bytes

    def _end(self, stream: Stream) -> None:
        stream.forget()
        if stream.pin is not None:
            self._stations.pins.give_back(stream.pin)


def _check_first(stream_id: str, n_received: int | None) -> None:
    """Refuse a first message whose stream cannot be."""
    if len(stream_id) > LONGEST_ID:
        problem = f"{len(stream_id)} characters, expected at most {LONGEST_ID}"
        raise RequestError(field="stream_id", problem=problem)
    if n_received is None:
        return
    if not stream_id:
        problem = f"{n_received} in a stream without a stream_id, which cannot be taken up again"
        raise RequestError(field="n_received", problem=problem)
    if n_received > MOST_RECEIVED:
        raise RequestError(field="n_received", problem=f"{n_received}, expected at most {MOST_RECEIVED}")
