"""What a process did to the files of a folder, operation by operation, as the shim logged it."""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_HEADER = struct.Struct("=IIIIQQ")


class Kind(IntEnum):
    """The numbers that shim.c writes."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    SYNC_FOLDER = 5
    RENAME = 6
    UNLINK = 7
    MKDIR = 8
    RMDIR = 9
    MARK = 10


class Operation(NamedTuple):
    """One operation.

    Attributes
    ----------
    number : int
        Counts what changes files, 1, 2, 3 …; the process can be killed at it.
    path : text
        Relative to the folder; of a mark, its text.
    other : text
        What the path is renamed to.
    offset : int
        Of a write; of a truncation, the new size.
    data : bytes
        Of a write; of a sync, the whole file.
    """

    kind: Kind
    number: int
    path: str
    other: str
    offset: int
    data: bytes

    @property
    def fail_point(self) -> str:
        """What is done, to what kind of file."""
        return f"{self.kind.name.lower()} {_kind_of(self.path)}" + (f" to {_kind_of(self.other)}" if self.other else "")


def read_recording(log: Path, folder: Path) -> list[Operation]:
    """Return the operations in a log, which may end in the middle of one where its process was killed."""
    data = log.read_bytes() if log.exists() else b""
    found, at = [], 0
    while at + _HEADER.size <= len(data):
        kind, number, path_length, other_length, offset, data_length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        path, other = data[at : at + path_length].decode(), data[at + path_length :][:other_length].decode()
        at += path_length + other_length
        content = data[at : at + data_length]
        at += data_length
        if kind != Kind.MARK:
            path, other = _relative(path, folder), _relative(other, folder)
        found.append(Operation(Kind(kind), number, path, other, offset, content))
    return found


def marks(operations: list[Operation]) -> list[str]:
    """Return the texts of the marks: what was acknowledged, in order."""
    return [one.path for one in operations if one.kind is Kind.MARK]


def _relative(path: str, folder: Path) -> str:
    return path.removeprefix(str(folder)).strip("/")


def _kind_of(path: str) -> str:
    numbers = re.sub(r"\bg\d{6,}", "g*", path)
    process = re.sub(r"\.\d+\.part", ".*.part", numbers)
    return re.sub(r"\b[0-9a-f]{12}\b", "<embedder>", process)
