"""One segment of the log while it is written: a SQLite database that grows by one transaction after the other.

Journal mode WAL with ``synchronous=FULL`` makes a commit durable with one fsync, lets others read meanwhile, and gives
every frame a checksum: what a kill or a power cut left half-written is recognised and dropped by whoever opens it next.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from miwake.indexer.storage.files import fsync_folder
from miwake.server.verdict_log.layout import PROVENANCE, insert_answers, schema, segment_name
from miwake.server.verdict_log.rows import RowMaker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from miwake.server.index import Index
    from miwake.server.verdict_log.rows import Entry

INSERT = insert_answers()

DURABLY = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")

READER_PATIENCE_S = 1.0
"""How long a commit waits for a lock; readers of a WAL take none that it needs."""


class Segment:
    """An open segment, which its writer alone may write; others may read it.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path, file: int, connection: sqlite3.Connection) -> None:
        self.path = path
        self._file = file
        self._connection = connection
        self._answered_by: dict[tuple[str, str, str, int, str], int] = {}

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
        # The lock says that somebody writes here. It is not SQLite's, and stays open for as long as SQLite does:
        # closing any descriptor of a file drops the locks that its process has of SQLite's kind.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            connection = sqlite3.connect(path, timeout=READER_PATIENCE_S, isolation_level=None, check_same_thread=False)
            try:
                for statement in (*DURABLY, "BEGIN", *schema(), "COMMIT"):
                    connection.execute(statement)
                fsync_folder(folder)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            os.close(file)
            with suppress(OSError):
                path.unlink()
            raise
        return cls(path, file, connection)

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
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        os.close(self._file)

    def _number(self, index: Index, known: dict[tuple[str, str, str, int, str], int]) -> int:
        answered_by = (index.station, index.embedder_id, index.generation, index.revision, index.threshold_set)
        number = known.get(answered_by)
        if number is None:
            number = known[answered_by] = len(known) + 1
            places = ", ".join("?" * (1 + len(PROVENANCE)))
            self._connection.execute(f"INSERT INTO answered_by VALUES ({places})", (number, *answered_by))  # noqa: S608
        return number

    def _check_in_place(self) -> None:
        """Find out whether somebody removed the file: SQLite would go on writing what nobody can open."""
        if not os.path.samestat(os.fstat(self._file), self.path.stat()):
            raise FileNotFoundError(0, "was replaced by another file", str(self.path))
