"""Writing the references of a station to Parquet, batch by batch: a million need no more memory than ten thousand."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from miwake.indexer.errors import DataError, StationNotFoundError
from miwake.indexer.exchange.layout import (
    EMBEDDING_COLUMN,
    FORMAT_VERSION,
    TEMPLATE_COLUMN,
    TEMPLATES_VERSION,
    Header,
    arrow_schema,
    history_path,
    metadata_of,
    to_table,
)
from miwake.indexer.opened.matching import SnapshotColumns, matches
from miwake.indexer.opening import open_index
from miwake.indexer.storage.files import fsync_folder, sha256_of
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.filters import Filter
    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.storage.reading import Snapshot
    from miwake.indexer.storage.transfer import VersionBatch

SUFFIX = ".parquet"
ROW_GROUP = 4
"""Batches of the store in a row group: 8,192 references, 46 MB of vectors of 1,404 values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    file : text
    history_file : text
        Empty where there is no history beside the references.
    station : text
    revision : int
    n_references : int
    n_history : int
        Versions in the history: of references that were removed or relabelled.
    embedder_id : text
        Empty where no embeddings were written.
    """

    file: str
    history_file: str
    station: str
    revision: int
    n_references: int
    n_history: int
    embedder_id: str


def export(
    station_folder: Path,
    path: Path,
    *,
    revision: int | None = None,
    where: Filter | None = None,
    overwrites: bool = False,
    with_embeddings: bool = True,
    report: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write the references of a revision to ``path``, and their history beside it; durable on return.

    Parameters
    ----------
    station_folder : Path
    path : Path
        Ends in ``.parquet``. The history goes to ``NAME.history.parquet``, if there is any.
    revision : int, optional
        By default the latest.
    where : Filter, optional
        Only these references; then without a history, which is one of all references.
    overwrites : bool
        Whether files that are there may be replaced.
    with_embeddings : bool
        Whether to write the embeddings by the current embedder, if anything is published.
    report : callable
        Is told of progress.

    Raises
    ------
    DataError
        If a file exists, the name has another suffix, or the disk is full or failing; then nothing was written.
    StoreError
        If there is no such station or revision.
    ArtifactError
        If the store or the current generation is damaged.
    """
    beside = history_path(path)
    _check_target(path, beside, overwrites=overwrites)
    index = _current_index(station_folder) if with_embeddings else None
    with _disk_errors(path), ReferenceStore.open(station_folder) as store, _parts(path, beside) as (part, part_beside):
        exporter = _Exporter(store, station_folder.name, store.at(revision).revision, index, report)
        n_history = 0 if where is not None else exporter.write_history(part_beside)
        n_references = exporter.write_references(part, where, part_beside, n_history)
        if n_history:
            part_beside.replace(beside)
        else:
            beside.unlink(missing_ok=True)
        part.replace(path)
        fsync_folder(path.parent)
    return Exported(
        file=str(path),
        history_file=str(beside) if n_history else "",
        station=station_folder.name,
        revision=exporter.revision,
        n_references=n_references,
        n_history=n_history,
        embedder_id=exporter.embedder_id,
    )


