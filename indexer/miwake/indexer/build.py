"""Building a generation: from the references of a revision to the files of an index, published whole or not at all."""

from __future__ import annotations

import getpass
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.building.build_settings import BuildSettings, kept_settings
from miwake.indexer.building.filling import Advance, Filled, Report, Source, Steps, fill
from miwake.indexer.building.reuse import KnownEmbeddings
from miwake.indexer.embedder import Embedder
from miwake.indexer.errors import ArtifactError, EmbedderError, StationNotFoundError, StoreError
from miwake.indexer.opening import open_index
from miwake.indexer.scale import FLATNESS
from miwake.indexer.storage.generation import Contents, build_generation, current_manifest, open_generation, publish
from miwake.indexer.storage.installed_embedder import install_embedder
from miwake.indexer.storage.retention import KEEP, prune
from miwake.indexer.storage.schema import StationSchema
from miwake.indexer.storage.station import CURRENT_FILE, StationFolder, check_station_name
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.threads import pinned_threads
from miwake.indexer.thresholding import choose_for_build, store_set_of_build
from miwake.indexer.verdict.request import ThresholdRequest

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.records import Records
    from miwake.indexer.verdict.calibration import Calibration
    from miwake.indexer.verdict.thresholds import Chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build published.

    Attributes
    ----------
    station, generation : text
    revision, n_references, n_added, n_reused : int
        Of the references; ``n_added`` of them in this call, and the embeddings of ``n_reused`` were known.
    seconds : mapping
        Of each step.
    calibration : Calibration
    thresholds : Chosen or None
        The threshold set that was asked for, now or before; None where the generation's own thresholds are served.
    """

    station: str
    generation: str
    revision: int
    n_references: int
    n_added: int
    n_reused: int
    calibration: Calibration
    thresholds: Chosen | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def build(
    store: Path,
    station: str,
    records: Records,
    embedder_folder: Path,
    *,
    settings: BuildSettings | None = None,
    flatness: float = FLATNESS,
    request: ThresholdRequest | None = None,
    report: Report = lambda _: None,
    advance: Advance = lambda _done, _total: None,
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
        If the records cannot show what calibration must know, or what ``request`` promises. Then, and after any other
        error, there is no station.
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
        return rebuild(
            folder,
            records=records,
            embedder_folder=embedder_folder,
            settings=settings or BuildSettings(),
            request=request,
            report=report,
            advance=advance,
        )
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
    request: ThresholdRequest | None = None,
    keep: int = KEEP,
    reuse: bool = True,
    report: Report = lambda _: None,
    advance: Advance = lambda _done, _total: None,
) -> Built:
    """Add records, if any, publish a generation of the latest revision, and remove those that are kept no longer.

    What was added stays, committed, even where the build fails.

    Parameters
    ----------
    records : Records, optional
        To add first, as one revision.
    embedder_folder : Path, optional
        A new embedder; else the one of the current generation.
    settings : BuildSettings, optional
        By default those of the current generation; see ``build_settings.kept_settings``.
    request : ThresholdRequest, optional
        What is asked of the thresholds, over what the served set was asked.
    keep : int
        Generations that are kept, this one among them; see ``retention.prune``.
    reuse : bool
        Whether embeddings of the current generation are taken over where the embedder and the vector are the same.
    advance : callable
        Is told how many references of how many are embedded.

    Raises
    ------
    NoRoomError
        If the disk has not the room for it.
    PromiseError
        If what ``request`` promises cannot be shown; then nothing is published. What was promised before and cannot be
        shown any more is told in the thresholds of what is returned.
    """
    request, steps = request or ThresholdRequest(), Steps(report)
    with pinned_threads(), folder.lock(), ReferenceStore.open(folder.path) as references:
        settings = settings or kept_settings(folder)
        n_added = 0
        if records is not None:
            with steps.timed("add", f"adding {len(records)} records"):
                n_added = references.add(records, actor=getpass.getuser()).n_added
        embedder_id, known = _embedder(folder, embedder_folder, reuse=reuse)
        source = Source.of(references, Embedder.open(folder.embedders_path / embedder_id), known)
        filled: list[Filled] = []
        asked: list[tuple[ThresholdRequest, Chosen]] = []

        def write(part: Path) -> Contents:
            filled.append(fill(part, source, settings, steps, advance))
            wanted, chosen = choose_for_build(
                folder, filled[0].scores, filled[0].calibration, request, references.schema.pass_labels
            )
            if chosen is not None:
                asked.append((wanted, chosen))
            return Contents(
                embedder_id=embedder_id,
                base_revision=source.revision,
                n_references=source.n_references,
                settings=asdict(settings),
                hashes=filled[0].hashes,
            )

        def check(generation: str) -> None:
            fate = "" if settings.stage else ", and publishing it"
            with steps.timed("open", f"opening {generation} as a server would{fate}"):
                if asked:
                    store_set_of_build(folder, generation, *asked[0], actor=getpass.getuser())
                open_index(folder.path, generation)

        if settings.stage:
            manifest = build_generation(folder, write)
            check(manifest.generation)
        else:
            manifest = publish(folder, write, check=check)
            _prune(folder, keep, report)
    return Built(
        station=folder.name,
        generation=manifest.generation,
        revision=manifest.base_revision,
        n_references=manifest.n_references,
        n_added=n_added,
        n_reused=filled[0].n_reused,
        calibration=filled[0].calibration,
        thresholds=asked[0][1] if asked else None,
        seconds=steps.seconds,
    )


def _embedder(folder: StationFolder, given: Path | None, *, reuse: bool) -> tuple[str, KnownEmbeddings | None]:
    """Return which embedder is used, and what the current generation knows of its embeddings, verified."""
    embedder_id = None if given is None else install_embedder(folder, given)
    current = current_manifest(folder)
    if embedder_id is not None and not (reuse and current is not None and current.embedder_id == embedder_id):
        return embedder_id, None
    try:
        path, manifest = open_generation(folder)
    except ArtifactError:
        if embedder_id is None:
            raise
        return embedder_id, None
    return manifest.embedder_id, KnownEmbeddings(path) if reuse else None


def _prune(folder: StationFolder, keep: int, report: Report) -> None:
    try:
        pruned = prune(folder, keep)
    except (StoreError, ArtifactError) as error:  # published it is, all the same
        report(f"old generations were not removed: {error}")
        return
    if pruned.generations:
        report(f"removed {', '.join(pruned.generations)}; {keep} are kept")


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
