from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from faults.disk import SECTOR_BYTES, Disk
from faults.recording import Kind, Operation

CUTS = 60


def operation(kind: Kind, path: str, *, other: str = "", offset: int = 0, data: bytes = b"") -> Operation:
    return Operation(kind, 0, path, other, offset, data)


CREATE = operation(Kind.CREATE, "a")
WRITE = operation(Kind.WRITE, "a", data=b"new")
SYNC = operation(Kind.SYNC, "a", data=b"new")
RENAME = operation(Kind.RENAME, "a", other="b")
SYNC_FOLDER = operation(Kind.SYNC_FOLDER, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b").write_bytes(b"old")
    return tmp_path / "folder"


def outcomes(folder: Path, *operations: Operation) -> set[tuple[tuple[str, bytes], ...]]:
    """Return everything that the disk held after one of many power cuts."""
    disk = Disk(folder)
    for one in operations:
        disk.apply(one)
    found = set()
    for seed in range(CUTS):
        target = Path(tempfile.mkdtemp(dir=folder.parent)) / "after"
        disk.after_power_cut(target, np.random.default_rng(seed))
        found.add(tuple(sorted((one.name, one.read_bytes()) for one in target.iterdir())))
    return found


def test_without_operations_everything_stays(folder: Path) -> None:
    assert outcomes(folder) == {(("b", b"old"),)}


def test_a_file_in_the_place_of_another_is_whole_if_all_is_synced(folder: Path) -> None:
    assert outcomes(folder, CREATE, WRITE, SYNC, RENAME, SYNC_FOLDER) == {(("b", b"new"),)}


def test_without_a_sync_of_the_folder_either_is_there(folder: Path) -> None:
    found = outcomes(folder, CREATE, WRITE, SYNC, SYNC_FOLDER, RENAME)

    assert found == {(("b", b"new"),), (("a", b"new"), ("b", b"old"))}


def test_without_a_sync_of_the_file_its_content_may_be_lost(folder: Path) -> None:
    assert outcomes(folder, CREATE, WRITE, RENAME, SYNC_FOLDER) == {(("b", b"new"),), (("b", b""),)}


def test_a_write_may_be_torn_between_sectors(folder: Path) -> None:
    old, new = b"-" * SECTOR_BYTES, b"+" * SECTOR_BYTES
    (folder / "b").write_bytes(old * 2)

    found = outcomes(folder, operation(Kind.WRITE, "b", data=new * 2))

    assert {content for ((_, content),) in found} == {old * 2, old + new, new + old, new * 2}


def test_a_file_that_was_removed_may_still_be_there(folder: Path) -> None:
    assert outcomes(folder, operation(Kind.UNLINK, "b")) == {(), (("b", b"old"),)}
    assert outcomes(folder, operation(Kind.UNLINK, "b"), SYNC_FOLDER) == {()}


def test_processes_see_everything(folder: Path) -> None:
    disk = Disk(folder)
    for one in (CREATE, WRITE, operation(Kind.TRUNCATE, "a", offset=2), operation(Kind.MKDIR, "c")):
        disk.apply(one)

    assert disk.files() == {"a": b"ne", "b": b"old"}