class _Exporter:
    def __init__(
        self,
        store: ReferenceStore,
        station: str,
        revision: int,
        index: InspectionIndex | None,
        report: Callable[[str], None],
    ) -> None:
        self._store = store
        self._station = station
        self.revision = revision
        self._index = index
        self._report = report
        self.embedder_id = "" if index is None else index.embedder_id

    def write_history(self, path: Path) -> int:
        """Write the versions that had ended; return how many."""
        header = self._header("history", None, 0, "")
        return self._write(path, header, self._store.versions(self.revision, are_live=False), "ended versions")

    def write_references(self, path: Path, where: Filter | None, history: Path, n_history: int) -> int:
        """Write the live versions for which a filter holds; return how many."""
        n_references = self._store.at(self.revision).n_references if where is None else None
        header = self._header("references", n_references, n_history, sha256_of(history) if n_history else "")
        batches = self._store.versions(self.revision, are_live=True)
        return self._write(path, header, batches if where is None else self._chosen(batches, where), "references")

    def _header(self, kind: str, n_references: int | None, n_history: int, sha256: str) -> Header:
        return Header(
            kind=kind,
            station=self._station,
            revision=self.revision,
            n_references=n_references,
            history_rows=n_history,
            history_sha256=sha256,
            flatness=self._store.schema.flatness,
            embedder_id=self.embedder_id if kind == "references" else "",
            format_version=TEMPLATES_VERSION if self._store.has_templates else FORMAT_VERSION,
        )

    def _chosen(self, batches: Iterable[VersionBatch], where: Filter) -> Iterator[VersionBatch]:
        for batch in batches:
            chosen = batch.take(matches(where, SnapshotColumns(batch.snapshot(self.revision))))
            if len(chosen):
                yield chosen

    def _write(self, path: Path, header: Header, batches: Iterable[VersionBatch], what: str) -> int:
        index = self._index if header.kind == "references" else None
        n_dimensions = None if index is None else index.contents.embedder.card.n_dimensions
        metadata = metadata_of(header, self._store.schema)
        schema = arrow_schema(
            header.kind, self._store.schema.n_values, n_dimensions, metadata, has_templates=header.has_templates
        )
        n_rows = 0
        with pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name not in {EMBEDDING_COLUMN, TEMPLATE_COLUMN}],
            write_statistics=False,
            write_page_checksum=True,
        ) as writer:
            for group in _groups(batches):
                embeddings = None if index is None else [_embeddings(index, batch.snapshot(0)) for batch in group]
                writer.write_table(to_table(group, schema, None if embeddings is None else np.concatenate(embeddings)))
                n_rows += sum(map(len, group))
                self._report(f"{n_rows} {what} written")
        _fsync(path)
        return n_rows


def _embeddings(index: InspectionIndex, snapshot: Snapshot) -> NDArray[np.float32]:
    """Return those of a generation, where it has the same vector, and embed the others."""
    stored = index.contents.references
    positions = stored.positions_of(snapshot.ids)
    rows = zip(stored.ids(positions), stored.texts("row_hash", positions), strict=True)
    position_of = dict(zip(rows, positions.tolist(), strict=True))
    wanted = zip(snapshot.ids, snapshot.row_hashes, strict=True)
    found = np.array([position_of.get(one, -1) for one in wanted], dtype=np.int64)
    is_stored = found >= 0
    embeddings = np.empty((len(snapshot), index.contents.embedder.card.n_dimensions), dtype=np.float32)
    embeddings[is_stored] = index.contents.embeddings[found[is_stored]]
    embeddings[~is_stored] = index.contents.embedder.embed(snapshot.vectors[~is_stored])
    return embeddings


def _current_index(station_folder: Path) -> InspectionIndex | None:
    try:
        return open_index(station_folder)
    except StationNotFoundError:  # nothing has been published; the store itself is looked for next
        return None


def _groups(batches: Iterable[VersionBatch]) -> Iterator[list[VersionBatch]]:
    group: list[VersionBatch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


def _check_target(path: Path, beside: Path, *, overwrites: bool) -> None:
    if path.suffix != SUFFIX:
        message = f"{path}: expected a name that ends in {SUFFIX}"
        raise DataError(message)
    for one in (path, beside):
        if one.exists() and not (overwrites and one.is_file()):
            message = f"{one}: exists already" + ("" if overwrites else "; --force replaces it")
            raise DataError(message)


@contextmanager
def _parts(*paths: Path) -> Iterator[list[Path]]:
    parts = [path.with_name(f".{path.name}.{os.getpid()}.part") for path in paths]
    try:
        yield parts
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        message = f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}"
        raise DataError(message) from error


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
