"""Kills, full disks and damaged bytes: what was acknowledged is there, and nothing damaged is answered from."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.errors import ArtifactCorruptError, ArtifactError, IndexerError
from miwake.indexer.storage.generation import open_generation, publish, verify
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from support import store_faults
from support.references import SCHEMA, make_records, make_station, vectors_of, writes_references
from support.store_faults import (
    CONTEXT,
    PER_BATCH,
    add_batch,
    assert_acknowledged,
    assert_old_or_new,
    batch_ids,
    database_size,
    run,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

KILLS = 12
READS = 10
FLIPS_PER_FILE = 40
DATABASE_FLIPS = 150


@pytest.fixture
def line(tmp_path: Path) -> Path:
    ReferenceStore.create(tmp_path / "line", schema=SCHEMA).close()
    return tmp_path / "line"


def kill_while_writing(folder: Path, writer: Callable[[Path, Connection], None], rng: np.random.Generator) -> int:
    """Kill a writer at a random moment after a few acknowledgements; return the number of the last one."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = start(writer, folder, sender)
    sender.close()
    last: int = receiver.recv()
    for _ in range(int(rng.integers(3))):
        last = receiver.recv()
    end = time.perf_counter() + rng.uniform(0.0, 0.01)
    while time.perf_counter() < end:
        pass
    process.kill()
    process.join()
    while receiver.poll():
        try:
            last = receiver.recv()
        except EOFError:
            break
    receiver.close()
    return last


def test_whoever_reads_while_another_writes_sees_whole_revisions(line: Path) -> None:
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = start(store_faults.write_for_ever, line, sender)
    with ReferenceStore.open(line) as store:
        found = []
        for _ in range(READS):
            receiver.recv()
            found.append(store.snapshot())
    process.kill()
    process.join()

    batches = [one.revision for one in found]
    assert batches == sorted(batches)
    assert [one.ids for one in found] == [
        tuple(one for number in range(revision) for one in batch_ids(number)) for revision in batches
    ]


@pytest.mark.parametrize("seed", range(KILLS))
def test_what_was_acknowledged_before_a_kill_is_there(line: Path, seed: int) -> None:
    last = kill_while_writing(line, store_faults.write_for_ever, np.random.default_rng(seed))

    assert_acknowledged(line, last)


def test_a_writer_that_acknowledges_too_early_is_caught(line: Path) -> None:
    def kills_until_caught(rng: np.random.Generator) -> int:
        for attempt in count(1):
            last = kill_while_writing(line, store_faults.write_for_ever_and_acknowledge_too_early, rng)
            try:
                assert_acknowledged(line, last)
            except AssertionError:
                return attempt
        raise AssertionError

    assert kills_until_caught(np.random.default_rng(0)) <= 10 * KILLS


def test_a_kill_in_the_middle_of_a_commit_leaves_what_was_there_before(line: Path, tmp_path: Path) -> None:
    with ReferenceStore.open(line) as store:
        add_batch(store, 0)
        before = database_size(line)
        shutil.copytree(line, tmp_path / "later")
    with ReferenceStore.open(tmp_path / "later") as store:
        add_batch(store, 1)
    hot_journals = 0
    for size_bytes in range(before + 1, database_size(tmp_path / "later"), 2048):
        shutil.copytree(line, tmp_path / "copy")

        ended = run(store_faults.add_until_files_are_too_big, tmp_path / "copy", 1, size_bytes)

        assert ended == -signal.SIGXFSZ
        hot_journals += (tmp_path / "copy" / f"{STORE_FILE}-journal").exists()
        assert_acknowledged(tmp_path / "copy", 0)
        shutil.rmtree(tmp_path / "copy")
    assert hot_journals > 0


def test_a_kill_in_the_middle_of_a_commit_without_its_journal_is_caught(line: Path) -> None:
    with ReferenceStore.open(line) as store:
        add_batch(store, 0)
    run(store_faults.add_until_files_are_too_big, line, 1, database_size(line) + 1)
    (line / f"{STORE_FILE}-journal").unlink()

    with pytest.raises((ArtifactCorruptError, AssertionError)):
        assert_acknowledged(line, 0)


