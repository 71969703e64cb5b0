from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA, make_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "line-1"


@pytest.fixture
def store(folder: Path) -> Iterator[ReferenceStore]:
    with ReferenceStore.create(folder, schema=SCHEMA) as created:
        yield created


def execute(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / STORE_FILE)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.fixture
def filled(store: ReferenceStore) -> ReferenceStore:
    store.add(make_records(["a", "b"], seeds=[1, 2]), actor="anna")
    store.relabel(["b"], 4, "burr", actor="ben")
    return store


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE vectors SET content = zeroblob(16) WHERE vector_id = 1", "vector of reference 'a' is damaged"),
        ("UPDATE vectors SET content = 'text' WHERE vector_id = 1", "vector of reference 'a' is damaged"),
        ("UPDATE vectors SET sha256 = zeroblob(32) WHERE vector_id = 2", "reference 'b' is damaged"),
        ("DELETE FROM vectors WHERE vector_id = 1", "reference 'a' is damaged"),
        ("UPDATE reference_versions SET vector_id = 2 WHERE id = 'a'", "reference 'a' is damaged"),
        ("UPDATE reference_versions SET label = 9 WHERE id = 'a'", "reference 'a' is damaged"),
        ("UPDATE reference_versions SET part = X'FF' WHERE id = 'a'", "reference 'a' is damaged"),
        ("UPDATE reference_versions SET part = CAST(X'FF' AS TEXT) WHERE id = 'a'", "Could not decode"),
        ("UPDATE reference_versions SET id = 'c' WHERE sequence = 2", "'c' is damaged"),
        ("DELETE FROM reference_versions WHERE id = 'a'", "1 references with 1 ids at revision 2, expected 2"),
        ("UPDATE revisions SET n_references = 3 WHERE revision = 2", "revision 2 is damaged"),
        ("DROP TABLE vectors", "no such table"),
    ],
)
def test_a_damaged_reference_is_refused_by_name(
    filled: ReferenceStore, folder: Path, statement: str, reason: str
) -> None:
    execute(folder, statement)

    with pytest.raises(ArtifactCorruptError, match=rf"references\.db: .*{reason}"):
        filled.snapshot()


def test_a_damaged_reference_is_not_changed(filled: ReferenceStore, folder: Path) -> None:
    execute(folder, "UPDATE reference_versions SET label = 9 WHERE id = 'a'")

    with pytest.raises(ArtifactCorruptError, match="reference 'a' is damaged"):
        filled.relabel(["a"], 5, "burr", actor="cleo")


def test_a_revision_that_is_missing_is_told(filled: ReferenceStore, folder: Path) -> None:
    execute(folder, "DELETE FROM revisions WHERE revision = 1")

    with pytest.raises(ArtifactCorruptError, match="revision 1 is missing"):
        filled.snapshot(1)


def test_a_sound_store_passes_its_check(filled: ReferenceStore) -> None:
    filled.remove(["b"], actor="cleo")

    filled.check()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE reference_versions SET label = 9 WHERE sequence = 2 AND since_revision = 1", "'b' is damaged"),
        ("UPDATE vectors SET content = zeroblob(16) WHERE vector_id = 2", "the vector of reference 'b'"),
        ("DELETE FROM reference_versions WHERE since_revision = 2", "revision 2 has 1 references, expected 2"),
        ("DELETE FROM revisions WHERE revision = 1", "revision 1 is missing"),
        ("DELETE FROM revisions WHERE revision = 2", "the revisions after 1 are missing"),
        ("UPDATE revisions SET actor = 'nobody' WHERE revision = 1", "revision 1 is damaged"),
    ],
)
def test_damage_to_the_history_fails_the_check(
    filled: ReferenceStore, folder: Path, statement: str, reason: str
) -> None:
    execute(folder, statement)

    with pytest.raises(ArtifactCorruptError, match=reason):
        filled.check()


def test_changes_that_a_damaged_index_hides_are_told(filled: ReferenceStore, folder: Path) -> None:
    filled.remove(["a"], actor="cleo")
    definition = "UPDATE sqlite_master SET sql = ? WHERE name = 'versions_by_end'"
    execute(folder, "PRAGMA writable_schema = ON")
    connection = sqlite3.connect(folder / STORE_FILE)
    connection.execute("PRAGMA writable_schema = ON")
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'versions_by_end'").fetchone()
    connection.execute(definition, (sql + " AND id <> 'a'",))
    connection.commit()
    connection.close()
    connection = sqlite3.connect(folder / STORE_FILE)
    connection.execute("REINDEX versions_by_end")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(definition, (sql,))
    connection.commit()
    connection.close()

    with (
        ReferenceStore.open(folder) as store,
        pytest.raises(ArtifactCorruptError, match="2 references after the changes since revision 1, expected 1"),
    ):
        store.changes(1)
