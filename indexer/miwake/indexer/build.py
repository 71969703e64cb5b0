"""Building a generation: from the references of a revision to the files of an index, published whole or not at all."""

from __future__ import annotations

import getpass
import shutil
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.anchors import ANCHORS_FILE, class_mean_anchors
from miwake.indexer.canaries import CANARIES_FILE, make_canaries
from miwake.indexer.embedder import Embedder
from miwake.indexer.errors import EmbedderError, StationNotFoundError, StoreError
from miwake.indexer.live import to_unit_scale
from miwake.indexer.opening import EMBEDDINGS_FILE, RAW_FILE, load, open_index
from miwake.indexer.scale import FLATNESS
from miwake.indexer.search.kinds import build_flat
from miwake.indexer.search.loading import INDEX_FILE
from miwake.indexer.storage.files import to_json
from miwake.indexer.storage.generation import Contents, publish
from miwake.indexer.storage.installed_embedder import install_embedder
from miwake.indexer.storage.reference_files import write_references
from miwake.indexer.storage.schema import StationSchema
from miwake.indexer.storage.station import CURRENT_FILE, StationFolder, check_station_name
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.verdict.calibrate import calibrate
from miwake.indexer.verdict.calibration import CALIBRATION_FILE, Calibration
from miwake.indexer.verdict.measuring import Sample
from miwake.indexer.verdict.roles import calibration_rows
from miwake.indexer.verdict.scores import SCORES_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.indexer.storage.reading import Snapshot
    from miwake.indexer.verdict.calibrate import Calibrated

Report = Callable[[str], None]
"""Is told of each step as it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """What a build may be told.

    Attributes
    ----------
    n_candidates : int
        M, how many references FAISS proposes for re-ranking.
    n_voting : int
        How many references vote on a label.
    seed : int
        Of the rows and pairs that calibration draws.
    """

    n_candidates: int = 100
    n_voting: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.n_voting <= self.n_candidates:
            message = f"{self.n_voting} voting references of {self.n_candidates} candidates: expected 1 … candidates"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build published.

    Attributes
    ----------
    station, generation : text
    revision, n_references, n_added : int
        Of the references; ``n_added`` of them in this call.
    seconds : mapping
        Of each step.
    calibration : Calibration
    """

    station: str
    generation: str
    revision: int
    n_references: int
    n_added: int
    calibration: Calibration
    seconds: dict[str, float] = field(default_factory=dict)


def build(
    store: Path,
    station: str,
    records: Records,
    embedder_folder: Path,
    *,
    settings: BuildSettings | None = None,
    flatness: float = FLATNESS,
    report: Report = lambda _: None,
) -> Built:
    """Create a station from records and an embedder, and publish its first generation.

    What a killed build has left is gone on with, if the station has published nothing and is of the same kind.

    Raises
    ------
    StoreError
        If the station exists already, or its name is no plain name.
    EmbedderError
        If the embedder takes other vectors than the records hold.
    CalibrationError
        If the records cannot show what calibration must know. Then, and after any other error, there is no station.
    """
    check_station_name(station)
    folder = StationFolder(store / station)
    if (folder.path / CURRENT_FILE).exists():
        raise _exists(folder)
    embedder = Embedder.open(embedder_folder)
    _check_fit(embedder, records)
    schema = StationSchema(
        n_values=embedder.card.n_values,
        heat_map_shape=embedder.card.heat_map_shape,
        pass_labels=records.pass_labels,
        value_range=embedder.card.value_range,
        flatness=flatness,
    )
    existed = folder.path.exists()
    try:
        _begin_store(folder, schema)
        return rebuild(folder, records=records, embedder_folder=embedder_folder, settings=settings, report=report)
    except BaseException:
        if not existed:
            shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _begin_store(folder: StationFolder, schema: StationSchema) -> None:
    try:
        with ReferenceStore.open(folder.path) as store:
            if store.schema != schema:
                raise _exists(folder)
    except StationNotFoundError:
        ReferenceStore.create(folder.path, schema=schema).close()


def _exists(folder: StationFolder) -> StoreError:
    return StoreError(f"{folder.path}: the station exists already; `miwake-index rebuild` adds to it")


