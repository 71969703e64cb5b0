"""Templates of references: kept with the addition, each content once, and checked like everything else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.indexer.errors import ArtifactCorruptError, DataError, ReferenceConflictError, StoreError
from miwake.indexer.records import Records
from miwake.indexer.storage.edits import addition
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA, make_records, vectors_of

IDS = ("a", "b", "c")
NONE = np.full(4, np.nan, dtype=np.float32)


def golden(*seeds: int | None) -> NDArray[np.float32]:
    """Return templates by seed, and rows of NaN for None."""
    return np.stack([NONE if seed is None else vectors_of([seed])[0] for seed in seeds])


def with_templates(ids: tuple[str, ...], templates: NDArray[np.float32]) -> Records:
    return replace(make_records(ids), templates=templates)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A station whose references a and b share a template and c has none."""
    with ReferenceStore.create(tmp_path / "line1", schema=SCHEMA) as store:
        store.add(with_templates(IDS, golden(77, 77, None)), actor="test")
    return tmp_path / "line1"


def asked(folder: Path, statement: str) -> int:
    with closing(sqlite3.connect(folder / STORE_FILE)) as connection, connection:
        row = connection.execute(statement).fetchone()
    return -1 if row is None else int(row[0])


def test_templates_come_back_by_id(folder: Path) -> None:
    with ReferenceStore.open(folder) as store:
        found = store.templates(("c", "a", "b"))

    np.testing.assert_array_equal(found, golden(None, 77, 77))


def test_templates_of_an_id_that_is_not_there_are_refused(folder: Path) -> None:
    with ReferenceStore.open(folder) as store, pytest.raises(StoreError, match="no reference 'nobody' at revision 1"):
        store.templates(("a", "nobody"))


def test_a_template_that_many_share_is_kept_once(folder: Path) -> None:
    assert asked(folder, "SELECT count(*) FROM vectors") == 4


def test_a_store_without_templates_stays_of_the_first_format(tmp_path: Path) -> None:
    with ReferenceStore.create(tmp_path / "line1", schema=SCHEMA) as store:
        store.add(make_records(IDS), actor="test")
        assert not store.has_templates
        assert store.templates(IDS) is None
    assert asked(tmp_path / "line1", "PRAGMA user_version") == 1


def test_the_first_template_makes_a_store_of_the_second_format_which_others_notice(tmp_path: Path) -> None:
    with (
        ReferenceStore.create(tmp_path / "line1", schema=SCHEMA) as store,
        ReferenceStore.open(tmp_path / "line1") as other,
    ):
        store.add(make_records(IDS), actor="test")
        assert other.templates(IDS) is None
        store.add(replace(make_records(("d",), seeds=[9]), templates=golden(77)), actor="test")

        np.testing.assert_array_equal(other.templates(("a", "d")), golden(None, 77))
    assert asked(tmp_path / "line1", "PRAGMA user_version") == 2


def test_an_addition_that_is_refused_leaves_the_format(tmp_path: Path) -> None:
    with ReferenceStore.create(tmp_path / "line1", schema=SCHEMA) as store:
        store.add(make_records(("a",)), actor="test")
        changed = replace(make_records(("n", "a"), seeds=[5, 6]), templates=golden(77, 77))
        with pytest.raises(ReferenceConflictError):
            store.add(changed, actor="test")
        answers = store.apply([addition(changed, SCHEMA, actor="test")])

        assert isinstance(answers[0], ReferenceConflictError)
        assert not store.has_templates
        store.check()


def test_a_template_stays_when_the_reference_is_relabelled_and_in_the_past(folder: Path) -> None:
    with ReferenceStore.open(folder) as store:
        store.relabel(["a"], 3, "scratch", actor="test")
        store.remove(["b"], actor="test")
        now, before = store.templates(("a", "c")), store.templates(IDS, revision=1)

    np.testing.assert_array_equal(now, golden(77, None))
    np.testing.assert_array_equal(before, golden(77, 77, None))


