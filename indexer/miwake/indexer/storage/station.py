"""The folder of a station: where everything lies, its lock, and which generation is current."""

from __future__ import annotations

import fcntl
import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from miwake.indexer.errors import ArtifactCorruptError, StationNotFoundError, StoreBusyError, StoreError
from miwake.indexer.storage.files import fsync_folder, parse_json, to_json, write_durably
from miwake.indexer.storage.schema import STORE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

LOCK_FILE = "LOCK"
CURRENT_FILE = "CURRENT"
CURRENT_FORMAT_VERSION = 2
DEFAULT_SET = "default"
"""The name of the thresholds that a generation's own calibration holds."""
UNFINISHED = ".part"
"""How the folder of a copy ends that is not whole yet."""

STATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
GENERATION_NAME = re.compile(r"g(\d{6,})")
SET_NAME = re.compile(r"t(\d{6,})")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """What ``CURRENT`` says.

    Attributes
    ----------
    generation : text
        The generation to serve.
    manifest_sha256 : text
        Of its manifest.
    follows : bool
        Whether changes of the references since its base revision are served with it; after a roll back they wait.
    threshold_set, threshold_sha256 : text
        The threshold set to serve it with, and the SHA-256 of its file; empty for the generation's own thresholds.
    """

    generation: str
    manifest_sha256: str
    follows: bool = True
    threshold_set: str = DEFAULT_SET
    threshold_sha256: str = ""
    format_version: int = CURRENT_FORMAT_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class _CurrentOfFormat1:
    """``CURRENT`` before it named a threshold set."""

    generation: str
    manifest_sha256: str
    follows: bool = True
    format_version: int = 1


def check_station_name(name: str) -> None:
    """Check that a station's name is one plain path segment.

    Raises
    ------
    StoreError
        If it is not.
    """
    if not STATION_NAME.fullmatch(name):
        message = (
            f"station name {name!r}: expected 1 … 64 letters, digits, dots, underscores or hyphens, "
            "the first a letter or digit"
        )
        raise StoreError(message)


def make_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing, durably.

    Raises
    ------
    StoreError
        If the system does not let it.
    """
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for one in reversed(missing):
            fsync_folder(one.parent)
    except OSError as error:
        message = f"{folder}: cannot be created: {error.strerror}"
        raise StoreError(message) from error


def list_stations(store: Path) -> list[str]:
    """Return the names of the stations in a store folder, sorted."""
    if not store.is_dir():
        return []
    names = (one.name for one in store.iterdir() if (one / STORE_FILE).is_file())
    return sorted(name for name in names if STATION_NAME.fullmatch(name) and not name.endswith(UNFINISHED))


class StationFolder:
    """The paths of one station, and its lock. An instance belongs to one thread.

    Parameters
    ----------
    path : Path
        ``STORE/<station>``; need not exist yet.

    Raises
    ------
    StoreError
        If its last segment is no station name.
    """

    def __init__(self, path: Path) -> None:
        check_station_name(path.name)
        self.path = path
        self.name = path.name
        self._is_locked = False

    @property
    def generations_path(self) -> Path:
        """The folder of the generations."""
        return self.path / "generations"

    @property
    def embedders_path(self) -> Path:
        """The folder of the embedders."""
        return self.path / "embedders"

    def generation_path(self, generation: str) -> Path:
        """Return the folder of a generation.

        Raises
        ------
        StoreError
            If that is no generation's name.
        """
        if not GENERATION_NAME.fullmatch(generation):
            message = f"{self.path}: generation {generation!r}, expected a name such as 'g000001'"
            raise StoreError(message)
        return self.generations_path / generation

    def generations(self) -> list[str]:
        """Return the names of the published generations, oldest first."""
        if not self.generations_path.is_dir():
            return []
        numbers = (GENERATION_NAME.fullmatch(one.name) for one in self.generations_path.iterdir() if one.is_dir())
        return [found[0] for found in sorted(filter(None, numbers), key=lambda found: int(found[1]))]

    def current(self) -> Current:
        """Return which generation is to be served. Cheap: a server may ask every second.

        Raises
        ------
        StationNotFoundError
            If the station does not exist, or nothing has been published in it.
        ArtifactCorruptError, ArtifactVersionError
            If ``CURRENT`` is damaged, or of another format version.
        """
        path = self.path / CURRENT_FILE
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            what = "nothing has been published" if (self.path / STORE_FILE).is_file() else "no station here"
            message = f"{self.path}: {what} ({CURRENT_FILE} is missing)"
            raise StationNotFoundError(message) from error
        except OSError as error:
            message = f"{path}: cannot be read: {error.strerror}"
            raise ArtifactCorruptError(message) from error
        first: _CurrentOfFormat1 | None = None
        if data.find(b'"format_version": 1,') >= 0:
            first = parse_json(data, path, _CurrentOfFormat1, 1)
            current = Current(generation=first.generation, manifest_sha256=first.manifest_sha256, follows=first.follows)
        else:
            current = parse_json(data, path, Current, CURRENT_FORMAT_VERSION)
        # Only one text says the same, so that no changed byte passes.
        if data != to_json(first or current) or not GENERATION_NAME.fullmatch(current.generation):
            message = f"{path}: damaged: names generation {current.generation!r} in a form that was not written here"
            raise ArtifactCorruptError(message)
        if not _names_a_set(current):
            message = (
                f"{path}: damaged: names threshold set {current.threshold_set!r} in a form that was not written here"
            )
            raise ArtifactCorruptError(message)
        return current

    def set_current(self, current: Current) -> None:
        """Make a generation the one to be served; durable on return. The caller holds the lock and has verified it."""
        write_durably(self.path / CURRENT_FILE, to_json(current))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the station's lock; whoever publishes does. The kernel releases it however the process ends.

        Whoever holds it may take it again through the same instance.

        Raises
        ------
        StoreBusyError
            If another holds it, naming that process.
        """
        if self._is_locked:
            yield
            return
        make_folder(self.path)
        with self._open_lock() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                message = f"{self.path}: locked by {file.read().strip() or 'another process'}"
                raise StoreBusyError(message) from error
            file.truncate(0)
            file.write(f"process {os.getpid()} ({_command()})\n")
            file.flush()
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False

    def _open_lock(self) -> TextIO:
        path = self.path / LOCK_FILE
        try:
            return path.open("a+")
        except OSError as error:
            message = f"{path}: cannot be opened: {error.strerror}"
            raise StoreError(message) from error


def _names_a_set(current: Current) -> bool:
    if current.threshold_set == DEFAULT_SET:
        return not current.threshold_sha256
    return bool(SET_NAME.fullmatch(current.threshold_set) and SHA256.fullmatch(current.threshold_sha256))


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