def test_a_full_disk_is_told_and_changes_nothing(line: Path) -> None:
    with ReferenceStore.open(line) as store:
        add_batch(store, 0)
    receiver, sender = CONTEXT.Pipe(duplex=False)

    run(store_faults.add_until_the_disk_is_full, line, 1, database_size(line) + 1, sender)

    assert receiver.recv().startswith(f"StoreError: {line / STORE_FILE}: ")
    assert_acknowledged(line, 0)


def test_who_fills_the_disk_is_refused_and_those_beside_are_stored(line: Path) -> None:
    receiver, sender = CONTEXT.Pipe(duplex=False)

    run(store_faults.commit_a_group_that_is_too_large, line, 2 * database_size(line), sender)

    first, huge, last = receiver.recv(), receiver.recv(), receiver.recv()
    assert (first, last) == ("done", "done")
    assert huge.startswith(f"StoreError: {line / STORE_FILE}: ")
    with ReferenceStore.open(line) as store:
        store.check()
        assert store.snapshot().ids == ("first", "last")


def test_a_store_that_may_only_be_read_is_read_and_says_so() -> None:
    receiver, sender = CONTEXT.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "line"
        with ReferenceStore.create(folder, schema=SCHEMA) as store:
            add_batch(store, 0)
        for path, mode in ((folder.parent, 0o555), (folder, 0o555), (folder / STORE_FILE, 0o444)):
            path.chmod(mode)

        ended = run(store_faults.change_as_nobody, folder, sender)

        folder.parent.chmod(0o755)
        folder.chmod(0o755)
        assert ended == 0
        assert receiver.recv() == PER_BATCH
        assert receiver.recv() == (
            f"StoreError: {folder / STORE_FILE}: attempt to write a readonly database; nothing was changed"
        )
        assert_acknowledged(folder, 0)


def test_two_processes_that_write_at_once_both_get_everything_in(line: Path) -> None:
    processes = [start(store_faults.add_batches, line, numbers) for numbers in (range(20), range(20, 40))]
    for one in processes:
        one.join()

    assert [one.exitcode for one in processes] == [0, 0]
    with ReferenceStore.open(line) as store:
        store.check()
        assert store.revision == 40
        assert sorted(store.snapshot().ids) == sorted(one for number in range(40) for one in batch_ids(number))


def test_a_kill_anywhere_in_publishing_leaves_the_old_generation_or_the_new(tmp_path: Path) -> None:
    station = make_station(tmp_path / "line")
    publish(station, writes_references(station))
    found, endings = [], []
    for step in count(1):
        shutil.copytree(station.path, tmp_path / "copy" / "line")
        copy = StationFolder(tmp_path / "copy" / "line")

        endings.append(run(store_faults.publish_and_die, copy.path, step))

        found.append(assert_old_or_new(copy, "g000001", "g000002"))
        assert publish(copy, writes_references(copy)).generation in ("g000002", "g000003")
        assert not list(copy.generations_path.glob(".*"))
        shutil.rmtree(copy.path)
        if endings[-1] == 0:
            break
    assert endings == [-signal.SIGKILL] * (len(endings) - 1) + [0]
    assert found == sorted(found)
    assert (found[0], found[-1]) == ("g000001", "g000002")
    assert len(found) > 15


def test_publishing_in_the_wrong_order_is_caught(tmp_path: Path) -> None:
    station = make_station(tmp_path / "line")
    publish(station, writes_references(station))

    assert run(store_faults.publish_in_the_wrong_order_and_die, station.path, 3) == -signal.SIGKILL

    with pytest.raises(ArtifactCorruptError):
        assert_old_or_new(station, "g000001", "g000002")


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    station = make_station(tmp_path / "line")

    assert run(store_faults.publish_and_die, station.path, 5) == -signal.SIGKILL

    with station.lock():
        assert "publish" not in (station.path / "LOCK").read_text()


