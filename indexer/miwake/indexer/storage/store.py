"""The references of a station: the only truth, one SQLite database, every change a revision that stays readable."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from miwake.indexer.errors import IndexerError, ReferenceNotFoundError, StationNotFoundError, StoreError
from miwake.indexer.storage.changes import Change, Writer, check_text
from miwake.indexer.storage.check import check_store
from miwake.indexer.storage.connection import BUSY_TIMEOUT_S, connect, own_errors, savepoint, transaction
from miwake.indexer.storage.edits import addition, relabelling, removal
from miwake.indexer.storage.files import fsync_folder
from miwake.indexer.storage.reading import (
    Changes,
    HistoryEntry,
    Snapshot,
    collect,
    read_batches,
    read_changes,
    read_history,
    read_page,
    read_reference,
    read_revision,
    read_templates,
)
from miwake.indexer.storage.restoring import Restorer
from miwake.indexer.storage.schema import STORE_FILE, StationSchema, create_tables, is_empty, read_schema
from miwake.indexer.storage.station import make_folder
from miwake.indexer.storage.templates import has_templates
from miwake.indexer.storage.transfer import read_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.indexer.storage.connection import PatientConnection
    from miwake.indexer.storage.edits import Edit
    from miwake.indexer.storage.reading import Revision
    from miwake.indexer.storage.transfer import VersionBatch

BATCH = 2_048
"""References read in one transaction: 11 MB of vectors of 1,404 values, and a writer waits for no more than that."""


class ReferenceStore:
    """One connection to the store of a station, used by one thread; several processes may hold one each.

    Every method may raise ``StoreBusyError`` (another process kept the file locked for longer than the timeout),
    ``StoreError`` (the disk is full or failing) and ``ArtifactCorruptError`` (the file is damaged); then nothing
    has changed.
    """

    def __init__(self, connection: PatientConnection, path: Path, schema: StationSchema) -> None:
        self._connection = connection
        self.path = path
        self.schema = schema

    @classmethod
    def create(cls, folder: Path, *, schema: StationSchema, busy_timeout_s: float = BUSY_TIMEOUT_S) -> ReferenceStore:
        """Create the store of the station in ``folder``, durably, and open it.

        Raises
        ------
        StoreError
            If there is one already, or the folder cannot be created.
        """
        make_folder(folder)
        path = folder / STORE_FILE
        with _connected(path, create=True, busy_timeout_s=busy_timeout_s) as connection, transaction(connection):
            if not is_empty(connection):
                message = f"{path}: exists already"
                raise StoreError(message)
            create_tables(connection, schema)
        fsync_folder(folder)
        return cls(connection, path, schema)

    @classmethod
    def open(cls, folder: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> ReferenceStore:
        """Open the store of the station in ``folder``.

        Raises
        ------
        StationNotFoundError
            If there is none.
        ArtifactVersionError
            If it has another format version.
        """
        path = folder / STORE_FILE
        if not path.is_file():
            message = f"{folder}: no station here ({STORE_FILE} is missing)"
            raise StationNotFoundError(message)
        with _connected(path, create=False, busy_timeout_s=busy_timeout_s) as connection:
            if is_empty(connection):
                message = f"{folder}: no station here ({STORE_FILE} is empty: its creation was cut short)"
                raise StationNotFoundError(message)
            return cls(connection, path, read_schema(connection, path))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def revision(self) -> int:
        """The latest revision; 0 in a store that was never changed."""
        with own_errors(self.path):
            return read_revision(self._connection, self.path).revision

    @property
    def n_references(self) -> int:
        """N at the latest revision."""
        with own_errors(self.path):
            return read_revision(self._connection, self.path).n_references

    def add(self, records: Records, *, actor: str) -> Change:
        """Add all records in one transaction, or none of them.

        A record whose id is there already with the same vector, label and failure mode changes nothing; an id that
        was removed may be added again. Where nothing is new there is no new revision.

        Parameters
        ----------
        records : Records
            N records of the station's shape and scale.
        actor : text
            Who adds them, for the history.

        Raises
        ------
        DataError
            If a record cannot be a reference: wrong shape or scale, no id, an id that occurs twice.
        ReferenceConflictError
            If an id stands for another vector, label or failure mode already.
        """
        return self._apply_alone(addition(records, self.schema, actor=actor))

    def relabel(self, ids: Sequence[str], label: int, failure_mode: str, *, actor: str) -> Change:
        """Give references another label and failure mode; what they were stays in their history.

        Raises
        ------
        StoreError
            If an id is not there.
        DataError
            If the label is no 32-bit integer.
        """
        return self._apply_alone(relabelling(ids, label, failure_mode, actor=actor))

    def remove(self, ids: Sequence[str], *, actor: str) -> Change:
        """Remove references; they stay readable at earlier revisions.

        Raises
        ------
        StoreError
            If an id is not there.
        """
        return self._apply_alone(removal(ids, actor=actor))

    def apply(self, edits: Sequence[Edit]) -> list[Change | IndexerError]:
        """Apply edits in their order in one transaction, each a revision of its own; durable on return.

        Returns
        -------
        list
            For each edit what it did, or why it was refused: then it alone has changed nothing.
        """
        with own_errors(self.path), transaction(self._connection):
            return [self._attempt(edit) for edit in edits]

    def batches(self, revision: int | None = None, *, size: int = BATCH) -> Iterator[Snapshot]:
        """Yield the references of a revision in their order, at most ``size`` at a time, verified.

        Each batch is one short transaction. A revision never changes, so that batches fit together whatever others
        write meanwhile.

        Raises
        ------
        StoreError
            If there is no such revision.
        """
        with own_errors(self.path):
            yield from read_batches(self._connection, self.path, self.schema, revision, size)

    def snapshot(self, revision: int | None = None) -> Snapshot:
        """Return all references of a revision (None: the latest) in the order in which their ids were added.

        The order of a revision never changes. Relabelling keeps a reference's place; an id that was removed and
        added again stands at the end.

        Raises
        ------
        StoreError
            If there is no such revision.
        """
        with own_errors(self.path):
            wanted = read_revision(self._connection, self.path, revision)
            batches = read_batches(self._connection, self.path, self.schema, wanted.revision, BATCH)
            return collect(batches, wanted, self.schema)

    def page(self, revision: int, *, after: int = 0, size: int = BATCH) -> tuple[Snapshot, int | None]:
        """Return some references of a revision in their order, and where the next page begins.

        Parameters
        ----------
        revision : int
        after : int
            0 for the first page, then what came with the page before.
        size : int
            Most references in the page.

        Returns
        -------
        Snapshot, int or None
            None where there is no further page.

        Raises
        ------
        StoreError
            If there is no such revision.
        """
        with own_errors(self.path), transaction(self._connection, "BEGIN"):
            return read_page(self._connection, self.path, self.schema, revision, after=after, size=size)

    def get(self, reference_id: str) -> Snapshot:
        """Return one reference as it is now, a snapshot of one.

        Raises
        ------
        ReferenceNotFoundError
            If there is none of that id.
        """
        with own_errors(self.path), transaction(self._connection, "BEGIN"):
            found = read_reference(self._connection, self.path, self.schema, reference_id)
        if found is None:
            raise ReferenceNotFoundError(reference_id, station=self.path.parent.name)
        return found

    @property
    def has_templates(self) -> bool:
        """Whether any reference ever brought a template."""
        with own_errors(self.path):
            return has_templates(self._connection)

    def templates(self, ids: Sequence[str], revision: int | None = None) -> NDArray[np.float32] | None:
        """Return the templates (n, V) float32 of n references of a revision (None: the latest).

        Rows of NaN where a reference brings none; None where none of them does.

        Raises
        ------
        StoreError
            If there is no such revision, or an id is not there at it.
        """
        with own_errors(self.path):
            wanted = read_revision(self._connection, self.path, revision).revision
            return read_templates(self._connection, self.path, self.schema, ids, wanted)

    def changes(self, since: int) -> Changes:
        """Return what became of the references of revision ``since`` by the latest one.

        Its cost grows with what has changed, not with what is there.

        Raises
        ------
        StoreError
            If there is no such revision.
        """
        with own_errors(self.path), transaction(self._connection, "BEGIN"):
            return read_changes(self._connection, self.path, self.schema, since)

    def at(self, revision: int | None = None) -> Revision:
        """Return a revision (None: the latest): when it was, who made it, and how many references it has.

        Raises
        ------
        StoreError
            If there is no such revision.
        """
        with own_errors(self.path):
            return read_revision(self._connection, self.path, revision)

    def versions(self, revision: int, *, are_live: bool, size: int = BATCH) -> Iterator[VersionBatch]:
        """Yield the versions of references that are live at a revision, or those that had ended by then, verified.

        Parameters
        ----------
        revision : int
            Must exist.
        are_live : bool
        size : int
            Most versions in a batch; each batch is one short transaction.
        """
        with own_errors(self.path):
            yield from read_versions(
                self._connection,
                self.path,
                revision=revision,
                n_values=self.schema.n_values,
                size=size,
                are_live=are_live,
            )

    @contextmanager
    def restoring(self, *, actor: str) -> Iterator[Restorer]:
        """Write versions as an export has them, in one transaction; if anything is raised inside, nothing is."""
        check_text(actor, "the actor")
        with own_errors(self.path), transaction(self._connection):
            yield Restorer(self._connection, self.path, actor=actor, at=_now())

    def history(self, reference_id: str) -> list[HistoryEntry]:
        """Return everything that happened to an id, oldest first; empty if it was never there."""
        with own_errors(self.path), transaction(self._connection, "BEGIN"):
            return read_history(self._connection, self.path, reference_id)

    def copy_to(self, path: Path) -> None:
        """Copy the database as it is at one moment to a new file, durably; writers wait meanwhile, readers do not."""
        with own_errors(path), closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)
        with path.open("rb") as file:
            os.fsync(file.fileno())

    def check(self) -> None:
        """Check the whole file, history included; writers wait meanwhile.

        Raises
        ------
        ArtifactCorruptError
            Naming the first thing that is not as it was written.
        """
        with own_errors(self.path), transaction(self._connection, "BEGIN"):
            check_store(self._connection, self.path)

    def _apply_alone(self, edit: Edit) -> Change:
        with own_errors(self.path), transaction(self._connection):
            return edit.apply(self._writer(edit))

    def _attempt(self, edit: Edit) -> Change | IndexerError:
        try:
            with own_errors(self.path), savepoint(self._connection):
                return edit.apply(self._writer(edit))
        except IndexerError as error:
            if not self._connection.in_transaction:
                raise
            return error

    def _writer(self, edit: Edit) -> Writer:
        return Writer(self._connection, self.path, actor=edit.actor, at=_now())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@contextmanager
def _connected(path: Path, *, create: bool, busy_timeout_s: float) -> Iterator[PatientConnection]:
    with own_errors(path):
        connection = connect(path, create=create, busy_timeout_s=busy_timeout_s)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
