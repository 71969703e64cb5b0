"""The embedders of a station: each in ``embedders/<embedder_id>``, copied once and never changed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from miwake.indexer.embedder import CARD_FILE, MODEL_FILE, EmbedderCard, read_card
from miwake.indexer.errors import ArtifactCorruptError, EmbedderError, StoreError
from miwake.indexer.storage.files import fsync_folder, sha256_of
from miwake.indexer.storage.hashed_folder import fsync_files
from miwake.indexer.storage.station import StationFolder, make_folder

if TYPE_CHECKING:
    from pathlib import Path


def install_embedder(station: StationFolder, source: Path) -> str:
    """Copy an embedder artifact into the station, durably, and return its id; one that is there stays as it is.

    Raises
    ------
    ArtifactCorruptError, ArtifactVersionError
        If the artifact is damaged, before the copy or after it.
    EmbedderError
        If the same model is installed with another card; figures measured in training may differ.
    StoreBusyError
        If another process holds the station's lock.
    StoreError
        If the disk is full or failing.
    """
    card = check_embedder(source)
    folder = station.embedders_path / card.embedder_id
    with station.lock():
        if not folder.exists():
            _copy(source, folder)
        installed = check_embedder(folder)
    if replace(installed, metrics={}) != replace(card, metrics={}):
        message = f"{source / CARD_FILE}: differs from {folder / CARD_FILE}, though both have the same model"
        raise EmbedderError(message)
    return card.embedder_id


def check_embedder(folder: Path) -> EmbedderCard:
    """Return the card of an artifact after checking that it lies beside the model it describes.

    Raises
    ------
    ArtifactCorruptError, ArtifactVersionError
        Naming the file that cannot be used.
    """
    card = read_card(folder)
    if sha256_of(folder / MODEL_FILE) != card.sha256:
        message = f"{folder / MODEL_FILE}: damaged: sha256 differs from the one in {CARD_FILE}"
        raise ArtifactCorruptError(message)
    return card


def _copy(source: Path, folder: Path) -> None:
    part = folder.with_name(f".{folder.name}.part")
    try:
        make_folder(folder.parent)
        for left_over in folder.parent.glob(".*.part"):
            shutil.rmtree(left_over)
        part.mkdir()
        for name in (MODEL_FILE, CARD_FILE):
            shutil.copyfile(source / name, part / name)
        fsync_files(part)
        part.rename(folder)
        fsync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        message = f"{error.filename or folder}: {error.strerror}; no embedder was installed"
        raise StoreError(message) from error
