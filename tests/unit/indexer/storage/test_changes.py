from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.errors import (
    DataError,
    ReferenceConflictError,
    StoreError,
)
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA, make_records, vectors_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from miwake.indexer.records import Records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "line-1"


@pytest.fixture
def store(folder: Path) -> Iterator[ReferenceStore]:
    with ReferenceStore.create(folder, schema=SCHEMA) as created:
        yield created


class TestAdd:
    def test_everything_about_a_record_comes_back(self, store: ReferenceStore) -> None:
        records = replace(
            make_records(["b", "a"], labels=[3, -1], source="parts.parquet"),
            failure_modes=("kratzer \u00e4 \U0001f50d", ""),
            parts=("p1", ""),
            groups=("lot 7", ""),
            splits=("train", "test"),
            times=("2026-11-22T08:00:00Z", ""),
        )

        store.add(records, actor="anna")

        found = store.snapshot()
        assert found.ids == ("b", "a")
        assert found.labels.tolist() == [3, -1]
        assert found.failure_modes == records.failure_modes
        assert (found.parts, found.groups, found.splits, found.times) == (
            records.parts,
            records.groups,
            records.splits,
            records.times,
        )
        assert found.sources == ("parts.parquet", "parts.parquet")
        assert found.row_hashes == records.row_hashes()
        assert found.vectors.tobytes() == records.vectors.tobytes()

    def test_each_change_is_a_revision(self, store: ReferenceStore) -> None:
        first = store.add(make_records(["a", "b"]), actor="anna")
        second = store.add(make_records(["c"]), actor="anna")

        assert (first.revision, first.n_added, second.revision, second.n_added) == (1, 2, 2, 1)
        assert store.n_references == 3

    def test_adding_the_same_again_changes_nothing(self, store: ReferenceStore) -> None:
        store.add(make_records(["a", "b"]), actor="anna")

        change = store.add(make_records(["a", "b"], source="another file"), actor="ben")

        assert (change.revision, change.n_added, change.n_unchanged) == (1, 0, 2)
        assert store.revision == 1

    def test_only_what_is_new_is_added(self, store: ReferenceStore) -> None:
        store.add(make_records(["a"], seeds=[1]), actor="anna")

        change = store.add(make_records(["b", "a"], seeds=[2, 1]), actor="anna")

        assert (change.revision, change.n_added, change.n_unchanged) == (2, 1, 1)
        assert store.snapshot().ids == ("a", "b")

    def test_no_records_change_nothing(self, store: ReferenceStore) -> None:
        none = make_records(["a"]).take(np.array([], dtype=np.intp))

        assert store.add(none, actor="anna").revision == 0

    def test_an_id_with_another_vector_is_a_conflict_that_names_both(self, store: ReferenceStore) -> None:
        store.add(make_records(["a"], seeds=[1], source="first.csv"), actor="anna")

        with pytest.raises(
            ReferenceConflictError, match=r"second\.csv: row 1: id 'a' has vector \w{12}.*first\.csv has"
        ):
            store.add(make_records(["b", "a"], seeds=[3, 2], source="second.csv"), actor="anna")

        assert store.snapshot().ids == ("a",)

    @pytest.mark.parametrize("label", [0, 2])
    def test_an_id_with_another_label_is_a_conflict_that_names_both(self, store: ReferenceStore, label: int) -> None:
        store.add(make_records(["a"], labels=[1]), actor="anna")

        with pytest.raises(ReferenceConflictError, match=rf"label {label} .*label 1 "):
            store.add(make_records(["a"], labels=[label]), actor="anna")

    def test_an_id_with_another_failure_mode_is_a_conflict(self, store: ReferenceStore) -> None:
        store.add(make_records(["a"]), actor="anna")

        with pytest.raises(ReferenceConflictError, match=r"'burr'.*'mode 0'"):
            store.add(replace(make_records(["a"]), failure_modes=("burr",)), actor="anna")

    def test_an_id_twice_in_one_batch_is_an_error_that_names_both_rows(self, store: ReferenceStore) -> None:
        with pytest.raises(DataError, match="rows 0 and 2 have the same id 'a'"):
            store.add(make_records(["a", "b", "a"], seeds=[1, 2, 1]), actor="anna")

        assert store.revision == 0

    def test_references_with_the_same_vector_are_kept_apart(self, store: ReferenceStore) -> None:
        store.add(make_records(["a", "b"], seeds=[1, 1], labels=[0, 1]), actor="anna")

        found = store.snapshot()
        assert found.ids == ("a", "b")
        assert np.array_equal(found.vectors, vectors_of([1, 1]))

    @pytest.mark.parametrize(
        ("records", "reason"),
        [
            (replace(make_records(["a", ""]), source="x"), "row 1 has no id"),
            (make_records(["a", "b\0"]), "ids, row 1: .* cannot be stored"),
            (make_records(["a", "\ud800"]), "ids, row 1: .* cannot be stored"),
            (replace(make_records(["a"]), parts=("\udfff",)), "parts, row 0: .* cannot be stored"),
            (make_records(["a"], source="\0"), "the source: .* cannot be stored"),
            (replace(make_records(["a"]), heat_map_shape=(4, 1)), r"heat maps of \(4, 1\), the station has \(2, 2\)"),
            (
                replace(
                    make_records(["a", "b"]), vectors=np.array([[0, 1, 0, 1], [0, 1, np.nan, 0]], dtype=np.float32)
                ),
                r"row 1 \(id 'b'\): value 2 is nan",
            ),
            (
                replace(make_records(["a"]), vectors=np.full((1, 4), 0.5, dtype=np.float32)),
                r"row 0 \(id 'a'\): spread 0",
            ),
            (
                replace(make_records(["a"]), vectors=np.array([[0, 255, 3, 4]], dtype=np.float32)),
                r"row 0 \(id 'a'\): values 0 … 255 leave",
            ),
        ],
    )
    def test_a_record_that_cannot_be_a_reference_is_refused_by_name(
        self, store: ReferenceStore, records: Records, reason: str
    ) -> None:
        with pytest.raises(DataError, match=reason):
            store.add(records, actor="anna")

        assert store.revision == 0

    def test_an_actor_that_cannot_be_stored_is_refused(self, store: ReferenceStore) -> None:
        with pytest.raises(DataError, match="the actor"):
            store.add(make_records(["a"]), actor="\ud800")


