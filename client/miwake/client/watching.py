"""What changes at a server: its health, and what each of its stations serves."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from miwake.client.errors import MiwakeError, translate_error
from miwake.client.retry import DEFAULT_RETRY, BackOff, is_worth_retrying
from miwake.inspection.v1 import index_service_pb2
from miwake.inspection.v1.index_service_pb2_grpc import IndexServiceStub

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from miwake.client.channel import Connection

SERVER = "server"
UNREACHABLE = "UNREACHABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something is other than it was.

    Attributes
    ----------
    at : datetime
        When it was noticed, UTC.
    station : text
        The station; empty for the server as a whole.
    now : mapping of text to value
        Of the server ``health`` and, where it cannot be reached, ``problem``; of a station ``generation``,
        ``revision``, ``n_references``, ``is_searched``, ``problem``.
    """

    at: datetime
    station: str
    now: dict[str, Any]

    def text(self) -> str:
        """Return the change as a line."""
        now, name = self.now, self.station or SERVER
        if not self.station:
            what = now["health"]
        else:
            what = f"generation {now['generation'] or 'none'}, revision {now['revision']}"
            what += f", {now['n_references']} references"
            what += "" if now["is_searched"] else ", later changes wait for a rebuild"
        problem = f": {now['problem']}" if now["problem"] else ""
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ}  {name}  {what}{problem}"


class Watcher:
    """Follows a server's health as it tells it, and looks at its stations from time to time.

    Parameters
    ----------
    connection : Connection
    station : text
        The station to look at; empty for all.
    interval_s : float
        Between two looks, in seconds.
    timeout_s : float
        Of each look, in seconds.
    """

    def __init__(self, connection: Connection, *, station: str, interval_s: float, timeout_s: float) -> None:
        self._connection = connection
        self._station = station
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._channel = connection.open()
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._indexes = IndexServiceStub(self._channel)
        self._told: SimpleQueue[dict[str, Any] | MiwakeError] = SimpleQueue()
        self._is_over = threading.Event()
        self._seen: dict[str, dict[str, Any]] = {}

    def changes(self) -> Generator[Change]:
        """Yield what there is at first, and then every change, until closed.

        Raises
        ------
        MiwakeError
            If the server refuses to tell.
        """
        follower = threading.Thread(target=self._follow_health, name="miwake-health", daemon=True)
        follower.start()
        try:
            while True:
                yield from self._health_changes()
                yield from self._station_changes()
        finally:
            self._is_over.set()
            self._channel.close()

    def _health_changes(self) -> Iterator[Change]:
        try:
            told = self._told.get(timeout=self._interval_s)
        except Empty:
            return
        if isinstance(told, MiwakeError):
            raise told
        yield from self._note("", told)

    def _station_changes(self) -> Iterator[Change]:
        request = index_service_pb2.ListIndexesRequest(station=self._station)
        try:
            response = self._indexes.ListIndexes(request, timeout=self._timeout_s, metadata=self._connection.metadata)
        except grpc.RpcError as error:
            failure = translate_error(error, target=self._connection.target)
            if is_worth_retrying(failure) or isinstance(failure, TimeoutError):
                return
            raise failure from error
        for index in response.indexes:
            yield from self._note(index.station, _serving(index))

    def _note(self, station: str, now: dict[str, Any]) -> Iterator[Change]:
        if self._seen.get(station) != now:
            self._seen[station] = now
            yield Change(at=datetime.now(UTC), station=station, now=now)

    def _follow_health(self) -> None:
        back_off = BackOff(DEFAULT_RETRY)
        while not self._is_over.is_set():
            try:
                for response in self._health.Watch(health_pb2.HealthCheckRequest(), metadata=self._connection.metadata):
                    back_off.reset()
                    status = health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)
                    self._told.put({"health": status, "problem": ""})
                failure = MiwakeError("the server ended the watch")
            except grpc.RpcError as error:
                failure = translate_error(error, target=self._connection.target)
                if not is_worth_retrying(failure):
                    self._told.put(failure)
                    return
                self._told.put({"health": UNREACHABLE, "problem": " ".join(str(failure).split())})
            self._is_over.wait(back_off.wait_s(failure))


def _serving(index: index_service_pb2.Index) -> dict[str, Any]:
    return {
        "generation": index.serving,
        "revision": index.serving_revision,
        "n_references": index.n_references,
        "is_searched": index.follows,
        "problem": index.problem,
    }
