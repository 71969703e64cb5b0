"""Threshold sets on disk: immutable, numbered files beside the generations, each with the hash of what it says.

``CURRENT`` names the set that is served with its generation. Which set was served last with a generation that is not
current is kept in ``LAST``, written before ``CURRENT`` leaves it, so that a way back finds it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from miwake.indexer.errors import ArtifactCorruptError, StoreError
from miwake.indexer.storage.files import read_json, to_json, write_durably
from miwake.indexer.storage.station import DEFAULT_SET, SET_NAME, Current, make_folder
from miwake.indexer.verdict.calibration import ThresholdSet

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.storage.station import StationFolder

FORMAT_VERSION = 1
LAST_FORMAT_VERSION = 1
LAST_FILE = "LAST"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSet:
    """A threshold set as it is stored.

    Attributes
    ----------
    generation : text
        The generation whose calibration it was chosen on, and the only one it can be served with.
    manifest_sha256 : text
        Of that generation's manifest.
    created_at, actor : text
        When, ISO 8601 in UTC, and who.
    before : text
        The set that was served when it was chosen.
    request : mapping
        What was asked: the fields of ``ThresholdRequest``.
    thresholds : ThresholdSet
        Its name is that of the set.
    evidence : mapping
        What is promised and what was realised: the fields of ``Chosen`` but the thresholds.
    checksum : text
        SHA-256 of this file with an empty checksum.
    """

    generation: str
    manifest_sha256: str
    created_at: str
    actor: str
    before: str
    request: Mapping[str, Any]
    thresholds: ThresholdSet
    evidence: Mapping[str, Any]
    checksum: str = ""
    format_version: int = FORMAT_VERSION

    def sealed(self) -> StoredSet:
        """Return the same set with its checksum."""
        return replace(self, checksum=hashlib.sha256(to_json(replace(self, checksum=""))).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReference:
    """Which set, and the SHA-256 of its file; of the generation's own thresholds, no hash."""

    name: str = DEFAULT_SET
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    name: str
    sha256: str
    format_version: int = LAST_FORMAT_VERSION


def sets_path(station: StationFolder, generation: str) -> Path:
    """Return the folder of the sets of a generation."""
    return station.path / "thresholds" / station.generation_path(generation).name


def list_sets(station: StationFolder, generation: str) -> list[str]:
    """Return the names of the sets of a generation, oldest first, without its own thresholds."""
    folder = sets_path(station, generation)
    if not folder.is_dir():
        return []
    numbers = (SET_NAME.fullmatch(one.name.removesuffix(".json")) for one in folder.glob("t*.json"))
    return [found[0] for found in sorted(filter(None, numbers), key=lambda found: int(found[1]))]


def next_name(station: StationFolder, generation: str) -> str:
    """Return the name of the next set of a generation."""
    names = list_sets(station, generation)
    return set_name(int(names[-1][1:]) + 1 if names else 1)


def set_name(number: int) -> str:
    """Return the name of the set of a number; a generation's sets are numbered from 1."""
    return f"t{number:06d}"


def write_set(station: StationFolder, stored: StoredSet) -> SetReference:
    """Write a set, durably; the caller holds the lock.

    Raises
    ------
    StoreError
        If there is one of that name.
    """
    folder = sets_path(station, stored.generation)
    path = folder / f"{stored.thresholds.name}.json"
    if path.exists():
        message = f"{path}: exists already, a threshold set is never changed"
        raise StoreError(message)
    make_folder(folder)
    data = to_json(stored.sealed())
    write_durably(path, data)
    return SetReference(name=stored.thresholds.name, sha256=hashlib.sha256(data).hexdigest())


def read_set(station: StationFolder, generation: str, name: str) -> StoredSet:
    """Return a set, every byte as it was written.

    Raises
    ------
    StoreError
        If that is no set of the generation.
    ArtifactCorruptError, ArtifactVersionError
        If it is damaged, or of another format.
    """
    path = sets_path(station, generation) / f"{name}.json"
    if not SET_NAME.fullmatch(name) or not path.exists():
        known = ", ".join([DEFAULT_SET, *list_sets(station, generation)])
        message = f"{station.path}: no threshold set {name!r} of {generation}, there are: {known}"
        raise StoreError(message)
    stored = read_json(path, StoredSet, FORMAT_VERSION)
    if (
        path.read_bytes() != to_json(stored)
        or stored.sealed() != stored
        or (stored.generation, stored.thresholds.name) != (generation, name)
    ):
        message = f"{path}: damaged: not as it was written"
        raise ArtifactCorruptError(message)
    return stored


def reference_to(station: StationFolder, generation: str, name: str) -> SetReference:
    """Return the reference to a set of a generation, after reading and verifying it."""
    if name == DEFAULT_SET:
        return SetReference()
    read_set(station, generation, name)
    return SetReference(name=name, sha256=_file_hash(station, generation, name))


def thresholds_of(
    station: StationFolder, generation: str, manifest_sha256: str, reference: SetReference
) -> ThresholdSet | None:
    """Return the thresholds that a reference names; None for the generation's own.

    Raises
    ------
    ArtifactCorruptError, ArtifactVersionError
        If they are damaged, missing, or of another generation: never other thresholds in their place.
    """
    if reference.name == DEFAULT_SET:
        return None
    try:
        stored = read_set(station, generation, reference.name)
    except StoreError as error:
        raise ArtifactCorruptError(str(error)) from error
    if _file_hash(station, generation, reference.name) != reference.sha256:
        message = f"{sets_path(station, generation) / reference.name}.json: not the set that was made current"
        raise ArtifactCorruptError(message)
    if stored.manifest_sha256 != manifest_sha256:
        message = f"{sets_path(station, generation) / reference.name}.json: of another generation {generation}"
        raise ArtifactCorruptError(message)
    return stored.thresholds


def set_of_current(current: Current) -> SetReference:
    """Return which set ``CURRENT`` names."""
    return SetReference(name=current.threshold_set, sha256=current.threshold_sha256)


def last_set(station: StationFolder, generation: str) -> SetReference:
    """Return the set that was last served with a generation, by default its own thresholds."""
    path = sets_path(station, generation) / LAST_FILE
    if not path.exists():
        return SetReference()
    last = read_json(path, _Last, LAST_FORMAT_VERSION)
    if path.read_bytes() != to_json(last):
        message = f"{path}: damaged: not as it was written"
        raise ArtifactCorruptError(message)
    return SetReference(name=last.name, sha256=last.sha256)


def remember(station: StationFolder, generation: str, reference: SetReference) -> None:
    """Remember which set is served with a generation whenever it is made current, durably."""
    if reference != last_set(station, generation):
        folder = sets_path(station, generation)
        make_folder(folder)
        write_durably(folder / LAST_FILE, to_json(_Last(name=reference.name, sha256=reference.sha256)))


def forget(station: StationFolder, generation: str) -> None:
    """Remove the sets of a generation that is no more."""
    shutil.rmtree(sets_path(station, generation), ignore_errors=True)


def _file_hash(station: StationFolder, generation: str, name: str) -> str:
    return hashlib.sha256((sets_path(station, generation) / f"{name}.json").read_bytes()).hexdigest()
