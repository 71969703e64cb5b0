"""The whole check of a store: every revision, every version, every vector, and that they fit together."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.reading import VersionQuery, checked_revision, checked_version
from miwake.indexer.storage.templates import check_templates

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from miwake.indexer.storage.reading import Revision, Version

BATCH = 2_048
"""Versions read at once: 11 MB of vectors of 1,404 values."""

_ALL_QUERY = VersionQuery("""
    SELECT {columns}, x.content
    FROM reference_versions AS v {joins}
    WHERE (v.sequence, v.since_revision) > (?, ?) ORDER BY v.sequence, v.since_revision LIMIT ?
""")


def check_store(connection: sqlite3.Connection, path: Path) -> None:
    """Check everything in the database, history included, inside the caller's transaction.

    Raises
    ------
    ArtifactCorruptError
        Naming the first thing that is not as it was written.
    """
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise _damaged(path, found)
    revisions = [checked_revision(row, path) for row in connection.execute("SELECT * FROM revisions ORDER BY revision")]
    begun, ended = Counter[int](), Counter[int | None]()
    templates = set[bytes]()
    for version in _versions(connection, path):
        templates.update(() if version.template is None else (version.template,))
        begun[version.since_revision] += 1
        ended[version.until_revision] += 1
    _check_counts(revisions, begun, ended, path)
    check_templates(connection, path, sorted(templates))


def _versions(connection: sqlite3.Connection, path: Path) -> Iterator[Version]:
    last = (0, 0)
    while rows := connection.execute(_ALL_QUERY.on(connection), (*last, BATCH)).fetchall():
        for row in rows:
            version = checked_version(row[:-1], path)
            if not isinstance(row[-1], bytes) or hashlib.sha256(row[-1]).digest() != version.sha256:
                raise _damaged(path, f"the vector of reference {version.id!r}")
            yield version
        last = rows[-1][:2]


def _check_counts(revisions: list[Revision], begun: Counter[int], ended: Counter[int | None], path: Path) -> None:
    n_references = 0
    for expected, revision in enumerate(revisions, start=1):
        number = revision.revision
        if number != expected:
            raise _damaged(path, f"revision {expected} is missing")
        n_references += begun[number] - ended[number]
        if revision.n_references != n_references or revision.n_changed != max(begun[number], ended[number]):
            raise _damaged(path, f"revision {number} has {n_references} references, expected {revision.n_references}")
    if max(begun, default=0) > len(revisions):
        raise _damaged(path, f"the revisions after {len(revisions)} are missing")


def _damaged(path: Path, what: str) -> ArtifactCorruptError:
    return ArtifactCorruptError(f"{path}: damaged: {what}")
