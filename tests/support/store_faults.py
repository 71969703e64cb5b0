"""Processes that are killed while they write to a station, and what must hold afterwards.

They are forked from a server process that has imported everything once, so that a kill costs milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miwake.indexer.storage.edits import addition
from miwake.indexer.storage.generation import open_generation, publish
from miwake.indexer.storage.group_commit import GroupCommit
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.station import CURRENT_FILE, StationFolder
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA, make_records, vectors_of, writes_references

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["miwake.indexer.storage.generation", "miwake.indexer.storage.store", "pyarrow"])
PER_BATCH = 50
NOBODY = 65534
"""A user without any rights; whoever runs the tests may have all."""

STEPS = ("mkdir", "rename", "replace", "fsync", "unlink")
"""What publishing does to the file system, by the name of the function in ``os``; and opening files to write."""


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a function of this module in a process of its own."""
    process = CONTEXT.Process(target=target, args=arguments)
    process.start()
    return process


def run(target: Callable[..., None], *arguments: Any) -> int | None:
    """Run a function of this module in a process of its own, and return how it ended: 0, or minus the signal."""
    process = start(target, *arguments)
    process.join()
    return process.exitcode


def batch_ids(number: int) -> list[str]:
    return [f"batch {number} row {row}" for row in range(PER_BATCH)]


def add_batch(store: ReferenceStore, number: int) -> int:
    """Add batch ``number``, each of which is always the same, and return the new revision."""
    seeds = range(number * PER_BATCH, (number + 1) * PER_BATCH)
    return store.add(make_records(batch_ids(number), seeds=seeds), actor="writer").revision


def write_for_ever(folder: Path, acknowledge: Connection) -> None:
    """Add batch after batch, and send each one's number once it is committed."""
    with ReferenceStore.open(folder) as store:
        number = store.revision
        while True:
            add_batch(store, number)
            acknowledge.send(number)
            number += 1


def write_for_ever_and_acknowledge_too_early(folder: Path, acknowledge: Connection) -> None:
    """Do what ``write_for_ever`` does in the wrong order: send each batch's number before it is committed."""
    with ReferenceStore.open(folder) as store:
        number = store.revision
        while True:
            acknowledge.send(number)
            add_batch(store, number)
            number += 1


def add_until_files_are_too_big(folder: Path, number: int, size_bytes: int) -> None:
    """Add one batch, and be killed by the system at the very write that makes a file exceed ``size_bytes``."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    with ReferenceStore.open(folder) as store:
        add_batch(store, number)


def add_until_the_disk_is_full(folder: Path, number: int, size_bytes: int, answer: Connection) -> None:
    """Add one batch where no file can exceed ``size_bytes``, and send what the store says to that."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with ReferenceStore.open(folder) as store:
        try:
            answer.send(f"revision {add_batch(store, number)}")
        except Exception as error:  # noqa: BLE001 - the test judges it
            answer.send(f"{type(error).__name__}: {error}")


def add_batches(folder: Path, numbers: range) -> None:
    """Add batches, one change each."""
    with ReferenceStore.open(folder) as store:
        for number in numbers:
            add_batch(store, number)


def commit_a_group_that_is_too_large(folder: Path, size_bytes: int, answer: Connection) -> None:
    """Submit one small, one huge and one small addition together where no file can exceed ``size_bytes``."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    huge = [f"huge {row}" for row in range(20_000)]
    edits = [addition(make_records(ids), SCHEMA, actor="test") for ids in (["first"], huge, ["last"])]
    with GroupCommit(folder) as group:
        for future in [group.submit(one) for one in edits]:
            error = future.exception()
            answer.send("done" if error is None else f"{type(error).__name__}: {error}")


def change_as_nobody(folder: Path, answer: Connection) -> None:
    """Read, and add a batch, as a user who may not write to the folder; send what the store says to each."""
    if os.getuid() == 0:
        ReferenceStore.open(folder).close()  # imports what nobody may not
        os.setresuid(NOBODY, NOBODY, NOBODY)
    with ReferenceStore.open(folder) as store:
        answer.send(store.n_references)
        try:
            answer.send(f"revision {add_batch(store, 1)}")
        except Exception as error:  # noqa: BLE001 - the test judges it
            answer.send(f"{type(error).__name__}: {error}")


def publish_and_die(path: Path, step: int) -> None:
    """Publish, and be killed just before the given step (1, 2, …) of what that does to the file system."""
    station = StationFolder(path)
    write = writes_references(station)
    _die_before(step)
    publish(station, write)


def publish_in_the_wrong_order_and_die(path: Path, step: int) -> None:
    """Publish in the wrong order, ``CURRENT`` first and in place; be killed just before the given step."""
    station = StationFolder(path)
    write = writes_references(station)
    current = (path / CURRENT_FILE).read_text()
    _die_before(step)
    with (path / CURRENT_FILE).open("w") as file:
        file.write(current.replace("g000001", "g000002"))
    publish(station, write)


def _die_before(step: int) -> None:
    # Functions of os and pathlib are replaced, none of ours, in a process that ends with this.
    left = [step]

    def count_down() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            count_down()
            return function(*arguments, **options)

        return call

    def counted_open(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not mode.startswith("r"):
            count_down()
        return plain_open(path, mode, *arguments, **options)

    plain_open = Path.open
    Path.open = counted_open  # type: ignore[method-assign, assignment]
    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def assert_acknowledged(folder: Path, last: int) -> None:
    """Check that batches 0 … last are whole, that at most one more is, and that the store is sound."""
    with ReferenceStore.open(folder) as store:
        store.check()
        found = store.snapshot()
        n_batches = store.revision
    assert n_batches in (last + 1, last + 2), f"{n_batches} batches, acknowledged were {last + 1}"
    assert found.ids == tuple(one for number in range(n_batches) for one in batch_ids(number))
    assert found.vectors.tobytes() == vectors_of(range(n_batches * PER_BATCH)).tobytes()


def assert_old_or_new(station: StationFolder, old: str, new: str) -> str:
    """Check that the current generation is the old or the new one, and whole; return which."""
    _, manifest = open_generation(station)
    assert manifest.generation in (old, new)
    return manifest.generation


def database_size(folder: Path) -> int:
    """Return the size of the database in bytes."""
    return (folder / STORE_FILE).stat().st_size
