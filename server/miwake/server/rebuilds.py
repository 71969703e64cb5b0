"""Rebuilds: each is ``miwake-index rebuild`` in a process of its own, so that serving goes on beside it.

The process publishes whole or not at all, holds the station's lock, and may be killed at any moment. What has become of
it is in the store (``operations.py``), where every process of the server finds it.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from miwake.indexer.storage.generation import system_errors
from miwake.server.errors import BusyStationError, UnknownStationError
from miwake.server.operations import Begun, Operation, Operations, start_process, write_begun

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from miwake.server.stations import Station, Stations

log = structlog.get_logger()

PROGRAM = "import os; os.nice(10); from miwake.indexer.cli import app; app()"
"""Building gives way to serving."""

LOOK_S = 0.1
"""Between two looks at one that is watched."""


class Rebuilds:
    """The rebuilds of a store's stations, at most one at a time in each.

    Parameters
    ----------
    stations : Stations
        Told of each generation that is built, so that it serves at once.
    store : Path
        The folder that holds the stations.
    server : text
        The same in all processes of this server, and in no other's.
    """

    def __init__(self, stations: Stations, store: Path, *, server: str) -> None:
        self._stations = stations
        self._operations = Operations(store)
        self._server = server
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._taken_over: set[str] = set()

    def start(self, station: Station, *, stage: bool) -> Operation:
        """Begin to build a generation of the station's latest references.

        Raises
        ------
        BusyStationError
            If a rebuild of that station is under way, whoever began it.
        StoreError
            If it cannot be written down.
        """
        with system_errors(), self._operations.beginning():
            for one in self._operations.all():
                if one.station == station.name and not one.is_done:
                    raise BusyStationError(station.name, operation=one.name)
            folder = self._operations.make_folder()
            process = start_process(folder, [*_command(station), *(["--stage"] if stage else [])])
            begun = Begun(
                station=station.name,
                started_at=datetime.now(UTC).isoformat(),
                server=self._server,
                process_group=process.pid,
            )
            write_begun(folder, begun)
        log.info("rebuild_started", station=station.name, operation=folder.name)
        thread = threading.Thread(target=self._follow, args=(folder.name, process), name="rebuild")
        with self._lock:
            self._threads = [*(one for one in self._threads if one.is_alive()), thread]
        thread.start()
        return self._operations.get(folder.name)

    def get(self, name: str) -> Operation:
        """Return what has become of a rebuild; what it built serves by then.

        Raises
        ------
        UnknownOperationError
            If there is none of that name, or it has been over for long.
        """
        operation = self._operations.get(name)
        if operation.generation and name not in self._taken_over:
            self._take_over(operation)
        return operation

    def watch(self, name: str, *, is_unwanted: threading.Event) -> Iterator[Operation]:
        """Yield what has become of a rebuild whenever it changes, until it is over or nobody wants to know.

        Raises
        ------
        UnknownOperationError
            If there is none of that name.
        """
        seen: Operation | None = None
        while not (seen and seen.is_done) and not is_unwanted.is_set():
            operation = self.get(name)
            if operation == seen:
                is_unwanted.wait(LOOK_S)
            else:
                seen = operation
                yield operation

    def cancel(self, name: str) -> Operation:
        """End a rebuild, and return it once it is over; one that is over stays as it is.

        Raises
        ------
        UnknownOperationError
            If there is none of that name.
        """
        self._operations.cancel(name)
        return self.get(name)

    def close(self) -> None:
        """End this server's rebuilds that are under way, and wait for what follows them."""
        for one in self._operations.all():
            if one.server == self._server and not one.is_done:
                self._operations.cancel(one.name)
        with self._lock:
            threads = tuple(self._threads)
        for thread in threads:
            thread.join()

    def _follow(self, name: str, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        ended = self.get(name)
        log.info(
            "rebuild_ended",
            station=ended.station,
            operation=name,
            generation=ended.generation,
            error=ended.error or None,
        )

    def _take_over(self, operation: Operation) -> None:
        # It may be another server's, of other stations of the store.
        with suppress(UnknownStationError):
            self._stations.take_over(self._stations.get(operation.station))
        self._taken_over.add(operation.name)


def _command(station: Station) -> list[str]:
    program = [sys.executable, "-P", "-c", PROGRAM]
    return [*program, "rebuild", "--store", str(station.folder.parent), "--station", station.folder.name, "--json"]
