"""Taking an export back: whole, with its history, into a new station, or as an addition into one that is there."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from miwake.indexer.build import rebuild
from miwake.indexer.embedder import Embedder
from miwake.indexer.errors import DataError, EmbedderError, StoreError
from miwake.indexer.exchange.export_file import ExportFile
from miwake.indexer.exchange.layout import history_path
from miwake.indexer.storage.files import fsync_folder, sha256_of
from miwake.indexer.storage.schema import STORE_FILE
from miwake.indexer.storage.station import UNFINISHED, StationFolder, check_station_name
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from miwake.indexer.building.build_settings import BuildSettings
    from miwake.indexer.storage.changes import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did.

    Attributes
    ----------
    station : text
    is_new : bool
        Whether the station was made by it.
    revision, n_references : int
        Of the station afterwards.
    n_added, n_unchanged : int
        References of the file that were added, and that were there already.
    n_history : int
        Earlier versions that were restored.
    generation : text
        What was published; empty where nothing was.
    """

    station: str
    is_new: bool
    revision: int
    n_references: int
    n_added: int
    n_unchanged: int
    n_history: int
    generation: str


def import_station(
    path: Path,
    store: Path,
    station: str = "",
    *,
    actor: str,
    embedder_folder: Path | None = None,
    with_history: bool = True,
    settings: BuildSettings | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Take the references of an export into a station: all of them or, after any error, none.

    A station that does not exist is made as the exported one was, with all its revisions, and appears whole. One that
    exists gets what it lacks as one new revision; an id that it knows with another vector or label is an error.

    Parameters
    ----------
    path : Path
        What ``export`` wrote, its history beside it.
    store : Path
    station : text
        By default the name of the station that was exported.
    actor : text
        Who imports, for the history.
    embedder_folder : Path, optional
        With it a new station's first generation is built and published; without, ``rebuild`` does so later.
    with_history : bool
        Whether the history is restored; without, all references are one addition.
    settings : BuildSettings, optional
        Of that generation.

    Raises
    ------
    DataError
        If the export cannot be used, naming the row; if its history is missing or of another export.
    ReferenceConflictError
        If the station knows an id with another vector, label or failure mode.
    StoreError
        If the station is of another shape, or the disk is full or failing.
    EmbedderError, CalibrationError
        If no generation can be built.
    """
    references = ExportFile(path, "references")
    name = station or references.header.station
    check_station_name(name)
    folder = StationFolder(store / name)
    if (folder.path / STORE_FILE).exists():
        if embedder_folder is not None:
            message = f"{folder.path}: the station exists already; `miwake-index rebuild` takes an --embedder"
            raise StoreError(message)
        return _merge(references, folder, actor, report)
    told = _told(references) if with_history else ()
    if embedder_folder is not None:
        _check_embedder(Embedder.open(embedder_folder), references)
    _make(references, told, folder, actor, report)
    generation = ""
    if embedder_folder is not None:
        try:
            built = rebuild(folder, embedder_folder=embedder_folder, settings=settings, report=report)
        except BaseException:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        generation = built.generation
    with ReferenceStore.open(folder.path) as filled:
        return Imported(
            station=name,
            is_new=True,
            revision=filled.revision,
            n_references=filled.n_references,
            n_added=len(references),
            n_unchanged=0,
            n_history=sum(map(len, told[1:])),
            generation=generation,
        )


def _merge(references: ExportFile, folder: StationFolder, actor: str, report: Callable[[str], None]) -> Imported:
    with ReferenceStore.open(folder.path) as filled:
        there, here = filled.schema, references.schema
        for name in ("heat_map_shape", "value_range", "pass_labels"):
            if getattr(here, name) != getattr(there, name):
                message = f"{references.path}: {name} {getattr(here, name)}, {folder.path} has {getattr(there, name)}"
                raise DataError(message)
        report(f"adding {len(references)} references")
        change = _add(references, filled, actor)
        return Imported(
            station=folder.name,
            is_new=False,
            revision=change.revision,
            n_references=filled.at(change.revision).n_references,
            n_added=change.n_added,
            n_unchanged=change.n_unchanged,
            n_history=0,
            generation="",
        )


def _add(references: ExportFile, filled: ReferenceStore, actor: str) -> Change:
    with filled.restoring(actor=actor) as restorer:
        return restorer.merge(references.batches(filled.schema.scale()), str(references.path))


def _make(
    references: ExportFile,
    told: tuple[ExportFile, ...],
    folder: StationFolder,
    actor: str,
    report: Callable[[str], None],
) -> None:
    with _unfinished(folder) as part, ReferenceStore.create(part, schema=references.schema) as filled:
        report(f"restoring {len(references)} references")
        if told:
            _restore(told, filled, actor)
        else:
            _add(references, filled, actor)


def _restore(told: tuple[ExportFile, ...], filled: ReferenceStore, actor: str) -> None:
    header, path = told[0].header, told[0].path
    with filled.restoring(actor=actor) as restorer:
        restorer.restore(chain.from_iterable(one.batches() for one in told), str(path))
        found = filled.at()
        if (found.revision, found.n_references) != (header.revision, header.n_references):
            message = (
                f"{path}: {found.n_references} references at revision {found.revision}, expected "
                f"{header.n_references} at {header.revision}: it was changed since it was exported"
            )
            raise DataError(message)


def _told(references: ExportFile) -> tuple[ExportFile, ...]:
    """Return the files that tell the whole history; none where the export is of some references only."""
    header = references.header
    if header.n_references is None:
        return ()
    if not header.history_rows:
        return (references,)
    path = history_path(references.path)
    if not path.is_file():
        message = f"{path}: missing, the history of {references.path}; --no-history does without it"
        raise DataError(message)
    if sha256_of(path) != header.history_sha256:
        message = f"{path}: not the history of {references.path}: one of them was changed since the export"
        raise DataError(message)
    return (references, ExportFile(path, "history"))


def _check_embedder(embedder: Embedder, references: ExportFile) -> None:
    if embedder.card.heat_map_shape != references.schema.heat_map_shape:
        message = (
            f"{references.path}: heat maps {references.schema.heat_map_shape}, "
            f"the embedder takes {embedder.card.heat_map_shape}"
        )
        raise EmbedderError(message)


@contextmanager
def _unfinished(folder: StationFolder) -> Iterator[Path]:
    """Yield a folder that becomes the station's when nothing was raised, and is removed otherwise."""
    part = folder.path.with_name(f"{folder.name}{UNFINISHED}")
    if folder.path.exists():
        message = f"{folder.path}: exists already, and is no station"
        raise StoreError(message)
    try:
        shutil.rmtree(part, ignore_errors=True)
        yield part
        part.rename(folder.path)
        fsync_folder(folder.path.parent)
    except OSError as error:
        message = f"{error.filename or part}: {error.strerror}; nothing was imported"
        raise StoreError(message) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
