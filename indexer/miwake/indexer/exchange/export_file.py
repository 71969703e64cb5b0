"""Reading a file of an export back, every row checked: it may have been cut, changed, or made by somebody else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from miwake.indexer.errors import DataError
from miwake.indexer.exchange.layout import (
    BEGUN,
    ENDED,
    TEMPLATE_COLUMN,
    TEXTS,
    VALUE_PREFIXES,
    arrow_schema,
    read_header,
    read_schema,
)
from miwake.indexer.records import vector_hash
from miwake.indexer.scale import template_refusals
from miwake.indexer.sources.raw import one_line
from miwake.indexer.storage.changes import check_texts
from miwake.indexer.storage.reading import Revision, Version
from miwake.indexer.storage.transfer import VersionBatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.exchange.layout import Header
    from miwake.indexer.scale import Scale

    Columns = dict[str, list[Any]]

BATCH = 2_048
"""References in memory at once: 11 MB of vectors of 1,404 values."""


class ExportFile:
    """One file of an export, its columns checked.

    Parameters
    ----------
    path : Path
    kind : text
        ``references`` or ``history``, what is expected there.

    Attributes
    ----------
    header : Header
    schema : StationSchema
        Of the station that it was exported from.

    Raises
    ------
    DataError
        If it cannot be read, is no export, or is the other file.
    ArtifactError
        If it has another format version, or its header is damaged.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        with _own_errors(path):
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            found = self._file.schema_arrow
        metadata = found.metadata or {}
        self.header = read_header(path, metadata)
        if self.header.kind != kind:
            message = f"{path}: the {self.header.kind} of an export, expected its {kind}"
            raise DataError(message)
        self.schema = read_schema(path, metadata, self.header)
        self._columns = _checked_columns(path, found, self.header, self.schema.n_values)

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def batches(self, scale: Scale | None = None) -> Iterator[VersionBatch]:
        """Yield the versions in the order of the file.

        Parameters
        ----------
        scale : Scale, optional
            What the vectors must keep to; by default that of the station that was exported.

        Raises
        ------
        DataError
            Naming the first row that cannot be a reference of the station.
        """
        start = 0
        with _own_errors(self.path):
            for batch in self._file.iter_batches(batch_size=BATCH, columns=self._columns):
                yield self._versions(batch, start, scale or self.schema.scale())
                start += batch.num_rows

    def _versions(self, batch: Any, start: int, scale: Scale) -> VersionBatch:
        batch.validate(full=True)
        for name in self._columns:
            if batch.column(name).null_count and name != TEMPLATE_COLUMN:
                message = f"{self.path}: column {name} has nothing in a row from {start} on"
                raise DataError(message)
        vectors = self._vectors(batch, start, scale)
        told = [name for name in self._columns[self.schema.n_values :] if name != TEMPLATE_COLUMN]
        columns = {name: batch.column(name).to_pylist() for name in told}
        self._check_rows(columns, start)
        ended = None if self.header.kind == "references" else _revisions(columns, ENDED)
        return VersionBatch(
            versions=_versions(columns, vectors),
            vectors=vectors,
            begun=_revisions(columns, BEGUN),
            ended=ended,
            templates=self._templates(batch, start, scale) if self.header.has_templates else None,
        )

    def _templates(self, batch: Any, start: int, scale: Scale) -> NDArray[np.float32]:
        column = batch.column(TEMPLATE_COLUMN)
        templates = np.full((len(column), self.schema.n_values), np.nan, dtype=np.float32)
        is_there = column.is_valid().to_numpy(zero_copy_only=False)
        templates[is_there] = column.flatten().to_numpy().reshape(-1, self.schema.n_values)
        codes = template_refusals(templates, scale)
        if codes.any():
            row = int(np.flatnonzero(codes)[0])
            message = f"{self.path}: row {start + row}: its template: {scale.explain(int(codes[row]), templates[row])}"
            raise DataError(message)
        return templates

    def _vectors(self, batch: Any, start: int, scale: Scale) -> NDArray[np.float32]:
        prefix = VALUE_PREFIXES[self.header.kind]
        by_value = np.empty((self.schema.n_values, batch.num_rows), dtype=np.float32)
        for number, row in enumerate(by_value):
            row[:] = batch.column(f"{prefix}{number}").to_numpy()
        vectors = np.ascontiguousarray(by_value.T)
        codes = scale.refusals(vectors)
        if codes.any():
            row = int(np.flatnonzero(codes)[0])
            message = f"{self.path}: row {start + row}: {scale.explain(int(codes[row]), vectors[row])}"
            raise DataError(message)
        return vectors

    def _check_rows(self, columns: Columns, start: int) -> None:
        for name, values in columns.items():
            if values and isinstance(values[0], str):
                check_texts(values, f"{self.path}: {name} from row {start} on")
        untils = columns.get("until_revision", [None] * len(columns["id"]))
        checked = zip(columns["id"], columns["sequence"], columns["since_revision"], untils, strict=True)
        for row, (reference_id, sequence, since, until) in enumerate(checked, start=start):
            if not reference_id:
                message = f"{self.path}: row {row} has no id"
                raise DataError(message)
            if sequence < 1 or since < 1 or (until is not None and until <= since):
                message = (
                    f"{self.path}: row {row} (id {reference_id!r}): revisions {since} … {until}, sequence {sequence}"
                )
                raise DataError(message)


def _versions(columns: Columns, vectors: NDArray[np.float32]) -> list[Version]:
    rows = zip(
        columns["sequence"],
        columns["since_revision"],
        columns.get("until_revision", [None] * len(vectors)),
        columns["id"],
        map(vector_hash, vectors),
        columns["label"],
        *(columns[name] for name in TEXTS),
        strict=True,
    )
    return [Version(*row) for row in rows]


def _revisions(columns: Columns, names: dict[str, str]) -> list[Revision]:
    told = [columns[name] for name in names]
    # The counts are found again when all versions are known.
    return [Revision(number, at, actor, verb, 0, 0) for number, at, actor, verb in zip(*told, strict=True)]


def _checked_columns(path: Path, found: Any, header: Header, n_values: int) -> list[str]:
    if n_values > len(found):
        message = (
            f"{path}: {len(found)} columns, expected {n_values} with values: it is no export, or was changed since"
        )
        raise DataError(message)
    expected = arrow_schema(header.kind, n_values, None, {}, has_templates=header.has_templates)
    for field in expected:
        position = found.get_field_index(field.name)  # -1 also where there are two
        kind_found = found.field(position).type if position >= 0 else "nothing, or two of them"
        if kind_found != field.type:
            message = f"{path}: column {field.name}: {kind_found}, expected {field.type}"
            raise DataError(message)
    return list(expected.names)


@contextmanager
def _own_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        message = f"{path}: not a readable export: {one_line(error)}"
        raise DataError(message) from error
