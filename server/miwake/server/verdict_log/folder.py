"""The folder of the verdict log: its segments, oldest first, and the bound of what they may take together."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import structlog

from miwake.server.verdict_log.layout import FINISH, LOCK, SHM, SUFFIX, WAL, beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger()


def segments(folder: Path) -> list[Path]:
    """Return the segments of a folder, those that were started first in front."""
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))


def size_bytes(segment: Path) -> int:
    """Return what a segment takes on disk, with what SQLite keeps beside it; 0 where it is gone."""
    total = 0
    for path in _files(segment):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def remove_oldest(folder: Path, *, at_most: int) -> list[Path]:
    """Remove whole segments, the oldest first, until the others take at most so many bytes.

    Segments that somebody writes are counted and left alone.

    Returns
    -------
    list of Path
        What was removed.
    """
    sizes = {segment: size_bytes(segment) for segment in segments(folder)}
    total = sum(sizes.values())
    removed: list[Path] = []
    for segment, size in sizes.items():
        if total <= at_most:
            break
        with _unwritten(segment) as is_unwritten:
            if is_unwritten:
                for path in _files(segment):
                    path.unlink(missing_ok=True)
                removed.append(segment)
                total -= size
    return removed


def seal_abandoned(folder: Path) -> None:
    """Fold what a killed writer left in a WAL into its segment; what is half-written there is dropped by SQLite."""
    for segment in segments(folder):
        if not beside(segment, LOCK).exists():
            continue
        with _unwritten(segment) as is_unwritten:
            if is_unwritten:
                _seal(segment)


def _seal(segment: Path) -> None:
    try:
        with closing(sqlite3.connect(segment, isolation_level=None)) as connection:
            connection.execute(FINISH)
    except sqlite3.Error as error:
        log.warning("verdict_log_segment_unusable", segment=segment.name, error=str(error))
    else:
        beside(segment, LOCK).unlink(missing_ok=True)


@contextmanager
def _unwritten(segment: Path) -> Iterator[bool]:
    """Find out whether nobody writes a segment, and keep others from it meanwhile."""
    try:
        lock = os.open(beside(segment, LOCK), os.O_RDWR)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _files(segment: Path) -> list[Path]:
    return [segment, *(beside(segment, suffix) for suffix in (WAL, SHM, LOCK))]
