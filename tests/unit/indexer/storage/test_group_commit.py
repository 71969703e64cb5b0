from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from miwake.indexer.errors import (
    DataError,
    ReferenceConflictError,
    StationNotFoundError,
    StoreBusyError,
    StoreError,
)
from miwake.indexer.storage.edits import addition, relabelling, removal
from miwake.indexer.storage.group_commit import GroupCommit
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA, make_records

N_CALLERS = 8
N_CHANGES = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ReferenceStore.create(tmp_path / "line-1", schema=SCHEMA).close()
    return tmp_path / "line-1"


@contextmanager
def written_by_another(folder: Path) -> Iterator[None]:
    """Keep the store locked for writing: what is submitted meanwhile waits."""
    with closing(sqlite3.connect(folder / STORE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def ids_of(folder: Path) -> tuple[str, ...]:
    with ReferenceStore.open(folder) as store:
        store.check()
        return store.snapshot().ids


def test_what_is_answered_is_there_for_others(folder: Path) -> None:
    with GroupCommit(folder) as group:
        change = group.add(make_records(["a"]), actor="anna")

        assert (change.revision, change.n_added) == (1, 1)
        assert ids_of(folder) == ("a",)


def test_every_verb_says_what_it_did_and_who_asked(folder: Path) -> None:
    with GroupCommit(folder) as group:
        group.add(make_records(["a", "b"]), actor="anna")
        assert group.relabel(["a"], 3, "burr", actor="ben").n_relabelled == 1
        assert group.remove(["b"], actor="cleo").n_removed == 1

    with ReferenceStore.open(folder) as store:
        actors = [entry.actor for one in ("a", "b") for entry in store.history(one)]
    assert actors == ["anna", "ben", "anna", "cleo"]


def test_each_change_of_many_threads_is_a_revision_of_its_own(folder: Path) -> None:
    def change(caller: int) -> list[int]:
        return [
            group.add(make_records([f"{caller}-{number}"]), actor=f"caller {caller}").revision
            for number in range(N_CHANGES)
        ]

    with GroupCommit(folder) as group, ThreadPoolExecutor(N_CALLERS) as callers:
        revisions = [one for found in callers.map(change, range(N_CALLERS)) for one in found]

    assert sorted(revisions) == list(range(1, N_CALLERS * N_CHANGES + 1))
    assert len(ids_of(folder)) == N_CALLERS * N_CHANGES


def test_what_waits_is_committed_together_in_its_order(folder: Path) -> None:
    with GroupCommit(folder) as group:
        with written_by_another(folder):
            first = group.submit(addition(make_records(["first"]), SCHEMA, actor="anna"))
            while not first.running():
                pass
            waiting = [
                group.submit(addition(make_records([one]), SCHEMA, actor="anna")) for one in ("a", "b", "c", "d")
            ]
        assert [one.result().revision for one in waiting] == [2, 3, 4, 5]
        assert group.n_transactions == 2


def test_a_refused_change_leaves_its_neighbours_alone(folder: Path) -> None:
    with GroupCommit(folder) as group:
        with written_by_another(folder):
            good = [group.submit(addition(make_records([one]), SCHEMA, actor="anna")) for one in ("a", "b")]
            unknown = group.submit(relabelling(["b", "nobody"], 3, "burr", actor="ben"))
            conflict = group.submit(addition(make_records(["c", "a"], seeds=[5, 6]), SCHEMA, actor="ben"))
            last = group.submit(removal(["a"], actor="cleo"))

        with pytest.raises(StoreError, match="no reference 'nobody'"):
            unknown.result()
        with pytest.raises(ReferenceConflictError, match="id 'a'"):
            conflict.result()
        assert [one.result().revision for one in good] == [1, 2]
        assert last.result().revision == 3
    assert ids_of(folder) == ("b",)
    with ReferenceStore.open(folder) as store:
        assert store.snapshot().labels.tolist() == [0]


def test_a_change_that_cannot_be_a_reference_is_refused_before_it_waits(folder: Path) -> None:
    with GroupCommit(folder) as group, pytest.raises(DataError, match="has no id"):
        group.add(make_records([""]), actor="anna")


def test_a_change_that_was_taken_back_in_time_is_not_made(folder: Path) -> None:
    with GroupCommit(folder) as group:
        with written_by_another(folder):
            first = group.submit(addition(make_records(["a"]), SCHEMA, actor="anna"))
            while not first.running():
                pass
            second = group.submit(addition(make_records(["b"]), SCHEMA, actor="anna"))
            assert second.cancel()
        first.result()
    assert ids_of(folder) == ("a",)


def test_a_full_queue_is_told(folder: Path) -> None:
    with GroupCommit(folder, queue_limit=1) as group, written_by_another(folder):
        first = group.submit(addition(make_records(["a"]), SCHEMA, actor="anna"))
        while not first.running():
            pass
        group.submit(addition(make_records(["b"]), SCHEMA, actor="anna"))
        with pytest.raises(StoreBusyError, match="1 changes wait already; nothing was changed"):
            group.submit(addition(make_records(["c"]), SCHEMA, actor="anna"), timeout_s=0.0)
    assert ids_of(folder) == ("a", "b")


def test_everyone_who_waits_is_told_that_another_process_is_writing(folder: Path) -> None:
    with GroupCommit(folder, busy_timeout_s=0.05) as group:
        with written_by_another(folder):
            waiting = [group.submit(addition(make_records([one]), SCHEMA, actor="anna")) for one in ("a", "b")]
            for one in waiting:
                with pytest.raises(StoreBusyError, match=r"references\.db: another process is writing"):
                    one.result()
        assert group.add(make_records(["c"]), actor="anna").revision == 1
    assert ids_of(folder) == ("c",)


def test_closing_answers_everything_that_was_accepted_and_refuses_what_comes_later(folder: Path) -> None:
    group = GroupCommit(folder)
    with written_by_another(folder):
        waiting = [group.submit(addition(make_records([one]), SCHEMA, actor="anna")) for one in ("a", "b", "c")]
        closing_thread = threading.Thread(target=group.close)
        closing_thread.start()
    closing_thread.join()

    assert [one.result(timeout=0).revision for one in waiting] == [1, 2, 3]
    with pytest.raises(StoreError, match="closed, no more changes"):
        group.add(make_records(["d"]), actor="anna")


def test_without_a_station_there_is_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(StationNotFoundError):
        GroupCommit(tmp_path / "line-9")
