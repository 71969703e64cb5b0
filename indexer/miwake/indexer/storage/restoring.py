"""Writing references back with all that became of them, as an import does: versions, not changes.

``revisions`` is written again from what the versions tell.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.records import has_template, vector_hash
from miwake.indexer.storage.changes import Change, Writer
from miwake.indexer.storage.reading import Revision
from miwake.indexer.storage.schema import checksum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.storage.reading import Version
    from miwake.indexer.storage.transfer import VersionBatch

VERBS = ("add", "relabel", "remove")

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


class Restorer(Writer):
    """Writes versions inside the caller's transaction.

    What a revision did is known when the last version is written: until then it counts nothing. (To write it last,
    foreign keys would have to wait, and SQLite then looks through all versions for every vector.)
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, actor: str, at: str) -> None:
        super().__init__(connection, path, actor=actor, at=at)
        self._template_of: dict[int, bytes | None] = {}

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
            for version, vector, template in zip(batch.versions, batch.vectors, templates_in(batch), strict=True):
                begun[version.since_revision] += 1
                if version.until_revision is not None:
                    ended[version.until_revision] += 1
                self._write(version, vector, template, source)
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
            for version, vector, template in zip(batch.versions, batch.vectors, templates_in(batch), strict=True):
                own = None if template is None else vector_hash(template)
                what = (version.id, version.sha256, version.label, version.failure_mode, own)
                if not self._is_absent(*what, where=source):
                    n_unchanged += 1
                    continue
                if sequence == first:
                    self._begin("add", n_changed=0, n_more=0)
                added = version._replace(sequence=sequence, since_revision=latest.revision + 1, until_revision=None)
                self._write(added, vector, template, source)
                sequence += 1
        n_added, now = sequence - first, self._latest
        if n_added:
            self._count(now._replace(n_changed=n_added, n_references=latest.n_references + n_added))
        return Change(revision=now.revision, n_added=n_added, n_unchanged=n_unchanged)

    def _write(
        self, version: Version, vector: NDArray[np.float32], template: NDArray[np.float32] | None, source: str
    ) -> None:
        vector_id = self._keep_vector(version.sha256, vector)
        is_known = self._connection.execute(
            "SELECT 1 FROM reference_versions WHERE (sequence, since_revision) = (?, ?)",
            (version.sequence, version.since_revision),
        ).fetchone() or (version.until_revision is None and self._find(version.id))
        if is_known:
            raise _no_history(source, f"reference {version.id!r} is there twice")
        own = None if template is None else vector_hash(template)
        is_first = version.sequence not in self._template_of
        if self._template_of.setdefault(version.sequence, own) != own:
            raise _no_history(source, f"the versions of reference {version.id!r} have different templates")
        if is_first and template is not None and own is not None:
            self._keep_template(version.sequence, own, template)
        self._insert_version(version._replace(template=own), vector_id)

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


def templates_in(batch: VersionBatch) -> Sequence[NDArray[np.float32] | None]:
    """Return the template (V,) float32 of each version in a batch, or None."""
    if batch.templates is None:
        return [None] * len(batch)
    is_there = has_template(batch.templates).tolist()
    return [one if there else None for one, there in zip(batch.templates, is_there, strict=True)]


def _no_history(source: str, what: str) -> DataError:
    return DataError(f"{source}: {what}: it is no export of a station, or was changed since")
