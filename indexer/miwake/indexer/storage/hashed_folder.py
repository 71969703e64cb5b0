"""A folder of plain files whose hashes are written down elsewhere: hashing, checking, and making it durable."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.files import fsync_folder, sha256_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


def hash_files(folder: Path, known: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder, by name.

    Parameters
    ----------
    folder : Path
    known : mapping of file name to SHA-256
        What was hashed while it was written, and need not be read again.

    Raises
    ------
    ArtifactCorruptError
        If something in it is no plain file.
    """
    return {name: known.get(name) or _hash(folder / name) for name in sorted(_names(folder))}


def check_files(folder: Path, hashes: Mapping[str, str], listing: str, *, unhashed: Collection[str] = ()) -> None:
    """Check that a folder holds exactly the files whose hashes are given, unchanged.

    Parameters
    ----------
    folder : Path
    hashes : mapping of file name to SHA-256
    listing : text
        Where the hashes come from, for messages.
    unhashed : names
        Files that may lie beside them.

    Raises
    ------
    ArtifactCorruptError
        Naming the first file that is missing, not listed, or damaged.
    """
    found = _names(folder)
    for name in sorted(hashes.keys() - found):
        message = f"{folder / name}: missing, though {listing} lists it"
        raise ArtifactCorruptError(message)
    for name in sorted(found - hashes.keys() - set(unhashed)):
        message = f"{folder / name}: not listed in {listing}"
        raise ArtifactCorruptError(message)
    for name, expected in sorted(hashes.items()):
        if _hash(folder / name) != expected:
            message = f"{folder / name}: damaged: sha256 differs from the one in {listing}"
            raise ArtifactCorruptError(message)


def fsync_files(folder: Path) -> None:
    """Make every file in a folder durable, and their names in it."""
    for name in _names(folder):
        descriptor = os.open(folder / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    fsync_folder(folder)


def _names(folder: Path) -> set[str]:
    try:
        return {one.name for one in folder.iterdir()}
    except OSError as error:
        message = f"{folder}: cannot be read: {error.strerror}"
        raise ArtifactCorruptError(message) from error


def _hash(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        message = f"{path}: expected a plain file"
        raise ArtifactCorruptError(message)
    return sha256_of(path)
