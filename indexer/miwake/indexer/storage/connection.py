"""Connections to ``references.db`` that are durable, patient and speak of their file when something goes wrong.

Why a rollback journal: docs/adr/0004-sqlite-rollback-journal.md.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from miwake.indexer.errors import ArtifactCorruptError, StoreBusyError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_TIMEOUT_S = 30.0
"""Longest wait for other processes' transactions; adding 100,000 references takes less."""

POLL_INTERVAL_S = 0.001
"""SQLite's own waiting grows to 100 ms between tries: next to a busy writer a reader would wait for seconds."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_REFUSED_BY_SYSTEM = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
}


class PatientConnection(sqlite3.Connection):
    """A connection whose statements wait for the locks of others, for ``busy_timeout_s`` at most each."""

    busy_timeout_s = BUSY_TIMEOUT_S

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement; where the file is locked, try again, for a statement that met a lock has done nothing."""
        deadline = None
        while True:
            try:
                return super().execute(*arguments)
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                deadline = now + self.busy_timeout_s if deadline is None else deadline
                if _primary_code(error) not in _BUSY or now >= deadline:
                    raise
            time.sleep(POLL_INTERVAL_S)


def connect(path: Path, *, create: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S) -> PatientConnection:
    """Open the database so that what it commits is durable: rollback journal, synchronous=EXTRA, own transactions.

    Raises
    ------
    StoreError
        If this SQLite does not do as told.
    """
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, factory=PatientConnection)
    connection.busy_timeout_s = busy_timeout_s
    try:
        _configure(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(connection: PatientConnection, path: Path) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA journal_mode = DELETE")
    # A pragma that SQLite does not know, or cannot fulfil, is silently nothing: read back what holds.
    found = tuple(
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("foreign_keys", "synchronous", "journal_mode")
    )
    if found != (1, 3, "delete"):
        message = (
            f"{path}: SQLite {sqlite3.sqlite_version} has foreign_keys, synchronous and journal_mode at {found}, "
            "expected (1, 3, 'delete'): changes would not be durable"
        )
        raise StoreError(message)


@contextmanager
def transaction(connection: PatientConnection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Commit what is done inside, or undo all of it if anything is raised, by the commit too."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def savepoint(connection: PatientConnection) -> Iterator[None]:
    """Undo what is done inside, and only that, if anything is raised; the transaction around it goes on."""
    connection.execute("SAVEPOINT inner")
    try:
        yield
    except BaseException:
        # A full or failing disk may have ended the whole transaction.
        if connection.in_transaction:
            connection.execute("ROLLBACK TO inner")
            connection.execute("RELEASE inner")
        raise
    connection.execute("RELEASE inner")


@contextmanager
def own_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, naming the file."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        raise _translated(error, path) from error
    except UnicodeDecodeError as error:  # of a message that quotes damaged text
        message = f"{path}: damaged: it holds text that is not UTF-8"
        raise ArtifactCorruptError(message) from error


def _translated(error: sqlite3.Error, path: Path) -> StoreError | ArtifactCorruptError:
    # All SQL here is fixed, so whatever is neither a lock nor the system's refusal (a missing table, text that is not
    # UTF-8, a broken constraint) comes from a damaged file.
    code = _primary_code(error)
    if code in _BUSY:
        return StoreBusyError(f"{path}: another process is writing to it; nothing was changed, try again")
    if code in _REFUSED_BY_SYSTEM:
        return StoreError(f"{path}: {error}; nothing was changed")
    return ArtifactCorruptError(f"{path}: damaged: {error}")


def _primary_code(error: sqlite3.Error) -> int:
    # The low byte; errors of the sqlite3 module itself, such as of text that is not UTF-8, have none.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
