"""Opening a generation: verify every hash, load, replay the canaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.anchors import read_anchors
from miwake.indexer.canaries import read_canaries
from miwake.indexer.embedder import Embedder
from miwake.indexer.errors import ArtifactCorruptError, ArtifactError, StationNotFoundError, StoreError
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opened.contents import IndexContents
from miwake.indexer.search.card import read_card
from miwake.indexer.search.loading import load_index
from miwake.indexer.storage.files import read_json, sha256_of
from miwake.indexer.storage.generation import MANIFEST_FILE, activate, current_manifest, open_generation
from miwake.indexer.storage.reference_files import ReferenceFiles, map_array
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.storage.threshold_sets import last_set, set_of_current, thresholds_of
from miwake.indexer.verdict.calibration import CALIBRATION_FILE, Calibration
from miwake.indexer.verdict.calibration import FORMAT_VERSION as CALIBRATION_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.storage.schema import StationSchema
    from miwake.indexer.storage.threshold_sets import SetReference

EMBEDDINGS_FILE = "embeddings.npy"
RAW_FILE = "raw.npy"


def open_index(station_folder: Path, generation: str | None = None) -> InspectionIndex:
    """Open a generation of the station in ``STORE/<station>``; None: the current one.

    Raises
    ------
    StationNotFoundError
        If there is no such station or generation, or nothing has been published.
    ArtifactCorruptError, ArtifactVersionError
        If a file is damaged, missing, unlisted or of another format; the message names it.
    """
    station = StationFolder(station_folder)
    with ReferenceStore.open(station_folder) as store:
        schema = store.schema
    folder, manifest = open_generation(station, generation)
    embedder = Embedder.open(station.embedders_path / manifest.embedder_id)
    index = load(
        folder,
        embedder,
        schema,
        station=station.name,
        generation=manifest.generation,
        revision=manifest.base_revision,
    )
    read_canaries(folder).replay(index)
    return _with_served_thresholds(index, station)


def _with_served_thresholds(index: InspectionIndex, station: StationFolder) -> InspectionIndex:
    """Return the index with the threshold set that is, or was last, served with its generation."""
    try:
        current = station.current()
    except (StationNotFoundError, ArtifactError):  # an earlier generation must open all the same
        current = None
    if current is not None and current.generation == index.generation:
        return _with_set(index, station, set_of_current(current))
    return _with_set(index, station, last_set(station, index.generation))


def _with_set(index: InspectionIndex, station: StationFolder, served: SetReference) -> InspectionIndex:
    if served.name == index.threshold_set:
        return index
    manifest_sha256 = sha256_of(station.generation_path(index.generation) / MANIFEST_FILE)
    return index.with_thresholds(thresholds_of(station, index.generation, manifest_sha256, served))


def open_live(station_folder: Path) -> InspectionIndex:
    """Open the current generation with the changes of the references since; after a roll back, without.

    Raises
    ------
    StationNotFoundError, ArtifactCorruptError, ArtifactVersionError
        As ``open_index``.
    """
    return follow(open_index(station_folder), station_folder)


def follow(index: InspectionIndex, station_folder: Path) -> InspectionIndex:
    """Return the index with the changes since its generation was built, and itself where it has them already.

    The same goes for the threshold set that is served with the generation. Where the station has been rolled back, the
    changes wait, and the index is the generation's own. Cheap where nothing has changed: a server asks several times a
    second.
    """
    station = StationFolder(station_folder)
    current = station.current()
    if current.generation == index.generation:
        index = _with_set(index, station, set_of_current(current))
    if not current.follows:
        return index.without_changes()
    with ReferenceStore.open(station_folder) as store:
        if store.revision == index.revision:
            return index
        return index.with_changes(store.changes(index.base_revision))


def roll_back(station_folder: Path, generation: str | None = None) -> InspectionIndex:
    """Make an earlier generation current, at its base revision, and return it opened.

    Parameters
    ----------
    generation : text, optional
        By default the one that the current one took the place of.

    Raises
    ------
    StoreError
        If there is no earlier generation.
    StationNotFoundError, ArtifactCorruptError, ArtifactVersionError
        As ``open_index``; what is current stays so.
    """
    station = StationFolder(station_folder)
    with station.lock():
        if generation is None:
            generation = _generation_before(station)
        index = open_index(station_folder, generation)
        activate(station, generation, follows=False, is_verified=True)
    return index


def _generation_before(station: StationFolder) -> str:
    stored = station.generations()
    current = station.current().generation
    # The one that it took the place of; the number before may be one that was staged and never served.
    manifest = current_manifest(station)
    if manifest is not None and manifest.parent in stored:
        return str(manifest.parent)
    earlier = stored[: stored.index(current)] if current in stored else stored
    if not earlier:
        message = f"{station.path}: no generation before {current}"
        raise StoreError(message)
    return earlier[-1]


def load(
    folder: Path, embedder: Embedder, schema: StationSchema, *, station: str, generation: str, revision: int
) -> InspectionIndex:
    """Return the index in a folder whose hashes have been verified; the canaries are left to the caller.

    Raises
    ------
    ArtifactCorruptError, ArtifactVersionError
        If the files do not fit each other, the embedder or the station.
    """
    calibration = read_json(folder / CALIBRATION_FILE, Calibration, CALIBRATION_VERSION)
    search = read_card(folder)
    references = ReferenceFiles.open(folder)
    embeddings = _map_vectors(folder / EMBEDDINGS_FILE, len(references), embedder.card.n_dimensions)
    raw = None
    if calibration.rerank.space == "raw":
        raw = _map_vectors(folder / RAW_FILE, len(references), embedder.card.n_values)
    return InspectionIndex(
        IndexContents(
            station=station,
            generation=generation,
            revision=revision,
            embedder=embedder,
            faiss_index=load_index(folder, search, embeddings),
            search=search,
            embeddings=embeddings,
            raw=raw,
            references=references,
            anchors=read_anchors(folder),
            calibration=calibration,
            pass_labels=schema.pass_labels,
            flatness=schema.flatness,
        )
    )


def _map_vectors(path: Path, n_rows: int, n_columns: int) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = map_array(path, np.float32, 2)
    if vectors.shape != (n_rows, n_columns):
        message = f"{path}: an array of shape {vectors.shape}, expected ({n_rows}, {n_columns})"
        raise ArtifactCorruptError(message)
    return vectors
