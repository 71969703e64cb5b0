"""The templates that references bring: which one each has, from its addition on, and what they look like.

A template is kept like any vector, each content once: many parts share one. The table is made when the first template
is written, and makes the store one of format 2; a store without stays of format 1, which earlier releases read.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.schema import TEMPLATE_TABLE, TEMPLATES_VERSION, checksum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

AT_ONCE = 500
"""Templates looked up by one statement."""

_COLUMNS = "t.sequence, x.sha256, t.checksum, t.vector_id"
_BY_ID_QUERY = f"""
    SELECT {_COLUMNS} FROM reference_versions AS v
    JOIN reference_templates AS t ON t.sequence = v.sequence LEFT JOIN vectors AS x ON x.vector_id = t.vector_id
    WHERE v.id = ? AND v.since_revision <= ? AND (v.until_revision IS NULL OR v.until_revision > ?)
"""  # noqa: S608 - only constants go in

_OF_QUERY = f"""
    SELECT {_COLUMNS} FROM reference_templates AS t LEFT JOIN vectors AS x USING (vector_id) WHERE t.sequence = ?
"""  # noqa: S608

_ALL_QUERY = f"""
    SELECT {_COLUMNS} FROM reference_templates AS t LEFT JOIN vectors AS x USING (vector_id) ORDER BY t.sequence
"""  # noqa: S608


def has_templates(connection: sqlite3.Connection) -> bool:
    """Tell whether any reference of the store ever brought a template; another process may write the first one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version >= TEMPLATES_VERSION)


def write_template(connection: sqlite3.Connection, sequence: int, vector_id: int, sha256: bytes) -> None:
    """Say that references of a sequence number bring a vector as their template, in the caller's transaction."""
    if not has_templates(connection):
        connection.execute(TEMPLATE_TABLE)
        connection.execute(f"PRAGMA user_version = {TEMPLATES_VERSION}")
    connection.execute(
        "INSERT INTO reference_templates VALUES (?, ?, ?)", (sequence, vector_id, checksum(sequence, sha256))
    )


def read_template_hash(connection: sqlite3.Connection, path: Path, sequence: int) -> bytes | None:
    """Return the SHA-256 of the template that the references of a sequence number bring; None where they bring none."""
    row = connection.execute(_OF_QUERY, (sequence,)).fetchone() if has_templates(connection) else None
    return None if row is None else _checked(row, path)[1]


def templates_by_id(
    connection: sqlite3.Connection, path: Path, ids: Sequence[str], revision: int, n_values: int
) -> NDArray[np.float32] | None:
    """Return the templates (n, V) float32 of n references of a revision, rows of NaN for none.

    None where none of them has any.

    Raises
    ------
    ArtifactCorruptError
        If a row or a template is damaged, naming it.
    """
    return _look_up(connection, path, _BY_ID_QUERY, [(one, revision, revision) for one in ids], n_values)


def templates_of(
    connection: sqlite3.Connection, path: Path, sequences: Sequence[int], n_values: int
) -> NDArray[np.float32] | None:
    """Return the templates (n, V) float32 that references of n sequence numbers bring; see ``templates_by_id``."""
    return _look_up(connection, path, _OF_QUERY, [(one,) for one in sequences], n_values)


def _look_up(
    connection: sqlite3.Connection, path: Path, query: str, asked: Sequence[tuple[Any, ...]], n_values: int
) -> NDArray[np.float32] | None:
    if not has_templates(connection):
        return None
    rows = [connection.execute(query, one).fetchone() for one in asked]
    ids = [0 if row is None else _checked(row, path)[2] for row in rows]
    return _read_maps(connection, path, ids, n_values) if any(ids) else None


def _read_maps(
    connection: sqlite3.Connection, path: Path, vector_ids: Sequence[int], n_values: int
) -> NDArray[np.float32]:
    """Return the vectors (n, V) float32 of n ids, rows of NaN for 0."""
    maps = np.full((len(vector_ids), n_values), np.nan, dtype=np.float32)
    asked = np.asarray(vector_ids, dtype=np.int64)
    distinct = np.unique(asked[asked > 0]).tolist()
    for start in range(0, len(distinct), AT_ONCE):
        for vector_id, content in _contents(connection, path, distinct[start : start + AT_ONCE]):
            maps[asked == vector_id] = content
    return maps


def _contents(
    connection: sqlite3.Connection, path: Path, vector_ids: Sequence[int]
) -> Iterable[tuple[int, NDArray[np.float32]]]:
    places = ", ".join("?" * len(vector_ids))
    query = f"SELECT vector_id, sha256, content FROM vectors WHERE vector_id IN ({places})"  # noqa: S608 - question marks
    rows = connection.execute(query, tuple(vector_ids)).fetchall()
    if len(rows) != len(vector_ids):
        message = f"{path}: damaged: {len(vector_ids) - len(rows)} templates are missing"
        raise ArtifactCorruptError(message)
    for vector_id, sha256, content in rows:
        if not isinstance(content, bytes) or hashlib.sha256(content).digest() != sha256:
            message = f"{path}: template {vector_id} is damaged"
            raise ArtifactCorruptError(message)
        yield vector_id, np.frombuffer(content, dtype="<f4")


def check_templates(connection: sqlite3.Connection, path: Path) -> None:
    """Check every template, and that it belongs to a reference, inside the caller's transaction.

    Raises
    ------
    ArtifactCorruptError
        Naming the first thing that is not as it was written.
    """
    is_told = has_templates(connection)
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'reference_templates'").fetchone()
    if is_told != bool(n_tables):
        message = f"{path}: damaged: its format version does not say whether references bring templates"
        raise ArtifactCorruptError(message)
    if not is_told:
        return
    checked = [_checked(row, path) for row in connection.execute(_ALL_QUERY)]
    distinct = sorted({vector_id for _, _, vector_id in checked})
    for start in range(0, len(distinct), AT_ONCE):
        for _ in _contents(connection, path, distinct[start : start + AT_ONCE]):
            pass
    stray = connection.execute(
        "SELECT sequence FROM reference_templates WHERE sequence NOT IN (SELECT sequence FROM reference_versions)"
    ).fetchone()
    if stray is not None:
        message = f"{path}: damaged: a template of sequence {stray[0]}, which no reference has"
        raise ArtifactCorruptError(message)


def _checked(row: Sequence[Any], path: Path) -> tuple[int, bytes, int]:
    sequence, sha256, told, vector_id = row
    if not isinstance(sha256, bytes) or checksum(sequence, sha256) != told:
        message = f"{path}: the template of sequence {sequence} is damaged"
        raise ArtifactCorruptError(message)
    return sequence, sha256, vector_id