class TestRelabelAndRemove:
    def test_a_relabelled_reference_keeps_its_place_and_its_vector(self, store: ReferenceStore) -> None:
        store.add(make_records(["a", "b", "c"]), actor="anna")

        change = store.relabel(["a"], 44, "burr", actor="ben")

        found = store.snapshot()
        assert (change.revision, change.n_relabelled) == (2, 1)
        assert found.ids == ("a", "b", "c")
        assert found.labels.tolist() == [44, 0, 0]
        assert found.failure_modes[0] == "burr"
        assert np.array_equal(found.vectors, vectors_of([0, 1, 2]))

    def test_a_label_that_is_there_already_changes_nothing(self, store: ReferenceStore) -> None:
        store.add(make_records(["a"], labels=[3]), actor="anna")

        change = store.relabel(["a", "a"], 3, "mode 3", actor="ben")

        assert (change.revision, change.n_relabelled, change.n_unchanged) == (1, 0, 1)

    def test_an_unknown_id_changes_nothing_at_all(self, store: ReferenceStore) -> None:
        store.add(make_records(["a"]), actor="anna")

        with pytest.raises(StoreError, match="no reference 'nobody'"):
            store.relabel(["a", "nobody"], 3, "burr", actor="ben")
        with pytest.raises(StoreError, match="no reference 'nobody'"):
            store.remove(["a", "nobody"], actor="ben")

        assert (store.revision, store.snapshot().labels.tolist()) == (1, [0])

    @pytest.mark.parametrize("label", [2**31, -(2**31) - 1])
    def test_a_label_beyond_32_bits_is_refused(self, store: ReferenceStore, label: int) -> None:
        store.add(make_records(["a"]), actor="anna")

        with pytest.raises(DataError, match=f"label {label}: expected"):
            store.relabel(["a"], label, "burr", actor="ben")

    def test_a_removed_reference_is_gone_and_can_be_added_again_with_another_vector(
        self, store: ReferenceStore
    ) -> None:
        store.add(make_records(["a", "b"], seeds=[1, 2]), actor="anna")
        removed = store.remove(["a"], actor="ben")
        store.add(make_records(["a"], seeds=[3], labels=[5]), actor="anna")

        found = store.snapshot()

        assert (removed.revision, removed.n_removed) == (2, 1)
        assert found.ids == ("b", "a")
        assert found.labels.tolist() == [0, 5]
        assert np.array_equal(found.vectors, vectors_of([2, 3]))

    def test_removing_nothing_is_no_revision(self, store: ReferenceStore) -> None:
        assert store.remove([], actor="ben").revision == 0

    def test_the_history_tells_who_did_what_from_what_to_what(self, store: ReferenceStore) -> None:
        store.add(make_records(["a", "b"], labels=[1, 1]), actor="anna")
        store.relabel(["a", "b"], 2, "burr", actor="ben")
        store.remove(["a"], actor="cleo")
        store.add(make_records(["a"], labels=[3]), actor="dora")

        history = store.history("a")

        assert [(one.revision, one.actor, one.verb, one.from_label, one.to_label) for one in history] == [
            (1, "anna", "add", None, 1),
            (2, "ben", "relabel", 1, 2),
            (3, "cleo", "remove", 2, None),
            (4, "dora", "add", None, 3),
        ]
        assert [(one.from_failure_mode, one.to_failure_mode) for one in history] == [
            (None, "mode 1"),
            ("mode 1", "burr"),
            ("burr", None),
            (None, "mode 3"),
        ]
        assert all(one.at.endswith("Z") for one in history)

    def test_an_id_that_was_never_there_has_no_history(self, store: ReferenceStore) -> None:
        assert store.history("nobody") == []
