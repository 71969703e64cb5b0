"""The layout of ``references.db``: its tables, its checksums and its format version.

Nothing in the tables is overwritten or deleted, apart from the revision at which a version ended; so every earlier
revision can be read again. Formats and reasons: docs/artifact.md, docs/adr/0004-sqlite-rollback-journal.md.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydantic

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError, StoreError
from miwake.indexer.scale import FLATNESS, Scale

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

STORE_FILE = "references.db"
FORMAT_VERSION = 1
"""Of a store as it is made, and of its schema."""

TEMPLATES_VERSION = 2
"""Of a store in which references have brought templates."""

APPLICATION_ID = 0x6D697761
"""``miwa`` in ASCII, in the database's header: no other SQLite file passes for a store."""

CHECKSUM_BYTES = 16
"""Bytes kept of a row's SHA-256; it guards against damage, not against an attacker with write access."""

TABLES = (
    """
    CREATE TABLE station (
        schema TEXT NOT NULL,
        checksum BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE revisions (
        revision INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        verb TEXT NOT NULL,
        n_changed INTEGER NOT NULL,
        n_references INTEGER NOT NULL,
        checksum BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE vectors (
        vector_id INTEGER PRIMARY KEY,
        sha256 BLOB NOT NULL UNIQUE,
        content BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE reference_versions (
        sequence INTEGER NOT NULL,
        since_revision INTEGER NOT NULL REFERENCES revisions,
        until_revision INTEGER REFERENCES revisions,
        id TEXT NOT NULL,
        vector_id INTEGER NOT NULL REFERENCES vectors,
        label INTEGER NOT NULL,
        failure_mode TEXT NOT NULL,
        part TEXT NOT NULL,
        "group" TEXT NOT NULL,
        split TEXT NOT NULL,
        source TEXT NOT NULL,
        inspected_at TEXT NOT NULL,
        checksum BLOB NOT NULL,
        PRIMARY KEY (sequence, since_revision)
    ) WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX live_ids ON reference_versions (id) WHERE until_revision IS NULL",
    "CREATE INDEX versions_by_id ON reference_versions (id)",
    "CREATE INDEX versions_by_start ON reference_versions (since_revision)",
    "CREATE INDEX versions_by_end ON reference_versions (until_revision) WHERE until_revision IS NOT NULL",
)
"""What a new store holds."""

TEMPLATE_TABLE = """
    CREATE TABLE reference_templates (
        sequence INTEGER PRIMARY KEY,
        vector_id INTEGER NOT NULL REFERENCES vectors
    )
"""
"""What a store of format 2 holds besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSchema:
    """What all references of a station have in common.

    Attributes
    ----------
    n_values : int
        V.
    heat_map_shape : (rows, columns)
        rows x columns = V.
    pass_labels : tuple of int
        Labels that mean *pass*; may be empty.
    value_range : (low, high)
        The scale of the station's vectors.
    flatness : float
        Least spread of a vector, as a share of the range's width.
    """

    n_values: int
    heat_map_shape: tuple[int, int]
    pass_labels: tuple[int, ...]
    value_range: tuple[float, float]
    flatness: float = FLATNESS
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        rows, columns = self.heat_map_shape
        if rows * columns != self.n_values:
            message = f"heat map shape {rows} x {columns} does not fit vectors of {self.n_values} values"
            raise StoreError(message)

    def scale(self) -> Scale:
        """Return the scale that every reference keeps to."""
        low, high = self.value_range
        return Scale(n_values=self.n_values, low=low, high=high, flatness=self.flatness)


_encode = json.JSONEncoder(separators=(",", ":"), default=bytes.hex).encode


def checksum(*values: object) -> bytes:
    """Return the checksum of a row: of its values as a JSON list (bytes in hexadecimal), so that types count too."""
    return hashlib.sha256(_encode(values).encode()).digest()[:CHECKSUM_BYTES]


def create_tables(connection: sqlite3.Connection, schema: StationSchema) -> None:
    """Fill an empty database, inside the caller's transaction."""
    for statement in TABLES:
        connection.execute(statement)
    text = pydantic.TypeAdapter(StationSchema).dump_json(schema).decode()
    connection.execute("INSERT INTO station VALUES (?, ?)", (text, checksum(text)))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Tell whether the database holds nothing at all, as after a creation that was cut short."""
    (n_objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(n_objects == 0)


def read_schema(connection: sqlite3.Connection, path: Path) -> StationSchema:
    """Return the station's schema after checking that the file is a store of a known format.

    Raises
    ------
    ArtifactVersionError
        If the store has another format version.
    ArtifactCorruptError
        If it is no store, or its schema is damaged.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        message = f"{path}: not a reference store (application id {application_id:#x}, expected {APPLICATION_ID:#x})"
        raise ArtifactCorruptError(message)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (FORMAT_VERSION, TEMPLATES_VERSION):
        message = f"{path}: format version {version}, this release reads {FORMAT_VERSION} and {TEMPLATES_VERSION}"
        raise ArtifactVersionError(message)
    rows = connection.execute("SELECT schema, checksum FROM station").fetchall()
    if len(rows) != 1 or rows[0][1] != checksum(rows[0][0]):
        message = f"{path}: the station's schema is damaged"
        raise ArtifactCorruptError(message)
    return pydantic.TypeAdapter(StationSchema).validate_json(rows[0][0])