def test_an_id_that_is_added_again_brings_its_own_template(folder: Path) -> None:
    with ReferenceStore.open(folder) as store:
        store.remove(["a"], actor="test")
        store.add(replace(make_records(("a",)), templates=golden(78)), actor="test")
        now, before = store.templates(("a",)), store.templates(("a",), revision=1)

    np.testing.assert_array_equal(now, golden(78))
    np.testing.assert_array_equal(before, golden(77))


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        (golden(78, 77, None), r"id 'a' has template [0-9a-f]{12}, .* has template [0-9a-f]{12}: .*remove it first"),
        (golden(77, 77, 78), r"id 'c' has template [0-9a-f]{12}, .* has no template"),
    ],
)
def test_another_template_for_the_same_id_is_a_conflict(
    folder: Path, templates: NDArray[np.float32], message: str
) -> None:
    with ReferenceStore.open(folder) as store, pytest.raises(ReferenceConflictError, match=message):
        store.add(with_templates(IDS, templates), actor="test")


@pytest.mark.parametrize("templates", [golden(77, 77, None), golden(None, None, None), None])
def test_the_same_again_or_without_its_template_changes_nothing(
    folder: Path, templates: NDArray[np.float32] | None
) -> None:
    with ReferenceStore.open(folder) as store:
        change = store.add(replace(make_records(IDS), templates=templates), actor="test")

    assert (change.revision, change.n_unchanged) == (1, 3)


def test_a_template_off_the_scale_is_refused_by_row(tmp_path: Path) -> None:
    records = with_templates(IDS, golden(77, None, None) * 100)
    with ReferenceStore.create(tmp_path / "line1", schema=SCHEMA) as store:
        with pytest.raises(DataError, match=r"test: row 0 \(id 'a'\): its template: values .* leave the trained range"):
            store.add(records, actor="test")
        assert store.n_references == 0


def test_a_template_that_is_part_missing_is_refused(tmp_path: Path) -> None:
    templates = golden(77, 77, 77)
    templates[1, 2] = np.nan
    with (
        ReferenceStore.create(tmp_path / "line1", schema=SCHEMA) as store,
        pytest.raises(DataError, match=r"row 1 \(id 'b'\): its template: value 2 is nan"),
    ):
        store.add(with_templates(IDS, templates), actor="test")


def test_templates_of_a_revision_that_is_not_there_are_refused(folder: Path) -> None:
    with ReferenceStore.open(folder) as store, pytest.raises(StoreError, match="no revision 9"):
        store.templates(IDS, revision=9)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE reference_templates SET vector_id = 1 WHERE sequence = 1", "reference 'a' is damaged"),
        ("DELETE FROM reference_templates", "reference 'a' is damaged"),
        ("UPDATE vectors SET content = zeroblob(16) WHERE vector_id = 2", "template [0-9a-f]{12} is damaged"),
    ],
)
def test_a_damaged_template_is_found_when_it_is_read_and_by_the_check(folder: Path, damage: str, message: str) -> None:
    asked(folder, damage)

    with ReferenceStore.open(folder) as store:
        with pytest.raises(ArtifactCorruptError, match=message):
            store.templates(("a",))
        with pytest.raises(ArtifactCorruptError):
            store.check()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE reference_templates SET sequence = 9 WHERE sequence = 1", "reference 'a' is damaged"),
        ("PRAGMA user_version = 1", "reference 'a' is damaged"),
        ("INSERT INTO reference_templates VALUES (3, 2)", "reference 'c' is damaged"),
        ("INSERT INTO reference_templates VALUES (9, 2)", "a template of sequence 9, which no reference has"),
    ],
)
def test_the_check_finds_templates_that_belong_to_others(folder: Path, damage: str, message: str) -> None:
    asked(folder, damage)

    with ReferenceStore.open(folder) as store, pytest.raises(ArtifactCorruptError, match=message):
        store.check()


def test_a_whole_store_passes_the_check_and_its_copy_has_the_templates(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with ReferenceStore.open(folder) as store:
        store.check()
        store.copy_to(tmp_path / "copy" / STORE_FILE)

    with ReferenceStore.open(tmp_path / "copy") as copy:
        np.testing.assert_array_equal(copy.templates(IDS), golden(77, 77, None))
