from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.hashed_folder import check_files, fsync_files, hash_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"second")
    return tmp_path


def test_every_file_is_hashed(folder: Path) -> None:
    assert hash_files(folder) == {
        "a": hashlib.sha256(b"first").hexdigest(),
        "b": hashlib.sha256(b"second").hexdigest(),
    }


def test_an_unchanged_folder_passes(folder: Path) -> None:
    hashes = hash_files(folder)
    fsync_files(folder)

    check_files(folder, hashes, "the list")


def test_a_changed_file_is_named(folder: Path) -> None:
    hashes = hash_files(folder)
    (folder / "b").write_bytes(b"Second")

    with pytest.raises(ArtifactCorruptError, match=r"/b: damaged: sha256 differs from the one in the list"):
        check_files(folder, hashes, "the list")


def test_a_missing_file_is_named(folder: Path) -> None:
    hashes = hash_files(folder)
    (folder / "a").unlink()

    with pytest.raises(ArtifactCorruptError, match=r"/a: missing, though the list lists it"):
        check_files(folder, hashes, "the list")


def test_a_file_that_is_not_listed_is_named(folder: Path) -> None:
    hashes = hash_files(folder)
    (folder / "c").touch()

    with pytest.raises(ArtifactCorruptError, match=r"/c: not listed in the list"):
        check_files(folder, hashes, "the list")


def test_the_list_itself_may_lie_beside_the_files(folder: Path) -> None:
    hashes = hash_files(folder)
    (folder / "list").touch()

    check_files(folder, hashes, "list", unhashed=("list",))


def test_a_link_is_no_file_even_to_the_same_bytes(folder: Path) -> None:
    hashes = hash_files(folder)
    (folder / "b").unlink()
    (folder / "b").symlink_to("/dev/null")

    with pytest.raises(ArtifactCorruptError, match=r"/b: expected a plain file"):
        check_files(folder, hashes, "the list")


def test_a_folder_inside_cannot_be_hashed(folder: Path) -> None:
    (folder / "inside").mkdir()

    with pytest.raises(ArtifactCorruptError, match=r"/inside: expected a plain file"):
        hash_files(folder)


def test_a_name_that_leads_elsewhere_is_a_missing_file(folder: Path) -> None:
    hashes = {"../a": hashlib.sha256(b"first").hexdigest()}

    with pytest.raises(ArtifactCorruptError, match="missing"):
        check_files(folder, hashes, "the list")


def test_a_folder_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"/nowhere: cannot be read"):
        check_files(folder / "nowhere", {}, "the list")
