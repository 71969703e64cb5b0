"""Reading references as they were at a revision, with every row and vector checked against its checksum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError, StoreError
from miwake.indexer.records import row_hash
from miwake.indexer.storage.schema import checksum
from miwake.indexer.storage.templates import has_templates, templates_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.storage.schema import StationSchema


class Revision(NamedTuple):
    """A row of ``revisions``: one change of the references."""

    revision: int
    at: str
    actor: str
    verb: str
    n_changed: int
    n_references: int


NO_CHANGES = Revision(0, "", "", "", 0, 0)
"""What a new store is at."""


class Version(NamedTuple):
    """A row of ``reference_versions`` with the hash of its vector: what a reference was from one revision to another.

    ``sequence`` numbers the additions: a relabelled reference keeps it, an id added again gets a new one. ``template``
    is the hash of its template, or None.
    """

    sequence: int
    since_revision: int
    until_revision: int | None
    id: str
    sha256: bytes
    label: int
    failure_mode: str
    part: str
    group: str
    split: str
    source: str
    inspected_at: str
    template: bytes | None = None

    def checksum(self) -> bytes:
        """Return the checksum of the row: over the template only where there is one, as before there were any."""
        return checksum(*(self if self.template is not None else self[:-1]))


_COLUMNS = (
    "v.sequence, v.since_revision, v.until_revision, v.id, x.sha256, v.label, v.failure_mode, v.part, "
    'v."group", v.split, v.source, v.inspected_at, {template}, v.checksum'
)
_JOINS = "LEFT JOIN vectors AS x ON x.vector_id = v.vector_id"
_WITH_TEMPLATES = (
    f"{_JOINS} LEFT JOIN reference_templates AS t ON t.sequence = v.sequence "
    "LEFT JOIN vectors AS y ON y.vector_id = t.vector_id"
)


class VersionQuery:
    """A query of ``reference_versions AS v``, for stores with templates and for those without.

    Parameters
    ----------
    text : text
        ``{columns}`` stands for a ``Version`` and its checksum, ``{joins}`` for what they are from besides ``v``; the
        vector is ``x``.
    """

    def __init__(self, text: str) -> None:
        self._without = text.format(columns=_COLUMNS.format(template="NULL"), joins=_JOINS)
        self._with = text.format(columns=_COLUMNS.format(template="y.sha256"), joins=_WITH_TEMPLATES)

    def on(self, connection: sqlite3.Connection) -> str:
        """Return the query for a store as it is now.

        What it is to find must have been there by now, or the caller must be in a transaction.
        """
        return self._with if has_templates(connection) else self._without


_BATCH_QUERY = VersionQuery("""
    SELECT {columns}, x.content
    FROM reference_versions AS v {joins}
    WHERE v.sequence > ? AND v.since_revision <= ? AND (v.until_revision IS NULL OR v.until_revision > ?)
    ORDER BY v.sequence LIMIT ?
""")

_LIVE_QUERY = VersionQuery("""
    SELECT {columns}, x.content
    FROM reference_versions AS v {joins}
    WHERE v.id = ? AND v.until_revision IS NULL
""")

# Told which index: without statistics SQLite would read the whole table, in order.
_ENDED_QUERY = VersionQuery("""
    SELECT {columns}
    FROM reference_versions AS v INDEXED BY versions_by_end {joins}
    WHERE v.since_revision <= ? AND v.until_revision > ?
    ORDER BY v.sequence, v.since_revision
""")

_BEGUN_QUERY = VersionQuery("""
    SELECT {columns}, x.content
    FROM reference_versions AS v INDEXED BY versions_by_start {joins}
    WHERE v.since_revision > ? AND v.until_revision IS NULL
    ORDER BY v.sequence
""")

_HISTORY_QUERY = VersionQuery("""
    SELECT {columns}
    FROM reference_versions AS v {joins}
    WHERE v.id = ? ORDER BY v.sequence, v.since_revision
