"""References whole, with what became of them, as an export reads them.

A version tells its own story: who began it, when and how, and who ended it. As every revision begins or ends a version,
the versions alone carry the whole history.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.records import row_hash
from miwake.indexer.storage.reading import Snapshot, VersionQuery, checked_version, read_revision
from miwake.indexer.storage.templates import templates_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from miwake.indexer.storage.reading import Revision, Version

_LIVE_QUERY = VersionQuery("""
    SELECT {columns}, x.content
    FROM reference_versions AS v {joins}
    WHERE (v.sequence, v.since_revision) > (?, ?) AND v.since_revision <= ?
    AND (v.until_revision IS NULL OR v.until_revision > ?)
    ORDER BY v.sequence, v.since_revision LIMIT ?
""")

_ENDED_QUERY = VersionQuery("""
    SELECT {columns}, x.content
    FROM reference_versions AS v {joins}
    WHERE (v.sequence, v.since_revision) > (?, ?) AND v.since_revision <= ? AND v.until_revision <= ?
    ORDER BY v.sequence, v.since_revision LIMIT ?
""")


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
    templates : (n, V) float32, or None
        Rows of NaN where a reference brings none; None where none of them does.
    """

    versions: Sequence[Version]
    vectors: NDArray[np.float32]
    begun: Sequence[Revision]
    ended: Sequence[Revision] | None
    templates: NDArray[np.float32] | None = None

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
            templates=None if self.templates is None else self.templates[rows],
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
    while rows := connection.execute(query.on(connection), (*last, revision, revision, size)).fetchall():
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
            templates=templates_of(connection, path, [one.template for one in versions], n_values),
        )


def _vectors(versions: Sequence[Version], contents: Sequence[Any], n_values: int, path: Path) -> NDArray[np.float32]:
    vectors = np.empty((len(versions), n_values), dtype=np.float32)
    for vector, version, content in zip(vectors, versions, contents, strict=True):
        if not isinstance(content, bytes) or hashlib.sha256(content).digest() != version.sha256:
            message = f"{path}: the vector of reference {version.id!r} is damaged"
            raise ArtifactCorruptError(message)
        vector[:] = np.frombuffer(content, dtype="<f4")
    return vectors
