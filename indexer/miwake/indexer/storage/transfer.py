"""References whole, with what became of them: read for an export, written back by an import.

A version tells its own story: who began it, when and how, and who ended it. As every revision begins or ends a version,
the versions alone carry the whole history; ``revisions`` is written again from them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError, DataError
from miwake.indexer.records import row_hash
from miwake.indexer.storage.changes import Change, Writer
from miwake.indexer.storage.reading import VERSION_COLUMNS, Revision, Snapshot, checked_version, read_revision
from miwake.indexer.storage.schema import checksum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from miwake.indexer.storage.reading import Version

VERBS = ("add", "relabel", "remove")

_LIVE_QUERY = f"""
    SELECT {VERSION_COLUMNS}, x.content
    FROM reference_versions AS v LEFT JOIN vectors AS x USING (vector_id)
    WHERE (v.sequence, v.since_revision) > (?, ?) AND v.since_revision <= ?
    AND (v.until_revision IS NULL OR v.until_revision > ?)
    ORDER BY v.sequence, v.since_revision LIMIT ?
"""  # noqa: S608 - only constants go in

_ENDED_QUERY = f"""
    SELECT {VERSION_COLUMNS}, x.content
    FROM reference_versions AS v LEFT JOIN vectors AS x USING (vector_id)
    WHERE (v.sequence, v.since_revision) > (?, ?) AND v.since_revision <= ? AND v.until_revision <= ?
    ORDER BY v.sequence, v.since_revision LIMIT ?
"""  # noqa: S608

_OVERLAP_QUERY = """
    SELECT a.id FROM reference_versions AS a JOIN reference_versions AS b
    ON a.id = b.id AND (a.sequence, a.since_revision) < (b.sequence, b.since_revision)
    WHERE (a.until_revision IS NULL OR b.since_revision < a.until_revision)
    AND (b.until_revision IS NULL OR a.since_revision < b.until_revision) LIMIT 1
"""
"""An id that would stand for two references at once."""

_STRAY_QUERY = """
    SELECT b.id FROM reference_versions AS b JOIN revisions AS r ON r.revision = b.since_revision
    LEFT JOIN reference_versions AS a ON a.sequence = b.sequence AND a.until_revision = b.since_revision
    WHERE (r.verb = 'relabel') <> (a.id IS NOT NULL) OR r.verb = 'remove' OR a.id <> b.id LIMIT 1
"""
"""A version that begins otherwise than by an addition, or by relabelling the one before it."""

_UNENDED_QUERY = """
    SELECT a.id FROM reference_versions AS a JOIN revisions AS r ON r.revision = a.until_revision
    LEFT JOIN reference_versions AS b ON a.sequence = b.sequence AND a.until_revision = b.since_revision
    WHERE (r.verb = 'remove') <> (b.id IS NULL) OR r.verb = 'add' LIMIT 1
"""
"""A version that ends otherwise than by a removal, or by the one that relabels it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionBatch:
    """n versions of references.

    Attributes
    ----------
    versions : n versions
    vectors : (n, V) float32, C-contiguous
    begun : n revisions
        The change that each version began with.
    ended : n revisions, or None
        The change that each ended with; None in place of all where they are live.
    """

    versions: Sequence[Version]
    vectors: NDArray[np.float32]
    begun: Sequence[Revision]
    ended: Sequence[Revision] | None

    def __len__(self) -> int:
        return len(self.versions)

    def take(self, rows: NDArray[np.bool_]) -> VersionBatch:
        """Return the versions of a mask of length n."""
        chosen = np.flatnonzero(rows).tolist()
        return VersionBatch(
            versions=[self.versions[row] for row in chosen],
            vectors=self.vectors[rows],
            begun=[self.begun[row] for row in chosen],
            ended=None if self.ended is None else [self.ended[row] for row in chosen],
        )

    def snapshot(self, revision: int) -> Snapshot:
        """Return the references that these versions are at a revision."""
        return Snapshot(
            revision=revision,
            vectors=self.vectors,
            labels=np.array([one.label for one in self.versions], dtype=np.int32),
            ids=tuple(one.id for one in self.versions),
            failure_modes=tuple(one.failure_mode for one in self.versions),
            parts=tuple(one.part for one in self.versions),
            groups=tuple(one.group for one in self.versions),
            splits=tuple(one.split for one in self.versions),
            sources=tuple(one.source for one in self.versions),
            times=tuple(one.inspected_at for one in self.versions),
            row_hashes=tuple(row_hash(one.part, one.sha256) for one in self.versions),
        )


def read_versions(
    connection: sqlite3.Connection, path: Path, *, revision: int, n_values: int, size: int, are_live: bool
) -> Iterator[VersionBatch]:
    """Yield the versions that are live at a revision, or those that had ended by then, in their order, verified.

    Each batch is one short transaction, as in ``read_batches``.

    Raises
    ------
    ArtifactCorruptError
        If a version, its vector or one of its revisions is damaged, naming it.
    """
    query = _LIVE_QUERY if are_live else _ENDED_QUERY
    last = (0, 0)
    while rows := connection.execute(query, (*last, revision, revision, size)).fetchall():
        last = rows[-1][:2]
        versions = [checked_version(row[:-1], path) for row in rows]
        numbers = {one.since_revision for one in versions}
        if not are_live:
            numbers.update(one.until_revision for one in versions if one.until_revision is not None)
        revisions = {number: read_revision(connection, path, number) for number in numbers}
        yield VersionBatch(
            versions=versions,
            vectors=_vectors(versions, [row[-1] for row in rows], n_values, path),
            begun=[revisions[one.since_revision] for one in versions],
            ended=None if are_live else [revisions[one.until_revision or 0] for one in versions],
        )


