"""Generations: immutable builds of an index, each a folder whose manifest knows the hash of every file in it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from miwake.indexer.errors import ArtifactCorruptError, ArtifactError, StationNotFoundError, StoreError
from miwake.indexer.storage.files import fsync_folder, read_json, sha256_of, to_json
from miwake.indexer.storage.hashed_folder import check_files, fsync_files, hash_files
from miwake.indexer.storage.station import CURRENT_FILE, GENERATION_NAME, Current, StationFolder, make_folder
from miwake.indexer.storage.threshold_sets import forget, last_set, remember, set_of_current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MANIFEST_FILE = "manifest.json"
MANIFEST_HASH_FILE = "manifest.sha256"
_MANIFEST_FILES = (MANIFEST_FILE, MANIFEST_HASH_FILE)
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the builder of a generation knows about it; see ``Manifest``.

    ``hashes`` are those of files that were hashed while they were written: what is read back is compared with them.
    """

    embedder_id: str
    base_revision: int
    n_references: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What ``manifest.json`` says about the generation it lies in.

    Attributes
    ----------
    generation, station : text
    created_at : text
        ISO 8601 in UTC.
    parent : text or None
        The generation that was current when this one was built.
    embedder_id : text
    embedder_files : mapping of file name to SHA-256
        The files in ``embedders/<embedder_id>``.
    base_revision : int
        The revision of the store whose references it holds.
    n_references : int
        N.
    files : mapping of file name to SHA-256
        Every file of the generation but the manifest and its hash.
    settings : mapping
        What the builder was told and what it chose.
    """

    generation: str
    station: str
    created_at: str
    parent: str | None
    embedder_id: str
    embedder_files: Mapping[str, str]
    base_revision: int
    n_references: int
    files: Mapping[str, str]
    settings: Mapping[str, Any]
    format_version: int = FORMAT_VERSION


def publish(
    station: StationFolder, write: Callable[[Path], Contents], *, check: Callable[[str], object] | None = None
) -> Manifest:
    """Build a generation and make it current: whole, or not at all.

    Parameters
    ----------
    station : StationFolder
        Locked until this returns.
    write : callable
        Writes the files into the folder it is given, and returns what they are. If it raises, nothing is published.
    check : callable, optional
        Opens the generation whose id it is given, once that stands in its place, and so reads all of it back. If it
        raises, what was current stays so. By default every hash is verified.

    Raises
    ------
    StoreBusyError
        If another process holds the station's lock.
    StoreError
        If the embedder is not installed, or the disk is full or failing.
    """
    with station.lock():
        manifest = build_generation(station, write)
        if check is None:
            activate(station, manifest.generation)
        else:
            check(manifest.generation)
            with system_errors():
                _point_to(station, manifest.generation, follows=True)
    return manifest


def build_generation(station: StationFolder, write: Callable[[Path], Contents]) -> Manifest:
    """Build a generation without making it current; see ``publish``."""
    with station.lock(), system_errors():
        make_folder(station.generations_path)
        generation = _next_generation(station)
        forget(station, generation)
        _remove_unfinished(station)
        folder = station.generations_path / f".{generation}.part"
        folder.mkdir()
        try:
            contents = write(folder)
            manifest = _manifest(station, generation, contents, folder)
            _write_manifest(folder, manifest)
            fsync_files(folder)
            folder.rename(station.generation_path(generation))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        fsync_folder(station.generations_path)
    return manifest


def activate(station: StationFolder, generation: str, *, follows: bool = True, is_verified: bool = False) -> None:
    """Make a generation current, durably, after verifying it: the end of publishing, and all of rolling back.

    Parameters
    ----------
    follows : bool
        Whether later changes of the references are served with it; a roll back says no.
    is_verified : bool
        Whether the caller has opened it, and so read all of it, since it took the lock: once is enough.

    Raises
    ------
    StationNotFoundError
        If there is no such generation.
    ArtifactCorruptError, ArtifactVersionError
        If it cannot be served; what is current stays so.
    """
    with station.lock(), system_errors():
        folder = _existing(station, generation)
        if not is_verified:
            verify(folder)
        _point_to(station, generation, follows=follows)


def open_generation(station: StationFolder, generation: str | None = None) -> tuple[Path, Manifest]:
    """Return the folder and the manifest of a verified generation (None: the current one) with a verified embedder.

    Raises
    ------
    StationNotFoundError
        If nothing has been published, or that generation does not exist.
    ArtifactCorruptError, ArtifactVersionError
        Naming the file that cannot be used.
    """
    if generation is None:
        current = station.current()
        folder = station.generation_path(current.generation)
        if not folder.is_dir():
            message = f"{station.path / CURRENT_FILE}: names {current.generation}, which does not exist"
            raise ArtifactCorruptError(message)
        if sha256_of(folder / MANIFEST_FILE) != current.manifest_sha256:
            message = f"{station.path / CURRENT_FILE}: does not fit {folder / MANIFEST_FILE}: one of them is damaged"
            raise ArtifactCorruptError(message)
    else:
        folder = _existing(station, generation)
    manifest = verify(folder)
    check_files(station.embedders_path / manifest.embedder_id, manifest.embedder_files, MANIFEST_FILE)
    return folder, manifest


def current_manifest(station: StationFolder) -> Manifest | None:
    """Return what the current generation says about itself, unverified; None where nothing can be read."""
    try:
        generation = station.current().generation
        return read_json(station.generation_path(generation) / MANIFEST_FILE, Manifest, FORMAT_VERSION)
    except (StationNotFoundError, ArtifactError):
        return None


def verify(folder: Path) -> Manifest:
    """Return the manifest of the generation in ``folder`` after checking the hash of every file.

    Raises
    ------
    ArtifactVersionError
        If its format version is another; that is looked at first.
    ArtifactCorruptError
        If a file is missing, damaged or not listed, naming it.
    """
    manifest = read_json(folder / MANIFEST_FILE, Manifest, FORMAT_VERSION)
    try:
        hash_line = (folder / MANIFEST_HASH_FILE).read_bytes()
    except OSError as error:
        message = f"{folder / MANIFEST_HASH_FILE}: cannot be read: {error.strerror}"
        raise ArtifactCorruptError(message) from error
    if hash_line != _hash_line(folder):
        message = f"{folder / MANIFEST_HASH_FILE}: does not fit {MANIFEST_FILE}: one of them is damaged"
        raise ArtifactCorruptError(message)
    if manifest.generation != folder.name:
        message = f"{folder / MANIFEST_FILE}: of generation {manifest.generation}, expected {folder.name}"
        raise ArtifactCorruptError(message)
    check_files(folder, manifest.files, MANIFEST_FILE, unhashed=_MANIFEST_FILES)
    return manifest


def _point_to(station: StationFolder, generation: str, *, follows: bool) -> None:
    _remember_served_set(station)
    served = last_set(station, generation)
    station.set_current(
        Current(
            generation=generation,
            manifest_sha256=sha256_of(station.generation_path(generation) / MANIFEST_FILE),
            follows=follows,
            threshold_set=served.name,
            threshold_sha256=served.sha256,
        )
    )


def _remember_served_set(station: StationFolder) -> None:
    """Keep which threshold set is served with what is current, for a way back to it."""
    try:
        current = station.current()
    except (StationNotFoundError, ArtifactError):
        return
    remember(station, current.generation, set_of_current(current))


def _existing(station: StationFolder, generation: str) -> Path:
    folder = station.generation_path(generation)
    if not folder.is_dir():
        message = (
            f"{station.path}: no generation {generation!r}, there are: {', '.join(station.generations()) or 'none'}"
        )
        raise StationNotFoundError(message)
    return folder


def _manifest(station: StationFolder, generation: str, contents: Contents, folder: Path) -> Manifest:
    embedder = station.embedders_path / contents.embedder_id
    if not embedder.is_dir():
        message = f"{embedder}: no such embedder; install it first"
        raise StoreError(message)
    return Manifest(
        generation=generation,
        station=station.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        parent=_current_name(station),
        embedder_id=contents.embedder_id,
        embedder_files=hash_files(embedder),
        base_revision=contents.base_revision,
        n_references=contents.n_references,
        files=hash_files(folder, contents.hashes),
        settings=contents.settings,
    )


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST_FILE).write_bytes(to_json(manifest))
    (folder / MANIFEST_HASH_FILE).write_bytes(_hash_line(folder))


def _hash_line(folder: Path) -> bytes:
    # The form that sha256sum --check reads.
    return f"{sha256_of(folder / MANIFEST_FILE)}  {MANIFEST_FILE}\n".encode()


def _next_generation(station: StationFolder) -> str:
    names = [one.name.removeprefix(".").removesuffix(".part") for one in station.generations_path.iterdir()]
    numbers = [
        int(found[1]) for found in map(GENERATION_NAME.fullmatch, [*names, _current_name(station) or ""]) if found
    ]
    return f"g{max(numbers, default=0) + 1:06d}"


def _current_name(station: StationFolder) -> str | None:
    # A damaged CURRENT must not keep anybody from building the generation that replaces it.
    try:
        return station.current().generation
    except (StationNotFoundError, ArtifactError):
        return None


def _remove_unfinished(station: StationFolder) -> None:
    for left_over in (*station.generations_path.glob(".g*.part"), *station.generations_path.glob(".g*.removed")):
        shutil.rmtree(left_over)
    for left_over in station.path.glob(f".{CURRENT_FILE}.*.part"):
        left_over.unlink()


@contextmanager
def system_errors(consequence: str = "nothing was published") -> Iterator[None]:
    """Turn what the system refuses, such as room on the disk, into a ``StoreError`` that names the file."""
    try:
        yield
    except OSError as error:
        message = f"{error.filename or 'store'}: {error.strerror}; {consequence}"
        raise StoreError(message) from error
