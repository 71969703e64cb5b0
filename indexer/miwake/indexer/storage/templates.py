"""The templates that references bring: which one each has, from its addition on, and what they look like.

A template is kept like any vector, each content once: many parts share one. The table is made when the first template
is written, and makes the store one of format 2; a store without stays of format 1, which earlier releases read. Each
version of a reference vouches for its template: its checksum is over the template's hash, too.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.schema import TEMPLATE_TABLE, TEMPLATES_VERSION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

AT_ONCE = 500
"""Templates looked up by one statement."""


def has_templates(connection: sqlite3.Connection) -> bool:
    """Tell whether any reference of the store ever brought a template; another process may write the first one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version >= TEMPLATES_VERSION)


def write_template(connection: sqlite3.Connection, sequence: int, vector_id: int) -> None:
    """Say that references of a sequence number bring a vector as their template, in the caller's transaction."""
    if not has_templates(connection):
        connection.execute(TEMPLATE_TABLE)
        connection.execute(f"PRAGMA user_version = {TEMPLATES_VERSION}")
    connection.execute("INSERT INTO reference_templates VALUES (?, ?)", (sequence, vector_id))


def templates_of(
    connection: sqlite3.Connection, path: Path, hashes: Sequence[bytes | None], n_values: int
) -> NDArray[np.float32] | None:
    """Return the templates (n, V) float32 of n hashes, rows of NaN for None; None where all are None.

    Raises
    ------
    ArtifactCorruptError
        If one is damaged or missing.
    """
    rows_of: dict[bytes, list[int]] = {}
    for row, sha256 in enumerate(hashes):
        if sha256 is not None:
            rows_of.setdefault(sha256, []).append(row)
    if not rows_of:
        return None
    templates = np.full((len(hashes), n_values), np.nan, dtype=np.float32)
    for sha256, content in read_contents(connection, path, list(rows_of)):
        templates[rows_of[sha256]] = content
    return templates


def read_contents(
    connection: sqlite3.Connection, path: Path, hashes: Sequence[bytes]
) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
    """Yield each of some hashes with the vector (V,) float32 that it is of, in no order.

    Raises
    ------
    ArtifactCorruptError
        If one is damaged or missing.
    """
    for start in range(0, len(hashes), AT_ONCE):
        asked = hashes[start : start + AT_ONCE]
        places = ", ".join("?" * len(asked))
        query = f"SELECT sha256, content FROM vectors WHERE sha256 IN ({places})"  # noqa: S608 - question marks
        rows = connection.execute(query, tuple(asked)).fetchall()
        if len(rows) != len(asked):
            message = f"{path}: damaged: {len(asked) - len(rows)} templates are missing"
            raise ArtifactCorruptError(message)
        for sha256, content in rows:
            if not isinstance(content, bytes) or hashlib.sha256(content).digest() != sha256:
                message = f"{path}: template {sha256.hex()[:12]} is damaged"
                raise ArtifactCorruptError(message)
            yield sha256, np.frombuffer(content, dtype="<f4")


def check_templates(connection: sqlite3.Connection, path: Path, hashes: Sequence[bytes]) -> None:
    """Check the contents of templates, and that each belongs to a reference, inside the caller's transaction.

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
    for _ in read_contents(connection, path, hashes):
        pass
    stray = connection.execute(
        "SELECT sequence FROM reference_templates WHERE sequence NOT IN (SELECT sequence FROM reference_versions)"
    ).fetchone()
    if stray is not None:
        message = f"{path}: damaged: a template of sequence {stray[0]}, which no reference has"
        raise ArtifactCorruptError(message)