def _vectors(versions: Sequence[Version], contents: Sequence[Any], n_values: int, path: Path) -> NDArray[np.float32]:
    vectors = np.empty((len(versions), n_values), dtype=np.float32)
    for vector, version, content in zip(vectors, versions, contents, strict=True):
        if not isinstance(content, bytes) or hashlib.sha256(content).digest() != version.sha256:
            message = f"{path}: the vector of reference {version.id!r} is damaged"
            raise ArtifactCorruptError(message)
        vector[:] = np.frombuffer(content, dtype="<f4")
    return vectors


class Restorer(Writer):
    """Writes versions inside the caller's transaction.

    What a revision did is known when the last version is written: until then it counts nothing. (To write it last,
    foreign keys would have to wait, and SQLite then looks through all versions for every vector.)
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, actor: str, at: str) -> None:
        super().__init__(connection, path, actor=actor, at=at)
        self._vector_id = self._next("vector_id", "vectors")

    def restore(self, batches: Iterable[VersionBatch], source: str) -> None:
        """Write the whole history of a store that was never changed, each version as it was.

        Raises
        ------
        DataError
            If the versions are not a history, naming what does not fit.
        """
        told: dict[int, tuple[str, str, str]] = {}
        begun, ended = Counter[int](), Counter[int]()
        for batch in batches:
            for revision in (*batch.begun, *(batch.ended or ())):
                if revision.revision not in told:
                    self._insert_revision(revision)
                if told.setdefault(revision.revision, revision[1:4]) != revision[1:4]:
                    raise _no_history(source, f"revision {revision.revision} is told in two ways")
            for version, vector in zip(batch.versions, batch.vectors, strict=True):
                begun[version.since_revision] += 1
                if version.until_revision is not None:
                    ended[version.until_revision] += 1
                self._write(version, vector, source)
        self._count_revisions(told, begun, ended, source)
        for query in (_OVERLAP_QUERY, _STRAY_QUERY, _UNENDED_QUERY):
            row = self._connection.execute(query).fetchone()
            if row is not None:
                raise _no_history(source, f"what happened to reference {row[0]!r} does not fit together")

    def merge(self, batches: Iterable[VersionBatch], source: str) -> Change:
        """Add live versions to what is there, in one revision; one that is there already changes nothing.

        Raises
        ------
        ReferenceConflictError
            If an id stands for another vector, label or failure mode already.
        """
        latest = self._latest
        sequence = self._next("sequence", "reference_versions")
        first, n_unchanged = sequence, 0
        for batch in batches:
            for version, vector in zip(batch.versions, batch.vectors, strict=True):
                what = (version.id, version.sha256, version.label, version.failure_mode)
                if not self._is_absent(*what, where=source):
                    n_unchanged += 1
                    continue
                if sequence == first:
                    self._begin("add", n_changed=0, n_more=0)
                added = version._replace(sequence=sequence, since_revision=latest.revision + 1, until_revision=None)
                self._write(added, vector, source)
                sequence += 1
        n_added, now = sequence - first, self._latest
        if n_added:
            self._count(now._replace(n_changed=n_added, n_references=latest.n_references + n_added))
        return Change(revision=now.revision, n_added=n_added, n_unchanged=n_unchanged)

    def _write(self, version: Version, vector: NDArray[np.float32], source: str) -> None:
        found = self._connection.execute("SELECT vector_id FROM vectors WHERE sha256 = ?", (version.sha256,)).fetchone()
        if found is None:
            self._insert_vector(self._vector_id, version.sha256, vector)
            found, self._vector_id = (self._vector_id,), self._vector_id + 1
        is_known = self._connection.execute(
            "SELECT 1 FROM reference_versions WHERE (sequence, since_revision) = (?, ?)",
            (version.sequence, version.since_revision),
        ).fetchone() or (version.until_revision is None and self._find(version.id))
        if is_known:
            raise _no_history(source, f"reference {version.id!r} is there twice")
        self._insert_version(version, found[0])

    def _count_revisions(
        self, told: dict[int, tuple[str, str, str]], begun: Counter[int], ended: Counter[int], source: str
    ) -> None:
        n_references = 0
        for expected, (number, (at, actor, verb)) in enumerate(sorted(told.items()), start=1):
            if number != expected:
                raise _no_history(source, f"revision {expected} is missing")
            if verb not in VERBS:
                raise _no_history(source, f"revision {number}: verb {verb!r}, expected {', '.join(VERBS)}")
            n_references += begun[number] - ended[number]
            self._count(Revision(number, at, actor, verb, max(begun[number], ended[number]), n_references))

    def _count(self, revision: Revision) -> None:
        self._connection.execute(
            "UPDATE revisions SET n_changed = ?, n_references = ?, checksum = ? WHERE revision = ?",
            (revision.n_changed, revision.n_references, checksum(*revision), revision.revision),
        )


def _no_history(source: str, what: str) -> DataError:
    return DataError(f"{source}: {what}: it is no export of a station, or was changed since")
