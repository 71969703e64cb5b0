"""Writing files so that they survive a power cut, and reading them so that damage is noticed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pydantic

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from _typeshed import DataclassInstance
    from numpy.typing import NDArray

T = TypeVar("T")


def write_durably(path: Path, data: bytes) -> None:
    """Write ``data`` to a new file beside ``path``, fsync it, rename it into place and fsync the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises
    ------
    ArtifactCorruptError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise ArtifactCorruptError(message) from error


def to_json(value: DataclassInstance) -> bytes:
    """Return a dataclass as JSON, sorted and indented so that two files can be compared by eye."""
    return (json.dumps(asdict(value), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path, kind: type[T], version: int) -> T:
    """Return what a JSON file holds, as the dataclass ``kind``, checked field by field.

    Raises
    ------
    ArtifactVersionError
        If the file's ``format_version`` is not ``version``.
    ArtifactCorruptError
        If the file cannot be read, is no JSON, or lacks a field or has one that ``kind`` does not know.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise ArtifactCorruptError(message) from error
    return parse_json(data, path, kind, version)


def parse_json(data: bytes, path: Path, kind: type[T], *versions: int) -> T:
    """Return what ``data``, the bytes of the file at ``path``, holds; see ``read_json``."""
    try:
        stored = json.loads(data)
    except ValueError as error:
        message = f"{path}: not JSON: {error}"
        raise ArtifactCorruptError(message) from error
    found = stored.get("format_version") if isinstance(stored, dict) else None
    if found not in versions:
        message = f"{path}: format version {found!r}, this release reads {' and '.join(map(str, versions))}"
        raise ArtifactVersionError(message)
    try:
        return pydantic.TypeAdapter(kind).validate_json(data, extra="forbid")
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = f"{path}: {'.'.join(str(step) for step in first['loc'])}: {first['msg']}"
        raise ArtifactCorruptError(message) from error


def to_npz(**arrays: NDArray[Any]) -> bytes:
    """Return arrays as the bytes of an NPZ file, whose entries carry checksums."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_npz(path: Path, names: Sequence[str]) -> list[NDArray[Any]]:
    """Return the named arrays of an NPZ file.

    Raises
    ------
    ArtifactCorruptError
        If the file cannot be read, or lacks one of them.
    """
    with _own_npz_errors(path, names), np.load(path, allow_pickle=False) as stored:
        return [stored[name] for name in names]


def names_in_npz(path: Path) -> list[str]:
    """Return the names of the arrays in an NPZ file.

    Raises
    ------
    ArtifactCorruptError
        If the file cannot be read.
    """
    with _own_npz_errors(path, ("arrays",)), np.load(path, allow_pickle=False) as stored:
        return list(stored.files)


@contextmanager
def _own_npz_errors(path: Path, names: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        message = f"{path}: not an NPZ file with {', '.join(names)}: {error}"
        raise ArtifactCorruptError(message) from error
