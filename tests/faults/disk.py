"""What a disk may hold after a power cut: everything that was synced, and of the rest whatever chance left.

A write that was not synced is kept or lost by sector, a new length likewise. A name that was created, removed or
renamed is kept or lost until its folder was synced: either in the order of the operations, as a journalling file system
does it, or any of them. A sync of a file makes no name durable. Most file systems lose less than that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from faults.recording import Kind, Operation

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

SECTOR_BYTES = 512
KEPT_SHARES = (0.0, 0.5, 1.0)
"""How probably something that was not synced is on the disk all the same; drawn for each power cut."""


class _Write(NamedTuple):
    offset: int
    data: bytes


class _Resize(NamedTuple):
    size: int


@dataclass(slots=True)
class _File:
    durable: bytes = b""
    current: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Resize] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        _write(self.current, offset, data)
        self.pending.append(_Write(offset, data))

    def resize(self, size: int) -> None:
        _resize(self.current, size)
        self.pending.append(_Resize(size))

    def sync(self, content: bytes) -> None:
        self.durable, self.current, self.pending = content, bytearray(content), []

    def after_power_cut(self, rng: np.random.Generator, kept: float) -> bytes:
        content = bytearray(self.durable)
        for one in self.pending:
            if isinstance(one, _Resize):
                if rng.random() < kept:
                    _resize(content, one.size)
                continue
            start = 0
            while start < len(one.data):
                end = start + SECTOR_BYTES - (one.offset + start) % SECTOR_BYTES
                if rng.random() < kept:
                    _write(content, one.offset + start, one.data[start:end])
                start = end
        return bytes(content)


class _NameChange(NamedTuple):
    removed: str
    added: str
    node: _File | _Folder | None


@dataclass(slots=True)
class _Folder:
    durable: dict[str, _File | _Folder] = field(default_factory=dict)
    current: dict[str, _File | _Folder] = field(default_factory=dict)
    pending: list[_NameChange] = field(default_factory=list)

    def change(self, removed: str, added: str, node: _File | _Folder | None) -> None:
        change = _NameChange(removed, added, node)
        _change(self.current, change)
        self.pending.append(change)

    def sync(self) -> None:
        self.durable, self.pending = dict(self.current), []

    def after_power_cut(self, rng: np.random.Generator, kept: float, *, in_order: bool) -> dict[str, _File | _Folder]:
        names = dict(self.durable)
        if in_order:
            n_kept = round(kept * len(self.pending)) if kept in (0, 1) else int(rng.integers(len(self.pending) + 1))
            chosen = self.pending[:n_kept]
        else:
            chosen = [one for one in self.pending if rng.random() < kept]
        for change in chosen:
            _change(names, change)
        return names


def _write(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _change(names: dict[str, _File | _Folder], change: _NameChange) -> None:
    names.pop(change.removed, None)
    if change.node is not None:
        names[change.added] = change.node


class Disk:
    """The files of a folder, all of them synced, and what is then done to them."""

    def __init__(self, folder: Path) -> None:
        self._root = _load(folder)

    def apply(self, operation: Operation) -> None:
        """Do what a process did."""
        kind, path = operation.kind, operation.path
        if kind is Kind.MARK or path.endswith(" (deleted)"):
            return
        parent, name = self._find(path)
        match kind:
            case Kind.CREATE:
                parent.change("", name, _File())
            case Kind.MKDIR:
                parent.change("", name, _Folder())
            case Kind.UNLINK | Kind.RMDIR:
                parent.change(name, "", None)
            case Kind.RENAME:
                self._rename(parent, name, operation.other)
            case Kind.SYNC_FOLDER:
                folder = parent.current[name] if path else self._root
                assert isinstance(folder, _Folder)
                folder.sync()
            case Kind.WRITE:
                self._file(parent, name).write(operation.offset, operation.data)
            case Kind.TRUNCATE:
                self._file(parent, name).resize(operation.offset)
            case Kind.SYNC:
                self._file(parent, name).sync(operation.data)

    def after_power_cut(self, target: Path, rng: np.random.Generator) -> None:
        """Write to a new folder what the disk may hold if the power is cut now."""
        kept = rng.choice(KEPT_SHARES, 2).tolist()
        in_order = bool(rng.random() < 0.5)

        def restore(folder: _Folder, path: Path) -> None:
            path.mkdir()
            for name, node in folder.after_power_cut(rng, kept[0], in_order=in_order).items():
                if isinstance(node, _Folder):
                    restore(node, path / name)
                else:
                    (path / name).write_bytes(node.after_power_cut(rng, kept[1]))

        restore(self._root, target)

    def files(self) -> dict[str, bytes]:
        """Return every file as processes see it now, by path."""
        found: dict[str, bytes] = {}

        def collect(folder: _Folder, path: str) -> None:
            for name, node in folder.current.items():
                if isinstance(node, _Folder):
                    collect(node, f"{path}{name}/")
                else:
                    found[path + name] = bytes(node.current)

        collect(self._root, "")
        return found

    def _find(self, path: str) -> tuple[_Folder, str]:
        *folders, name = PurePosixPath(path).parts or ("",)
        folder = self._root
        for one in folders:
            found = folder.current[one]
            assert isinstance(found, _Folder)
            folder = found
        return folder, name

    @staticmethod
    def _file(parent: _Folder, name: str) -> _File:
        found = parent.current.get(name)
        if found is None:  # made by a process that was not recorded, such as one that built an index
            found = _File()
            parent.change("", name, found)
        assert isinstance(found, _File)
        return found

    def _rename(self, parent: _Folder, name: str, target: str) -> None:
        node = parent.current[name]
        target_parent, target_name = self._find(target)
        if target_parent is parent:
            parent.change(name, target_name, node)
        else:
            target_parent.change("", target_name, node)
            parent.change(name, "", None)


def _load(path: Path) -> _Folder:
    folder = _Folder()
    for one in path.iterdir():
        folder.current[one.name] = _load(one) if one.is_dir() else _load_file(one)
    folder.sync()
    return folder


def _load_file(path: Path) -> _File:
    file = _File()
    file.sync(path.read_bytes())
    return file
