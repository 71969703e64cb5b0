"""Arrow tables, and Parquet files by way of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from miwake.indexer.errors import DataError
from miwake.indexer.sources.arrow_columns import to_labels, to_templates, to_texts, to_vectors
from miwake.indexer.sources.columns import (
    find_label_column,
    find_template_columns,
    find_text_columns,
    find_vector_columns,
    refuse_repeated_columns,
)
from miwake.indexer.sources.labels import no_labels
from miwake.indexer.sources.raw import RawTable, describe, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from miwake.indexer.sources.settings import ReadSettings


def read_parquet(path: Path, settings: ReadSettings) -> RawTable:
    """Read the columns of a Parquet file that make up records, checking the pages' checksums where there are any.

    Raises
    ------
    DataError
        If the file cannot be read, or lacks what a record needs.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            columns = chosen_columns(str(path), names, settings)
            table = file.read(columns=list(columns))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        message = f"{path}: not a readable Parquet file: {one_line(error)}"
        raise DataError(message) from error
    return from_table(table, settings, source=str(path), stem=path.stem)


def chosen_columns(source: str, names: Sequence[str], settings: ReadSettings) -> tuple[str, ...]:
    """Return the names of the columns that are read, each once."""
    refuse_repeated_columns(source, names)
    label = find_label_column(source, names, settings)
    texts = find_text_columns(source, names, settings)
    vector = find_vector_columns(source, names, settings.vector_column_prefix)
    template = find_template_columns(source, names)
    return tuple(dict.fromkeys((*vector, *template, *((label,) if label else ()), *texts.values())))


def from_table(table: Any, settings: ReadSettings, *, source: str, stem: str) -> RawTable:
    """Return what an Arrow table holds.

    Parameters
    ----------
    table : pyarrow.Table
        Its schema metadata may declare ``heat_map_shape``, ``pass_labels`` and ``value_range`` as JSON lists.

    Raises
    ------
    DataError
        If it lacks what a record needs, or a column has a type that cannot be used.
    """
    try:
        table.validate(full=True)  # text that is not UTF-8, and what Arrow files do not check by themselves
    except pa.ArrowException as error:
        message = f"{source}: damaged: {one_line(error)}"
        raise DataError(message) from error
    names = table.column_names
    chosen_columns(source, names, settings)
    vectors, value_name, vector_problems = to_vectors(
        source, table, find_vector_columns(source, names, settings.vector_column_prefix)
    )
    templates, template_problems = to_templates(source, table, find_template_columns(source, names), vectors.shape[1])
    label = find_label_column(source, names, settings)
    labels, label_problems = to_labels(source, table, label) if label else (no_labels(table.num_rows), {})
    texts = find_text_columns(source, names, settings)
    metadata = {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in (table.schema.metadata or {}).items()
    }
    return RawTable(
        source=source,
        stem=stem,
        vectors=vectors,
        value_name=value_name,
        labels=labels,
        texts={field: to_texts(source, table, column) for field, column in texts.items()},
        problems={**template_problems, **vector_problems, **label_problems},
        templates=templates,
        **describe(source, metadata),
    )