def flip_a_byte(path: Path, rng: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
    path.write_bytes(data)


def test_a_flipped_byte_in_any_file_of_a_station_is_refused_with_its_name(tmp_path: Path) -> None:
    station = make_station(tmp_path / "line", n_references=40)
    publish(station, writes_references(station))
    folder, manifest = open_generation(station)
    files = [*folder.iterdir(), *(station.embedders_path / manifest.embedder_id).iterdir(), station.path / "CURRENT"]
    rng = np.random.default_rng(0)
    for path in sorted(files):
        intact = path.read_bytes()
        for _ in range(FLIPS_PER_FILE):
            flip_a_byte(path, rng)

            with pytest.raises(ArtifactError, match=path.name):
                open_generation(station)

            path.write_bytes(intact)
    assert open_generation(station) == (folder, manifest)


def test_a_flipped_byte_in_any_file_of_an_earlier_generation_is_refused_with_its_name(tmp_path: Path) -> None:
    station = make_station(tmp_path / "line", n_references=40)
    publish(station, writes_references(station))
    publish(station, writes_references(station))
    folder, _ = open_generation(station, "g000001")
    rng = np.random.default_rng(0)
    for path in sorted(folder.iterdir()):
        intact = path.read_bytes()
        for _ in range(FLIPS_PER_FILE):
            flip_a_byte(path, rng)

            with pytest.raises(ArtifactError, match=path.name):
                open_generation(station, "g000001")

            path.write_bytes(intact)


def test_without_the_hashes_a_flipped_byte_would_be_accepted(tmp_path: Path) -> None:
    station = make_station(tmp_path / "line", n_references=40)
    publish(station, writes_references(station))
    path = station.generations_path / "g000001" / "vectors.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    assert not np.array_equal(np.load(path), vectors_of(range(40)))
    with pytest.raises(ArtifactCorruptError):
        verify(path.parent)


def answers_of(folder: Path) -> tuple[str, ...]:
    """Return what a store of the references r0 … r39 says, now and at its first revision; empty if it refuses."""
    try:
        with ReferenceStore.open(folder) as store:
            return repr(store.snapshot()), repr(store.snapshot(1)), repr(store.history("r6"))
    except IndexerError as error:
        assert str(folder) in str(error)  # noqa: PT017 - either the answers are the same, or the message names the file
        return ()


def test_a_flipped_byte_in_the_database_is_refused_or_changes_no_answer(line: Path) -> None:
    ids = [f"r{row}" for row in range(40)]
    with ReferenceStore.open(line) as store:
        store.add(make_records(ids), actor="anna")
        store.relabel(ids[::2], 3, "burr", actor="ben")
        store.remove(ids[:5], actor="cleo")
    expected = answers_of(line)
    path = line / STORE_FILE
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(DATABASE_FLIPS):
        flip_a_byte(path, rng)
        answers.append(answers_of(line))
        path.write_bytes(intact)
        (line / f"{STORE_FILE}-journal").unlink(missing_ok=True)
    assert set(answers) == {expected, ()}
    assert answers.count(()) > DATABASE_FLIPS // 10


def test_without_the_checksums_a_flipped_byte_in_the_database_would_be_accepted(line: Path) -> None:
    with ReferenceStore.open(line) as store:
        store.add(make_records(["a"]), actor="anna")
    path = line / STORE_FILE
    content = vectors_of([0]).tobytes()
    data = path.read_bytes()
    assert data.count(content) == 1
    path.write_bytes(data.replace(content, content[:-1] + bytes([content[-1] ^ 1])))

    connection = sqlite3.connect(path)
    (told,) = connection.execute("PRAGMA integrity_check").fetchone()
    (found,) = connection.execute("SELECT content FROM vectors").fetchone()
    connection.close()
    assert told == "ok"
    assert found != content
    assert answers_of(line) == ()
