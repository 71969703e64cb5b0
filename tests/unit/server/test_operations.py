from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from miwake.server.errors import UnknownOperationError
from miwake.server.operations import BEGUN, KEPT, Begun, Operations, start_process, write_begun

STARTED_AT = "2026-01-02T03:04:05+00:00"


@contextmanager
def begun(operations: Operations, script: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Begin an operation whose process is a script of the shell."""
    with operations.beginning():
        folder = operations.make_folder()
        process = start_process(folder, ["sh", "-c", script])
        write_begun(folder, Begun(station="line1", started_at=STARTED_AT, server="s", process_group=process.pid))
    with process:
        try:
            yield folder.name, process
        finally:
            process.kill()


def ended(operations: Operations, script: str) -> str:
    """Return the name of an operation that is over."""
    with begun(operations, script) as (name, process):
        process.wait()
    return name


@pytest.fixture
def operations(tmp_path: Path) -> Operations:
    return Operations(tmp_path)


def test_one_that_published_tells_what_it_built(operations: Operations) -> None:
    done = operations.get(ended(operations, """echo 'embedding' >&2; echo '{"generation": "g000002"}'"""))

    assert (done.name, done.station, done.started_at.isoformat()) == ("rebuild-1", "line1", STARTED_AT)
    assert (done.is_done, done.generation, done.error, done.progress) == (True, "g000002", "", "")


def test_one_under_way_tells_its_last_line_to_every_process(operations: Operations, tmp_path: Path) -> None:
    with begun(operations, "echo reading >&2; echo embedding >&2; exec tail -f /dev/null") as (name, _):
        while operations.get(name).progress != "embedding":
            os.sched_yield()
        seen = Operations(tmp_path).get(name)

    assert (seen.is_done, seen.error) == (False, "")


def test_one_that_failed_says_why(operations: Operations) -> None:
    failed = operations.get(ended(operations, "echo reading >&2; echo 'miwake-index: the disk is full' >&2; exit 1"))

    assert (failed.is_done, failed.is_cancelled, failed.error) == (True, False, "the disk is full")


def test_one_whose_process_vanished_has_failed(operations: Operations) -> None:
    with begun(operations, "echo embedding >&2; kill -9 $$") as (name, process):
        process.wait()

    vanished = operations.get(name)
    assert (vanished.is_done, vanished.generation) == (True, "")
    assert vanished.error == "its process ended before it was done; the last that it said was 'embedding'"


def test_one_is_cancelled_from_elsewhere(operations: Operations, tmp_path: Path) -> None:
    with begun(operations, "exec tail -f /dev/null") as (name, process):
        Operations(tmp_path).cancel(name)
        cancelled = operations.get(name)
        status = process.wait()

    assert (cancelled.is_done, cancelled.is_cancelled, cancelled.error) == (True, True, "cancelled")
    assert status == -signal.SIGKILL


def test_one_that_is_over_cannot_be_cancelled(operations: Operations) -> None:
    name = ended(operations, """echo '{"generation": "g000002"}'""")

    operations.cancel(name)

    assert not operations.get(name).is_cancelled


def test_what_was_published_before_it_was_cancelled_counts(operations: Operations) -> None:
    with begun(operations, """echo '{"generation": "g000002"}'; echo done >&2; exec tail -f /dev/null""") as (name, _):
        while operations.get(name).progress != "done":
            os.sched_yield()
        operations.cancel(name)

    assert (operations.get(name).generation, operations.get(name).is_cancelled) == ("g000002", False)


@pytest.mark.parametrize("name", ["rebuild-9", "", "rebuild-0", "../line1", "rebuild-1/../rebuild-1"])
def test_what_there_is_not_is_unknown(operations: Operations, name: str) -> None:
    ended(operations, "true")

    with pytest.raises(UnknownOperationError):
        operations.get(name)


def test_one_whose_beginner_vanished_at_once_is_unknown_and_in_nobodys_way(
    operations: Operations, tmp_path: Path
) -> None:
    name = ended(operations, "true")
    (tmp_path / ".operations" / name / BEGUN).unlink()

    assert operations.all() == []
    assert ended(operations, "true") == "rebuild-2"


def test_the_oldest_are_forgotten_and_no_name_is_used_twice(operations: Operations) -> None:
    with operations.beginning():
        for _ in range(KEPT):
            folder = operations.make_folder()
            write_begun(folder, Begun(station="line1", started_at=STARTED_AT, server="s", process_group=0))

    assert ended(operations, "true") == f"rebuild-{KEPT + 1}"
    assert [len(operations.all()), operations.all()[0].name] == [KEPT, "rebuild-2"]
