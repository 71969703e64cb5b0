"""Copying a station whole while others use it: references with their history, embedders, generations, CURRENT."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from miwake.indexer.errors import StoreError
from miwake.indexer.storage.files import fsync_folder
from miwake.indexer.storage.generation import activate, system_errors, verify
from miwake.indexer.storage.hashed_folder import fsync_files
from miwake.indexer.storage.installed_embedder import check_embedder
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.station import UNFINISHED, StationFolder, make_folder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.storage.threshold_sets import remember, set_of_current, sets_path

if TYPE_CHECKING:
    from pathlib import Path


def backup(station: StationFolder, target: Path) -> StationFolder:
    """Copy a station to ``target``/<station>, durably, and return the copy: a store that can be served as it is.

    The references are those of one moment, with all their history. Nothing waits: what is published while the copy is
    made is not in it. The copy appears under its name once it is whole and verified.

    Raises
    ------
    StationNotFoundError
        If nothing has been published in the station.
    StoreError
        If ``target``/<station> exists, or the disk is full or failing.
    ArtifactCorruptError
        If a copied file is not as it was written, naming it.
    """
    copy = StationFolder(target / station.name)
    if copy.path.exists():
        message = f"{copy.path}: exists already, a backup does not overwrite"
        raise StoreError(message)
    current = station.current()
    part = StationFolder(target / f"{station.name}{UNFINISHED}")
    with system_errors():
        shutil.rmtree(part.path, ignore_errors=True)
        make_folder(part.path)
        try:
            _copy(station, part)
            remember(part, current.generation, set_of_current(current))
            activate(part, current.generation, follows=current.follows)
            part.path.rename(copy.path)
        except BaseException:
            shutil.rmtree(part.path, ignore_errors=True)
            raise
        fsync_folder(target)
    return copy


def _copy(station: StationFolder, part: StationFolder) -> None:
    for embedder in sorted(station.embedders_path.iterdir()):
        if not embedder.name.startswith("."):
            _copy_folder(embedder, part.embedders_path / embedder.name)
            check_embedder(part.embedders_path / embedder.name)
    for generation in station.generations():
        _copy_folder(station.generation_path(generation), part.generation_path(generation))
        verify(part.generation_path(generation))
        if sets_path(station, generation).exists():
            _copy_folder(sets_path(station, generation), sets_path(part, generation))
    # Last, so that every generation's revision is in it.
    with ReferenceStore.open(station.path) as references:
        references.copy_to(part.path / STORE_FILE)
    fsync_folder(part.path)


def _copy_folder(source: Path, target: Path) -> None:
    make_folder(target.parent)
    shutil.copytree(source, target)
    fsync_files(target)
    fsync_folder(target.parent)
