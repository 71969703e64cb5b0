"""One segment of the log while it is written: a SQLite database that grows by one transaction after the other.

Journal mode WAL with ``synchronous=FULL`` makes a commit durable with one fsync, lets others read meanwhile, and gives
every frame a checksum: what a kill or a power cut left half-written is recognised and dropped by whoever opens it next.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from miwake.indexer.storage.files import fsync_folder
from miwake.server.verdict_log.layout import (
    FINISH,
    LOCK,
    PROVENANCE,
    SHM,
    WAL,
    beside,
    insert_answers,
    schema,
    segment_name,
)
from miwake.server.verdict_log.rows import RowMaker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from miwake.server.index import Index
    from miwake.server.verdict_log.rows import Entry

INSERT = insert_answers()

READER_PATIENCE_S = 1.0
"""How long a commit waits for a lock; readers of a WAL take none that it needs."""


class Segment:
    """An open segment, which its writer alone may write; others may read it.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path, lock: int, connection: sqlite3.Connection) -> None:
        self.path = path
        self._lock = lock
        self._connection = connection
        self._answered_by: dict[tuple[str, str, str, int, str], int] = {}
        self._files = [path, beside(path, WAL)]
        self._identities = [_identity(file) for file in self._files]

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Make an empty segment in a folder, which is made where it is missing.

        Raises
        ------
        OSError, sqlite3.Error
            If it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / segment_name(datetime.now(UTC), os.getpid())
        # Locked is a file of its own: whoever closes a database file that it has open twice drops SQLite's locks of it.
        lock = os.open(beside(path, LOCK), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            connection = _make(path)
            fsync_folder(folder)
            return cls(path, lock, connection)
        except BaseException:
            os.close(lock)
            for file in (path, *(beside(path, suffix) for suffix in (WAL, SHM, LOCK))):
                with suppress(OSError):
                    file.unlink()
            raise

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries in one transaction, which is durable when this returns; if it raises, none of them is there.

        Raises
        ------
        OSError, sqlite3.Error
            If they cannot be written, or the file is no longer in its folder.
        """
        connection = self._connection
        known = dict(self._answered_by)
        maker = RowMaker()
        connection.execute("BEGIN")
        try:
            for entry in entries:
                number = self._number(entry.delivery.index, known)
                connection.executemany(INSERT, ((number, *row) for row in maker.rows(entry)))
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self._answered_by = known
        self._check_in_place()

    def close(self) -> None:
        """Fold the WAL into the database and let go of it; what was committed is durable even if that fails."""
        with suppress(sqlite3.Error):
            self._connection.execute(FINISH)
        self._connection.close()
        with suppress(OSError):
            beside(self.path, LOCK).unlink()
        os.close(self._lock)

    def _number(self, index: Index, known: dict[tuple[str, str, str, int, str], int]) -> int:
        answered_by = (index.station, index.embedder_id, index.generation, index.revision, index.threshold_set)
        number = known.get(answered_by)
        if number is None:
            number = known[answered_by] = len(known) + 1
            places = ", ".join("?" * (1 + len(PROVENANCE)))
            self._connection.execute(f"INSERT INTO answered_by VALUES ({places})", (number, *answered_by))  # noqa: S608
        return number

    def _check_in_place(self) -> None:
        """Find out whether somebody removed a file: SQLite would go on writing what nobody can open."""
        for file, identity in zip(self._files, self._identities, strict=True):
            if _identity(file) != identity:
                raise FileNotFoundError(errno.ENOENT, "replaced by another file", str(file))


def _make(path: Path) -> sqlite3.Connection:
    """Make an empty database; each transaction in it will be durable."""
    connection = sqlite3.connect(path, timeout=READER_PATIENCE_S, isolation_level=None, check_same_thread=False)
    try:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "BEGIN", *schema(), "COMMIT"):
            connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _identity(file: Path) -> tuple[int, int]:
    """Return what tells a file from any other: as long as it is open, no other can be the same."""
    found = file.stat()
    return found.st_dev, found.st_ino
