"""What the services have in common: the stations that answer, the thread that computes, the calls that wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.server.calls import Calls
from miwake.server.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.server.batcher import Batcher
    from miwake.server.intake import Limits
    from miwake.server.recording import Recorder
    from miwake.server.stations import Stations


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What is behind the services of one server.

    Attributes
    ----------
    stations : Stations
    batcher : Batcher
    calls : Calls
    streams : Streams
    limits : Limits
    encoded : function of seconds, or None
        Told how long each response of a stream took to be encoded.
    recorder : Recorder or None
        Given every delivery of verdicts, where they are recorded.
    """

    stations: Stations
    batcher: Batcher
    calls: Calls
    streams: Streams
    limits: Limits
    encoded: Callable[[float], object] | None = None
    recorder: Recorder | None = None

    @classmethod
    def of(
        cls,
        stations: Stations,
        batcher: Batcher,
        limits: Limits,
        *,
        encoded: Callable[[float], object] | None = None,
        recorder: Recorder | None = None,
    ) -> Engine:
        """Return an engine that no call has been made to yet."""
        streams = Streams(stations, batcher, limits, recorder=recorder)
        return cls(
            stations=stations,
            batcher=batcher,
            calls=Calls(batcher, streams, max_streams=limits.max_streams, recorder=recorder),
            streams=streams,
            limits=limits,
            encoded=encoded,
            recorder=recorder,
        )