def rebuild(
    folder: StationFolder,
    *,
    records: Records | None = None,
    embedder_folder: Path | None = None,
    settings: BuildSettings | None = None,
    report: Report = lambda _: None,
) -> Built:
    """Add records, if any, and publish a generation of the latest revision.

    What was added stays, committed, even where the build fails.

    Parameters
    ----------
    records : Records, optional
        To add first, as one revision.
    embedder_folder : Path, optional
        A new embedder; else the one of the current generation.
    """
    settings = settings or BuildSettings()
    seconds: dict[str, float] = {}
    with folder.lock(), ReferenceStore.open(folder.path) as references:
        n_added = 0
        if records is not None:
            with _timed(seconds, "add", report, f"adding {len(records)} records"):
                n_added = references.add(records, actor=getpass.getuser()).n_added
        embedder_id = _embedder_id(folder, embedder_folder)
        embedder = Embedder.open(folder.embedders_path / embedder_id)
        with _timed(seconds, "read", report, "reading the references"):
            snapshot = references.snapshot()
        if not len(snapshot):
            message = f"{folder.path}: no references at revision {snapshot.revision}"
            raise StoreError(message)
        with _timed(seconds, "embed", report, f"embedding {len(snapshot)} references"):
            embeddings = embedder.embed(snapshot.vectors)
        with _timed(seconds, "calibrate", report, "calibrating"):
            calibrated = _calibrate(snapshot, embeddings, embedder, references.schema.pass_labels, settings)

        def write(part: Path) -> Contents:
            _write(part, snapshot, embeddings, embedder, calibrated)
            _write_canaries(part, snapshot, embedder, references.schema)
            return Contents(
                embedder_id=embedder_id,
                base_revision=snapshot.revision,
                n_references=len(snapshot),
                settings=asdict(settings),
            )

        def check(generation: str) -> None:
            report(f"opening {generation} as a server would, and publishing it")
            open_index(folder.path, generation)

        with _timed(seconds, "publish", report, "writing the generation"):
            manifest = publish(folder, write, check=check)
    return Built(
        station=folder.name,
        generation=manifest.generation,
        revision=manifest.base_revision,
        n_references=manifest.n_references,
        n_added=n_added,
        calibration=calibrated.calibration,
        seconds=seconds,
    )


def _embedder_id(folder: StationFolder, source: Path | None) -> str:
    if source is not None:
        return install_embedder(folder, source)
    return open_index(folder.path).embedder_id


def _check_fit(embedder: Embedder, records: Records) -> None:
    if records.vectors.shape[1] != embedder.card.n_values:
        message = (
            f"{records.source}: vectors of {records.vectors.shape[1]} values, "
            f"the embedder takes {embedder.card.n_values}"
        )
        raise EmbedderError(message)
    codes = embedder.scale().refusals(records.vectors)
    if codes.any():
        row = int(np.flatnonzero(codes)[0])
        why = embedder.scale().explain(int(codes[row]), records.vectors[row])
        message = f"{records.source}: {records.ids[row]} ({int((codes > 0).sum())} in all) does not fit: {why}"
        raise EmbedderError(message)


def _calibrate(
    snapshot: Snapshot,
    embeddings: NDArray[np.float32],
    embedder: Embedder,
    pass_labels: tuple[int, ...],
    settings: BuildSettings,
) -> Calibrated:
    calibrates = calibration_rows(snapshot.row_hashes, snapshot.parts, snapshot.labels, embedder.card.fit_row_hashes)
    sample = Sample(
        embeddings=embeddings,
        vectors=snapshot.vectors,
        labels=snapshot.labels,
        value_range=embedder.card.value_range,
    )
    anchors = class_mean_anchors(snapshot.vectors[~calibrates], snapshot.labels[~calibrates], embedder)
    return calibrate(
        sample,
        calibrates,
        snapshot.parts,
        anchors.distances,
        pass_labels,
        n_candidates=settings.n_candidates,
        n_voting=settings.n_voting,
        seed=settings.seed,
    )


def _write(
    part: Path, snapshot: Snapshot, embeddings: NDArray[np.float32], embedder: Embedder, calibrated: Calibrated
) -> None:
    write_references(part, snapshot)
    np.save(part / EMBEDDINGS_FILE, embeddings, allow_pickle=False)
    if calibrated.calibration.rerank.space == "raw":
        np.save(part / RAW_FILE, to_unit_scale(snapshot.vectors, embedder.card.value_range), allow_pickle=False)
    (part / INDEX_FILE).write_bytes(build_flat(embeddings))
    anchors = class_mean_anchors(snapshot.vectors, snapshot.labels, embedder)
    (part / ANCHORS_FILE).write_bytes(anchors.to_npz())
    (part / CALIBRATION_FILE).write_bytes(to_json(calibrated.calibration))
    (part / SCORES_FILE).write_bytes(calibrated.scores.to_npz())


def _write_canaries(part: Path, snapshot: Snapshot, embedder: Embedder, schema: StationSchema) -> None:
    index = load(part, embedder, schema, station="", generation="", revision=snapshot.revision)
    (part / CANARIES_FILE).write_bytes(make_canaries(index, snapshot.vectors, snapshot.labels).to_npz())


@contextmanager
def _timed(seconds: dict[str, float], step: str, report: Report, what: str) -> Iterator[None]:
    report(what)
    start = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - start, 3)
