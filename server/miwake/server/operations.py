"""What is known of rebuilds, in ``STORE/.operations``: every process of a server finds it there, and the next server.

A rebuild's process holds a lock for as long as it lives, writes its progress and its answer to files, and says nothing
to anybody: so whoever looks can tell what has become of it, whoever began it, and nothing stays under way that is not.

::

    STORE/.operations/LOCK               held while a rebuild is begun
                     /rebuild-7/begun.json   which station, when, whose process
                               /LOCK         held by the process
                               /progress     its standard error
                               /answer       its standard output
                               /cancelled    there if somebody wants it to end
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from miwake.indexer.errors import ArtifactError
from miwake.indexer.storage.files import read_json, to_json, write_durably
from miwake.server.errors import UnknownOperationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FOLDER = ".operations"
LOCK, BEGUN, PROGRESS, ANSWER, CANCELLED = "LOCK", "begun.json", "progress", "answer", "cancelled"

NAME = re.compile(r"rebuild-([1-9]\d{0,17})")
FORMAT_VERSION = 1

KEPT = 100
"""Rebuilds that are remembered once they are over."""

TAIL_BYTES = 8192
"""Of the progress: longer than any line."""

PROBLEM = "miwake-index: "
"""How the line begins that says why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A rebuild, as it is at one moment.

    Attributes
    ----------
    name, station : text
    started_at : datetime
        UTC.
    server : text
        Which server began it.
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
    server: str
    progress: str = ""
    is_done: bool = False
    is_cancelled: bool = False
    generation: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What is written down when a rebuild begins.

    Attributes
    ----------
    station : text
    started_at : text
        ISO 8601, UTC.
    server : text
        Which server began it.
    process_group : int
        Of its process, on the machine that runs it.
    """

    station: str
    started_at: str
    server: str
    process_group: int
    format_version: int = FORMAT_VERSION


class Operations:
    """The rebuilds of a store, under way and over.

    Parameters
    ----------
    store : Path
        The folder that holds the stations.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """Keep everyone else from beginning one meanwhile."""
        self._folder.mkdir(exist_ok=True)
        with _locked(self._folder / LOCK, fcntl.LOCK_EX):
            yield

    def make_folder(self) -> Path:
        """Return the folder of a new one, empty; only while ``beginning``. The oldest that are over are forgotten."""
        names = self._names()
        over = [name for name in names if not self._is_alive(name)]
        for name in over[: max(len(over) + 1 - KEPT, 0)]:
            shutil.rmtree(self._folder / name, ignore_errors=True)
        folder = self._folder / f"rebuild-{1 + max((_number(name) for name in names), default=0)}"
        folder.mkdir()
        return folder

    def all(self) -> Sequence[Operation]:
        """Return all that are known, oldest first."""
        found = []
        for name in self._names():
            with suppress(UnknownOperationError):
                found.append(self.get(name))
        return found

    def get(self, name: str) -> Operation:
        """Return what has become of one.

        Raises
        ------
        UnknownOperationError
            If there is none of that name, or it has been over for long.
        """
        begun = self._begun(name)
        folder = self._folder / name
        # Asked first: what it answered is all there once it is over.
        is_alive = self._is_alive(name)
        is_cancelled = (folder / CANCELLED).exists()
        known = Operation(
            name=name,
            station=begun.station,
            started_at=datetime.fromisoformat(begun.started_at),
            server=begun.server,
            is_cancelled=is_cancelled,
        )
        last = _last_line(folder / PROGRESS)
        if is_alive:
            progress = "being cancelled" if is_cancelled else last or "starting"
            return replace(known, progress=progress)
        if generation := _answered(folder / ANSWER):
            # It may have published before a cancellation reached it.
            return replace(known, is_done=True, generation=generation, is_cancelled=False)
        if is_cancelled:
            return replace(known, is_done=True, error="cancelled")
        return replace(known, is_done=True, error=_problem(last))

    def cancel(self, name: str) -> None:
        """End the process of one that is under way, and wait until it is over.

        Raises
        ------
        UnknownOperationError
            If there is none of that name.
        """
        begun = self._begun(name)
        if not self._is_alive(name):
            return
        (self._folder / name / CANCELLED).touch()
        with suppress(ProcessLookupError):
            os.killpg(begun.process_group, signal.SIGKILL)
        with _locked(self._folder / name / LOCK, fcntl.LOCK_SH):
            pass

    def _begun(self, name: str) -> Begun:
        if not NAME.fullmatch(name):
            raise UnknownOperationError(name)
        try:
            return read_json(self._folder / name / BEGUN, Begun, FORMAT_VERSION)
        except ArtifactError as error:
            raise UnknownOperationError(name) from error

    def _is_alive(self, name: str) -> bool:
        try:
            with _locked(self._folder / name / LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB):
                return False
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _names(self) -> list[str]:
        """Return the names, oldest first."""
        if not self._folder.is_dir():
            return []
        return sorted((one.name for one in self._folder.iterdir() if NAME.fullmatch(one.name)), key=_number)


def start_process(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    """Start a process that holds the folder's lock, and says what it has to say into its files."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (folder / PROGRESS).open("wb") as progress, (folder / ANSWER).open("wb") as answer:
            return subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=progress,
                start_new_session=True,
                pass_fds=(lock,),
            )
    finally:
        os.close(lock)


def write_begun(folder: Path, begun: Begun) -> None:
    """Let an operation be known."""
    write_durably(folder / BEGUN, to_json(begun))


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


def _last_line(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TAIL_BYTES, 0))
        lines = file.read().decode(errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def _answered(path: Path) -> str:
    """Return the generation that was built, empty where it did not come to that."""
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads(path.read_bytes())["generation"])
    return ""


def _problem(last: str) -> str:
    """Return why it failed; one that could not say was killed, perhaps for want of memory."""
    if last.startswith(PROBLEM):
        return last.removeprefix(PROBLEM)
    return f"its process ended before it was done; the last that it said was {last!r}"
