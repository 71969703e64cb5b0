"""What the files of an export hold: columns, and what they say about themselves (docs/artifact.md).

``NAME.parquet`` has the references in the schema of the source tables, so that everything that reads data reads it, and
beside those columns what happened to each. ``NAME.history.parquet`` has the versions that were removed or relabelled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from miwake.indexer.errors import ArtifactCorruptError, DataError
from miwake.indexer.records import has_template
from miwake.indexer.sources.raw import describe
from miwake.indexer.storage.changes import check_label
from miwake.indexer.storage.files import parse_json
from miwake.indexer.storage.schema import StationSchema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.storage.transfer import VersionBatch

FORMAT_VERSION = 1
TEMPLATES_VERSION = 2
"""Of an export with templates, which an earlier release would leave out unsaid."""

HEADER_KEY = "miwake_export"
SEALED = ("heat_map_shape", "pass_labels", "value_range", "source")
"""Metadata that the header's checksum is of, too."""

EMBEDDING_COLUMN = "embedding"
TEMPLATE_COLUMN = "template"
VALUE_PREFIXES = {"references": "data", "history": "value"}
"""Of the columns with the vector's values: a history has other names, so that nobody takes it for a data set."""

TEXTS = {
    "fmode": "failure_mode",
    "part": "part",
    "group": "group",
    "split": "split",
    "source": "source",
    "time": "inspected_at",
}
"""Columns that are fields of a version, beside ``id``, ``label``, ``sequence`` and the revisions."""

BEGUN = {"since_revision": "revision", "since": "at", "added_by": "actor", "added_as": "verb"}
ENDED = {"until_revision": "revision", "until": "at", "ended_by": "actor", "ended_as": "verb"}
"""Columns that are fields of the revision that a version began with, and ended with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an export says about itself.

    Attributes
    ----------
    kind : text
        ``references`` or ``history``.
    station : text
    revision : int
        Whose references these are.
    n_references : int or None
        How many the revision has; None where the export was told to leave some out.
    history_rows : int
        Of the history beside it; without any there is no such file.
    history_sha256 : text
        Of the history beside it; empty where there is none.
    flatness : float
        Of the station.
    embedder_id : text
        What made the embeddings; empty where there are none.
    checksum : text
        Of all that the file says about itself: Parquet guards its pages, but not its metadata.
    """

    kind: str
    station: str
    revision: int
    n_references: int | None
    history_rows: int
    history_sha256: str
    flatness: float
    embedder_id: str
    checksum: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def has_templates(self) -> bool:
        """Whether there is a column of templates."""
        return self.format_version == TEMPLATES_VERSION


def history_path(path: Path) -> Path:
    """Return where the history of the export at ``path`` lies."""
    return path.with_name(f"{path.stem}.history{path.suffix}")


def metadata_of(header: Header, schema: StationSchema) -> dict[str, str]:
    """Return what a file says about itself: for every reader of data, and the header for an import."""
    told = {
        "heat_map_shape": json.dumps(list(schema.heat_map_shape)),
        "pass_labels": json.dumps(list(schema.pass_labels)),
        "value_range": json.dumps(list(schema.value_range)),
        "source": header.station,
    }
    return {**told, HEADER_KEY: to_text(replace(header, checksum=checksum_of(header, told)))}


def to_text(header: Header) -> str:
    """Return a header as it stands among the metadata."""
    return json.dumps(asdict(header), ensure_ascii=False, sort_keys=True)


def checksum_of(header: Header, told: Mapping[str, str]) -> str:
    """Return the checksum of a header and of the metadata beside it, in hexadecimal."""
    texts = [told.get(name, "") for name in SEALED] + [to_text(replace(header, checksum=""))]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def read_header(path: Path, metadata: Mapping[bytes, bytes] | None) -> Header:
    """Return the header among a Parquet file's metadata.

    Raises
    ------
    ArtifactVersionError
        If the export has another format version.
    ArtifactCorruptError
        If it is damaged.
    DataError
        If it is no export.
    """
    text = (metadata or {}).get(HEADER_KEY.encode())
    if text is None:
        message = f"{path}: no export of a station; `miwake-index add` and `build` read other data"
        raise DataError(message)
    header = parse_json(text, path, Header, FORMAT_VERSION, TEMPLATES_VERSION)
    told = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in (metadata or {}).items()}
    if header.checksum != checksum_of(header, told):
        message = f"{path}: damaged: what it says about itself was changed since it was exported"
        raise ArtifactCorruptError(message)
    return header


