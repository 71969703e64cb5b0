"""Rebuilds under way: each is ``miwake-index rebuild`` in a process of its own, so that serving goes on beside it.

The process publishes whole or not at all, holds the station's lock, and may be killed at any moment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, cast

import structlog

from miwake.server.errors import BusyStationError, UnknownOperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from miwake.server.stations import Station, Stations

log = structlog.get_logger()

KEPT = 100
"""Rebuilds that are remembered once they are over."""

PROGRAM = "import os; os.nice(10); from miwake.indexer.cli import app; app()"
"""Building gives way to serving."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A rebuild, as it is at one moment.

    Attributes
    ----------
    name, station : text
    started_at : datetime
        UTC.
    progress : text
        What it does now.
    is_done, is_cancelled : bool
    generation : text
        What was built; empty before, and where it failed.
    error : text
        Why it failed; empty where it did not.
    """

    name: str
    station: str
    started_at: datetime
    progress: str = "starting"
    is_done: bool = False
    is_cancelled: bool = False
    generation: str = ""
    error: str = ""


class Rebuilds:
    """The rebuilds of one server, at most one at a time in each station.

    Parameters
    ----------
    stations : Stations
        Told of each generation that is built, so that it serves at once.
    """

    def __init__(self, stations: Stations) -> None:
        self._stations = stations
        self._changed = threading.Condition()
        self._operations: dict[str, Operation] = {}
        self._runs: dict[str, _Run] = {}
        self._threads: list[threading.Thread] = []
        self._n_started = 0

    def start(self, station: Station, *, stage: bool) -> Operation:
        """Begin to build a generation of the station's latest references.

        Raises
        ------
        BusyStationError
            If a rebuild of that station is under way.
        """
        with self._changed:
            for one in self._operations.values():
                if one.station == station.name and not one.is_done:
                    raise BusyStationError(station.name, operation=one.name)
            self._n_started += 1
            operation = Operation(name=f"rebuild-{self._n_started}", station=station.name, started_at=datetime.now(UTC))
            self._forget_oldest()
            self._operations[operation.name] = operation
            run = _Run.start([*_command(station), *(["--stage"] if stage else [])])
            self._runs[operation.name] = run
            thread = threading.Thread(target=self._follow, args=(operation.name, station, run), name="rebuild")
            self._threads = [*(one for one in self._threads if one.is_alive()), thread]
        log.info("rebuild_started", station=station.name, operation=operation.name)
        thread.start()
        return operation

    def get(self, name: str) -> Operation:
        """Return what has become of a rebuild.

        Raises
        ------
        UnknownOperationError
            If there is none of that name, or it is long over.
        """
        with self._changed:
            if name not in self._operations:
                raise UnknownOperationError(name)
            return self._operations[name]

    def watch(self, name: str, *, is_wanted: Callable[[], bool]) -> Iterator[Operation]:
        """Yield what has become of a rebuild whenever it changes, until it is over or nobody wants to know.

        ``wake`` must be called when ``is_wanted`` begins to say no.
        """
        seen: Operation | None = None
        while is_wanted() and not (seen and seen.is_done):
            with self._changed:
                while is_wanted() and self._operations.get(name) == seen:
                    self._changed.wait()
            if is_wanted():
                seen = self.get(name)
                yield seen

    def wake(self) -> None:
        """Let everyone who watches look whether it is still wanted."""
        with self._changed:
            self._changed.notify_all()

    def cancel(self, name: str) -> Operation:
        """End a rebuild, and return it once it is over; one that is over stays as it is."""
        operation = self.get(name)
        with self._changed:
            if not self._operations[name].is_done:
                self._operations[name] = replace(operation, is_cancelled=True, progress="being cancelled")
                self._runs[name].kill()
            self._changed.wait_for(lambda: self._operations[name].is_done)
            return self._operations[name]

    def close(self) -> None:
        """End the rebuilds that are under way, and wait for their threads."""
        with self._changed:
            under_way = [name for name, one in self._operations.items() if not one.is_done]
        for name in under_way:
            self.cancel(name)
        for thread in self._threads:
            thread.join()

    def _follow(self, name: str, station: Station, run: _Run) -> None:
        told = self._last_line(name, run.lines)
        status, answer = run.wait()
        if status == 0:
            self._stations.take_over(station)
        with self._changed:
            operation = self._operations[name]
            if status == 0:
                # It may have published before the cancellation reached it.
                done = replace(operation, generation=json.loads(answer)["generation"], is_cancelled=False, progress="")
            elif operation.is_cancelled:
                done = replace(operation, error="cancelled", progress="")
            else:
                done = replace(operation, error=told.removeprefix("miwake-index: ") or f"status {status}", progress="")
            self._operations[name] = replace(done, is_done=True)
            del self._runs[name]
            self._changed.notify_all()
        log.info(
            "rebuild_ended", station=station.name, operation=name, generation=done.generation, error=done.error or None
        )

    def _last_line(self, name: str, lines: IO[str]) -> str:
        """Tell each line as progress, and return the last."""
        line = ""
        for line in map(str.strip, lines):
            with self._changed:
                if line and not self._operations[name].is_cancelled:
                    self._operations[name] = replace(self._operations[name], progress=line)
                    self._changed.notify_all()
        return line

    def _forget_oldest(self) -> None:
        done = [name for name, one in self._operations.items() if one.is_done]
        for name in done[: max(len(done) + 1 - KEPT, 0)]:
            del self._operations[name]


@dataclass(frozen=True, slots=True)
class _Run:
    """A process with children of its own, perhaps: its lines on standard error come as they are written."""

    process: subprocess.Popen[str]
    lines: IO[str]
    output: IO[str]

    @classmethod
    def start(cls, command: list[str]) -> _Run:
        # A file rather than a pipe: nobody reads it before the process ends.
        output = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed by wait
        process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return cls(process, cast("IO[str]", process.stderr), output)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self) -> tuple[int, str]:
        status = self.process.wait()
        self.lines.close()
        with self.output as output:
            output.seek(0)
            return status, output.read()


def _command(station: Station) -> list[str]:
    folder = station.folder
    return [
        sys.executable, "-c", PROGRAM, "rebuild", "--store", str(folder.parent), "--station", folder.name, "--json",
    ]  # fmt: skip
