from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from miwake.indexer.errors import (
    ArtifactCorruptError,
    ArtifactVersionError,
    StationNotFoundError,
    StoreBusyError,
    StoreError,
)
from miwake.indexer.storage.schema import STORE_FILE, StationSchema
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


class TestCreateAndOpen:
    def test_a_new_store_is_at_revision_zero_and_empty(self, store: ReferenceStore) -> None:
        assert (store.revision, store.n_references, len(store.snapshot())) == (0, 0, 0)

    def test_an_opened_store_knows_its_schema(self, folder: Path) -> None:
        schema = StationSchema(
            n_values=6, heat_map_shape=(2, 3), pass_labels=(1, 2), value_range=(-1.5, 255.0), flatness=0.0
        )
        ReferenceStore.create(folder, schema=schema).close()

        with ReferenceStore.open(folder) as opened:
            assert opened.schema == schema

    def test_a_second_store_in_the_same_folder_is_refused(self, folder: Path) -> None:
        ReferenceStore.create(folder, schema=SCHEMA).close()

        with pytest.raises(StoreError, match=r"references\.db: exists already"):
            ReferenceStore.create(folder, schema=SCHEMA)

    def test_a_folder_without_a_store_is_no_station(self, tmp_path: Path) -> None:
        with pytest.raises(StationNotFoundError, match="no station here"):
            ReferenceStore.open(tmp_path)

    def test_a_creation_that_was_cut_short_is_no_station_and_can_be_done_again(self, folder: Path) -> None:
        folder.mkdir()
        (folder / STORE_FILE).touch()
        with pytest.raises(StationNotFoundError, match="cut short"):
            ReferenceStore.open(folder)

        with ReferenceStore.create(folder, schema=SCHEMA) as created:
            assert created.revision == 0

    def test_commits_are_durable_and_the_journal_is_one_that_processes_can_share(self, store: ReferenceStore) -> None:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")

        found = [store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]

        assert found == ["delete", 3, 1]

    def test_a_store_that_another_program_switched_to_wal_is_switched_back(
        self, store: ReferenceStore, folder: Path
    ) -> None:
        store.close()
        execute(folder, "PRAGMA journal_mode = WAL")

        with ReferenceStore.open(folder) as opened:
            assert opened._connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)

    def test_another_format_version_is_refused_by_name(self, store: ReferenceStore, folder: Path) -> None:
        store.close()
        execute(folder, "PRAGMA user_version = 7")

        with pytest.raises(ArtifactVersionError, match=r"references\.db: format version 7, this release reads 1"):
            ReferenceStore.open(folder)

    def test_another_sqlite_file_is_no_store(self, folder: Path) -> None:
        folder.mkdir()
        execute(folder, "CREATE TABLE anything (at_all TEXT)")

        with pytest.raises(ArtifactCorruptError, match=r"references\.db: not a reference store"):
            ReferenceStore.open(folder)

    def test_a_file_that_is_no_database_is_refused_by_name(self, folder: Path) -> None:
        folder.mkdir()
        (folder / STORE_FILE).write_bytes(b"anything but a database" * 100)

        with pytest.raises(ArtifactCorruptError, match=r"references\.db: damaged: file is not a database"):
            ReferenceStore.open(folder)

    def test_a_damaged_schema_is_refused(self, store: ReferenceStore, folder: Path) -> None:
        store.close()
        execute(folder, "UPDATE station SET schema = replace(schema, '0.01', '0.02')")

        with pytest.raises(ArtifactCorruptError, match="schema is damaged"):
            ReferenceStore.open(folder)

    def test_a_heat_map_shape_that_does_not_fit_is_refused(self) -> None:
        with pytest.raises(StoreError, match="heat map shape 2 x 2 does not fit vectors of 5 values"):
            replace(SCHEMA, n_values=5)


class TestRevisions:
    def test_every_earlier_revision_can_be_read(self, store: ReferenceStore) -> None:
        store.add(make_records(["a", "b"]), actor="anna")
        store.relabel(["a"], 7, "burr", actor="anna")
        store.remove(["b"], actor="anna")

        found = [store.snapshot(revision) for revision in (0, 1, 2, 3)]

        assert [one.revision for one in found] == [0, 1, 2, 3]
        assert [one.ids for one in found] == [(), ("a", "b"), ("a", "b"), ("a",)]
        assert [one.labels.tolist() for one in found] == [[], [0, 0], [7, 0], [7]]

    @pytest.mark.parametrize("revision", [-1, 2])
    def test_a_revision_that_does_not_exist_is_refused(self, store: ReferenceStore, revision: int) -> None:
        store.add(make_records(["a"]), actor="anna")

        with pytest.raises(StoreError, match=f"no revision {revision}, expected 0 … 1"):
            store.snapshot(revision)

    def test_batches_of_a_revision_fit_together_whatever_is_written_between_them(
        self, store: ReferenceStore, folder: Path
    ) -> None:
        store.add(make_records(["a", "b", "c"]), actor="anna")
        batches = store.batches(size=2)
        first = next(batches)

        with ReferenceStore.open(folder) as other:
            other.remove(["a", "c"], actor="ben")
            other.add(make_records(["d"]), actor="ben")

        (second,) = batches
        assert first.ids + second.ids == ("a", "b", "c")


class TestSharing:
    def test_another_connection_sees_what_was_committed(self, store: ReferenceStore, folder: Path) -> None:
        with ReferenceStore.open(folder) as other:
            store.add(make_records(["a"]), actor="anna")

            assert (other.revision, other.snapshot().ids) == (1, ("a",))

    def test_a_store_that_another_writes_to_for_too_long_is_busy_and_unchanged(
        self, store: ReferenceStore, folder: Path
    ) -> None:
        other = sqlite3.connect(folder / STORE_FILE, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(StoreBusyError, match=r"references\.db: another process is writing"),
            ReferenceStore.open(folder, busy_timeout_s=0.01),
        ):
            pass
        other.close()

        assert store.add(make_records(["a"]), actor="anna").revision == 1

    def test_a_writer_that_finds_a_reader_at_its_commit_is_busy_and_changes_nothing(self, folder: Path) -> None:
        ReferenceStore.create(folder, schema=SCHEMA).close()
        reader = sqlite3.connect(folder / STORE_FILE, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM station").fetchone()
        with ReferenceStore.open(folder, busy_timeout_s=0.01) as writer:
            with pytest.raises(StoreBusyError):
                writer.add(make_records(["a"]), actor="anna")
            reader.close()

            assert writer.snapshot().ids == ()
            assert writer.add(make_records(["a"]), actor="anna").revision == 1

    def test_a_full_disk_is_an_error_that_changes_nothing(self, store: ReferenceStore) -> None:
        store.add(make_records(["a"]), actor="anna")
        (n_pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {n_pages}")

        with pytest.raises(StoreError, match=r"references\.db: database or disk is full; nothing was changed"):
            store.add(make_records([f"more {row}" for row in range(1000)]), actor="anna")

        assert (store.revision, store.snapshot().ids) == (1, ("a",))
        store.check()