""")

_AT_QUERY = VersionQuery("""
    SELECT {columns}
    FROM reference_versions AS v {joins}
    WHERE v.id = ? AND v.since_revision <= ? AND (v.until_revision IS NULL OR v.until_revision > ?)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """N references as they were at a revision, column by column; empty text means *not known*.

    Attributes
    ----------
    revision : int
    vectors : (N, V) float32, C-contiguous
        Inspection vectors as they were added.
    labels : (N,) int32
    ids, failure_modes, parts, groups, splits, sources, times : tuples of N texts
    row_hashes : tuple of N texts
        As ``Records.row_hashes`` gives them.
    """

    revision: int
    vectors: NDArray[np.float32]
    labels: NDArray[np.int32]
    ids: tuple[str, ...]
    failure_modes: tuple[str, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    sources: tuple[str, ...]
    times: tuple[str, ...]
    row_hashes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What became of the references of one revision by a later one.

    Attributes
    ----------
    since, revision : int
        The earlier and the later revision.
    ended : tuple of texts
        Ids that were there at ``since`` and are there no more, or differently.
    begun : Snapshot
        References that were not there at ``since``, or differently: their state at ``revision``.
    """

    since: int
    revision: int
    ended: tuple[str, ...]
    begun: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One thing that happened to a reference: what it was before and after, None where it was not there."""

    revision: int
    at: str
    actor: str
    verb: str
    from_label: int | None
    to_label: int | None
    from_failure_mode: str | None
    to_failure_mode: str | None


def read_revision(connection: sqlite3.Connection, path: Path, revision: int | None = None) -> Revision:
    """Return a revision (None: the latest).

    Raises
    ------
    StoreError
        If there is no such revision.
    """
    row = connection.execute("SELECT * FROM revisions ORDER BY revision DESC LIMIT 1").fetchone()
    latest = NO_CHANGES if row is None else checked_revision(row, path)
    if revision is None or revision == latest.revision:
        return latest
    if not 0 <= revision <= latest.revision:
        message = f"{path}: no revision {revision}, expected 0 … {latest.revision}"
        raise StoreError(message)
    if revision == 0:
        return NO_CHANGES
    row = connection.execute("SELECT * FROM revisions WHERE revision = ?", (revision,)).fetchone()
    if row is None:
        message = f"{path}: revision {revision} is missing"
        raise ArtifactCorruptError(message)
    return checked_revision(row, path)


def checked_revision(row: Sequence[Any], path: Path) -> Revision:
    """Return the revision that a row of the table holds.

    Raises
    ------
    ArtifactCorruptError
        If its values are not those that were written.
    """
    if checksum(*row[:-1]) != row[-1]:
        message = f"{path}: revision {row[0]!r} is damaged"
        raise ArtifactCorruptError(message)
    return Revision(*row[:-1])


def checked_version(row: Sequence[Any], path: Path) -> Version:
    """Return the version that a row of a ``VersionQuery``'s columns holds.

    Raises
    ------
    ArtifactCorruptError
        If its values are not those that were written.
    """
    version = Version(*row[:-1])
    if version.checksum() != row[-1]:
        message = f"{path}: reference {row[3]!r} is damaged"
        raise ArtifactCorruptError(message)
    return version


def read_batches(
    connection: sqlite3.Connection, path: Path, schema: StationSchema, revision: int | None, size: int
) -> Iterator[Snapshot]:
    """Yield the references of a revision in the order of their sequence, at most ``size`` in each batch.

    Raises
    ------
    ArtifactCorruptError
        If a reference or its vector is damaged, naming its id, or if the revision had more references or fewer.
    """
    wanted = read_revision(connection, path, revision)
    last, ids = 0, set[str]()
    n_read = 0
    while True:
        # fetchall ends the transaction at once, so that a slow caller keeps no writer waiting.
        rows = connection.execute(
            _BATCH_QUERY.on(connection), (last, wanted.revision, wanted.revision, size)
        ).fetchall()
        n_read += len(rows)
        if n_read > wanted.n_references or not rows:
            break
        batch = _batch(rows, path, schema, wanted.revision)
        ids.update(batch.ids)
        last = rows[-1][0]
        yield batch
    if not n_read == len(ids) == wanted.n_references:
        message = (
            f"{path}: damaged: {n_read} references with {len(ids)} ids at revision {wanted.revision}, "
            f"expected {wanted.n_references}"
        )
        raise ArtifactCorruptError(message)


def read_page(
    connection: sqlite3.Connection, path: Path, schema: StationSchema, revision: int, *, after: int, size: int
) -> tuple[Snapshot, int | None]:
    """Return at most ``size`` references of a revision behind the place ``after``, and the place behind them.

    Places are whole numbers above 0, in the order in which references were added; a page's own is None where it is the
    last one.

    Raises
    ------
    StoreError
        If there is no such revision.
    ArtifactCorruptError
        If a reference or its vector is damaged, naming its id.
    """
    read_revision(connection, path, revision)
    rows = connection.execute(_BATCH_QUERY.on(connection), (after, revision, revision, size + 1)).fetchall()
    page = rows[:size]
    return _batch(page, path, schema, revision), page[-1][0] if len(rows) > size else None


def read_reference(
    connection: sqlite3.Connection, path: Path, schema: StationSchema, reference_id: str
) -> Snapshot | None:
    """Return the latest state of one reference, a snapshot of one; None where there is none of that id."""
    rows = connection.execute(_LIVE_QUERY.on(connection), (reference_id,)).fetchall()
    return _batch(rows, path, schema, read_revision(connection, path).revision) if rows else None


def read_templates(
    connection: sqlite3.Connection, path: Path, schema: StationSchema, ids: Sequence[str], revision: int
) -> NDArray[np.float32] | None:
    """Return the templates (n, V) float32 of n references of a revision, rows of NaN for none.

    None where none of them has any.

    Raises
    ------
    StoreError
        If an id is not there.
    ArtifactCorruptError
        If a reference or its template is damaged, naming it.
    """
    if not has_templates(connection):
        return None
    hashes = []
    for reference_id in ids:
        row = connection.execute(_AT_QUERY.on(connection), (reference_id, revision, revision)).fetchone()
        if row is None:
            message = f"{path}: no reference {reference_id!r} at revision {revision}"
            raise StoreError(message)
        hashes.append(checked_version(row, path).template)
    return templates_of(connection, path, hashes, schema.n_values)


def read_changes(connection: sqlite3.Connection, path: Path, schema: StationSchema, since: int) -> Changes:
    """Return what became of the references of revision ``since`` by the latest one, inside the caller's transaction.

    Raises
    ------
    StoreError
        If there is no such revision.
    ArtifactCorruptError
        If a reference or its vector is damaged, naming its id.
    """
    earlier, latest = read_revision(connection, path, since), read_revision(connection, path)
    ended = connection.execute(_ENDED_QUERY.on(connection), (since, since)).fetchall()
    begun = connection.execute(_BEGUN_QUERY.on(connection), (since,)).fetchall()
    n_references = earlier.n_references - len(ended) + len(begun)
    if n_references != latest.n_references:  # a damaged index hides rows without an error
        message = (
            f"{path}: damaged: {n_references} references after the changes since revision {since}, "
            f"expected {latest.n_references}"
        )
        raise ArtifactCorruptError(message)
    return Changes(
        since=since,
        revision=latest.revision,
        ended=tuple(checked_version(row, path).id for row in ended),
        begun=_batch(begun, path, schema, latest.revision),
    )


def _batch(rows: Sequence[Any], path: Path, schema: StationSchema, revision: int) -> Snapshot:
    versions = [checked_version(row[:-1], path) for row in rows]
    contents = [row[-1] for row in rows]
    for version, content in zip(versions, contents, strict=True):
        if not isinstance(content, bytes) or hashlib.sha256(content).digest() != version.sha256:
            message = f"{path}: the vector of reference {version.id!r} is damaged"
            raise ArtifactCorruptError(message)
    vectors = np.frombuffer(bytearray().join(contents), dtype="<f4").reshape(len(rows), schema.n_values)
    return Snapshot(
        revision=revision,
        vectors=vectors,
        labels=np.array([version.label for version in versions], dtype=np.int32),
        ids=tuple(version.id for version in versions),
        failure_modes=tuple(version.failure_mode for version in versions),
        parts=tuple(version.part for version in versions),
        groups=tuple(version.group for version in versions),
        splits=tuple(version.split for version in versions),
        sources=tuple(version.source for version in versions),
        times=tuple(version.inspected_at for version in versions),
        row_hashes=tuple(row_hash(version.part, version.sha256) for version in versions),
    )


_TEXT_COLUMNS = ("ids", "failure_modes", "parts", "groups", "splits", "sources", "times", "row_hashes")


def collect(batches: Iterable[Snapshot], wanted: Revision, schema: StationSchema) -> Snapshot:
    """Return the batches of a revision as one snapshot, holding each vector once."""
    vectors = np.empty((wanted.n_references, schema.n_values), dtype=np.float32)
    labels = np.empty(wanted.n_references, dtype=np.int32)
    texts: dict[str, list[str]] = {name: [] for name in _TEXT_COLUMNS}
    start = 0
    for batch in batches:
        rows = slice(start, start + len(batch))
        vectors[rows], labels[rows] = batch.vectors, batch.labels
        for name, column in texts.items():
            column.extend(getattr(batch, name))
        start = rows.stop
    return Snapshot(
        revision=wanted.revision,
        vectors=vectors,
        labels=labels,
        **{name: tuple(column) for name, column in texts.items()},
    )


def read_history(connection: sqlite3.Connection, path: Path, reference_id: str) -> list[HistoryEntry]:
    """Return what happened to an id, oldest first."""
    rows = connection.execute(_HISTORY_QUERY.on(connection), (reference_id,)).fetchall()
    versions = [checked_version(row, path) for row in rows]
    return [
        _entry(read_revision(connection, path, revision), before, after) for revision, before, after in _steps(versions)
    ]


def _steps(versions: Sequence[Version]) -> Iterator[tuple[int, Version | None, Version | None]]:
    for previous, version, following in zip((None, *versions), versions, (*versions[1:], None), strict=False):
        same_addition = previous is not None and previous.sequence == version.sequence
        yield version.since_revision, previous if same_addition else None, version
        is_followed = following is not None and following.sequence == version.sequence
        if version.until_revision is not None and not is_followed:
            yield version.until_revision, version, None


def _entry(revision: Revision, before: Version | None, after: Version | None) -> HistoryEntry:
    return HistoryEntry(
        revision=revision.revision,
        at=revision.at,
        actor=revision.actor,
        verb=revision.verb,
        from_label=None if before is None else before.label,
        to_label=None if after is None else after.label,
        from_failure_mode=None if before is None else before.failure_mode,
        to_failure_mode=None if after is None else after.failure_mode,
    )