def read_schema(path: Path, metadata: Mapping[bytes, bytes], header: Header) -> StationSchema:
    """Return the schema of the station that an export is of.

    Raises
    ------
    DataError
        If the metadata do not say it.
    """
    texts = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata.items()}
    told = describe(str(path), texts)
    shape, pass_labels, value_range = told["heat_map_shape"], told["pass_labels"], told["value_range"]
    if shape is None or pass_labels is None or value_range is None:
        message = f"{path}: damaged: it does not say its heat_map_shape, pass_labels and value_range"
        raise DataError(message)
    try:
        if min(shape) < 1:
            message = f"heat_map_shape {shape}"
            raise ValueError(message)  # noqa: TRY301 - told like all the others
        for label in pass_labels:
            check_label(label, "")
        schema = StationSchema(
            n_values=shape[0] * shape[1],
            heat_map_shape=shape,
            pass_labels=pass_labels,
            value_range=value_range,
            flatness=header.flatness,
        )
        schema.scale()
    except ValueError as error:
        message = f"{path}: damaged: {error}"
        raise DataError(message) from error
    return schema


def arrow_schema(
    kind: str, n_values: int, n_dimensions: int | None, metadata: dict[str, str], *, has_templates: bool = False
) -> Any:
    """Return the Arrow schema of a file: V values, and embeddings of D values unless that is None."""
    prefix = VALUE_PREFIXES[kind]
    fields = [pa.field(f"{prefix}{number}", pa.float32(), nullable=False) for number in range(n_values)]
    fields.append(pa.field("label", pa.int32(), nullable=False))
    revisions = BEGUN if kind == "references" else BEGUN | ENDED
    fields += [pa.field(name, pa.string(), nullable=False) for name in ("id", *TEXTS)]
    fields.append(pa.field("sequence", pa.int64(), nullable=False))
    fields += [
        pa.field(name, pa.int64() if field == "revision" else pa.string(), nullable=False)
        for name, field in revisions.items()
    ]
    if has_templates:
        fields.append(pa.field(TEMPLATE_COLUMN, pa.list_(pa.float32(), n_values)))
    if n_dimensions is not None:
        fields.append(pa.field(EMBEDDING_COLUMN, pa.list_(pa.float32(), n_dimensions), nullable=False))
    return pa.schema(fields, metadata=metadata)


def to_table(batches: Sequence[VersionBatch], schema: Any, embeddings: NDArray[np.float32] | None) -> Any:
    """Return batches of versions as one Arrow table of a schema from ``arrow_schema``."""
    values = np.concatenate([batch.vectors for batch in batches]).T
    versions = [version for batch in batches for version in batch.versions]
    begun = [revision for batch in batches for revision in batch.begun]
    ended = [revision for batch in batches for revision in batch.ended or ()]
    columns: list[Any] = [np.ascontiguousarray(row) for row in values]
    columns += [[one.label for one in versions], [one.id for one in versions]]
    columns += [[getattr(one, field) for one in versions] for field in TEXTS.values()]
    columns.append([one.sequence for one in versions])
    columns += [[getattr(one, field) for one in begun] for field in BEGUN.values()]
    if ended:
        columns += [[getattr(one, field) for one in ended] for field in ENDED.values()]
    kinds = [field.type for field in schema]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=False)]
    if TEMPLATE_COLUMN in schema.names:
        arrays.append(_templates(batches))
    if embeddings is not None:
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), embeddings.shape[1]))
    return pa.Table.from_arrays(arrays, schema=schema)


def _templates(batches: Sequence[VersionBatch]) -> Any:
    """Return templates as an Arrow list column, null where there is none."""
    found = [np.full_like(batch.vectors, np.nan) if batch.templates is None else batch.templates for batch in batches]
    templates = np.concatenate(found)
    is_none = pa.array(~has_template(templates))
    return pa.FixedSizeListArray.from_arrays(pa.array(templates.ravel()), templates.shape[1], mask=is_none)
