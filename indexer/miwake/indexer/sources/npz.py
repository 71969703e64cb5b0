"""NPZ files: ``vectors`` and ``labels``, and what else is known, in the plural or by the name of its column."""

from __future__ import annotations

import json
import zlib
from tokenize import TokenError
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.sources.labels import labels_of, no_labels
from miwake.indexer.sources.raw import METADATA_KEYS, RawTable, describe, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.sources.settings import ReadSettings

DAMAGE = (
    OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, RuntimeError, NotImplementedError, SyntaxError,
    TokenError, BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy and zipfile raise for files that are not what they are called, or no longer."""


def read_npz(path: Path, settings: ReadSettings) -> RawTable:
    """Read the arrays of an NPZ file that make up records; pickled objects are never loaded.

    ``vectors`` is (N, V), or (N, rows, columns) and so tells the heat-map shape; ``templates`` likewise, rows of NaN
    where a vector brings none. ``labels``, ``failure_modes``,
    ``parts``, ``groups``, ``splits``, ``ids`` and ``times`` have length N; ``pass_labels``, ``heat_map_shape`` and
    ``value_range`` describe the data.

    Raises
    ------
    DataError
        If the file cannot be read, or lacks what a record needs.
    """
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except DAMAGE as error:
        message = f"{path}: not a readable NPZ file without pickled objects: {one_line(error)}"
        raise DataError(message) from error
    vectors, shape = _maps(path, "vectors", arrays[_find(path, arrays, ("vectors",), is_required=True)])
    labels, problems = no_labels(len(vectors)), dict[int, str]()
    if settings.is_labelled:
        label_name = _find(path, arrays, (settings.label_column, "labels"), is_required=True)
        labels, problems = labels_of(label_name, _column(path, arrays, label_name, len(vectors)).tolist())
    metadata = {key: json.dumps(arrays[key].tolist()) for key in METADATA_KEYS if key in arrays}
    description = describe(str(path), metadata)
    if description["heat_map_shape"] is None:
        description["heat_map_shape"] = shape
    return RawTable(
        source=str(path),
        stem=path.stem,
        vectors=vectors,
        value_name="vectors[{}]",
        labels=labels,
        texts=_texts(path, arrays, len(vectors), settings),
        problems=problems,
        templates=_templates(path, arrays, vectors.shape),
        **description,
    )


def _templates(path: Path, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    if "templates" not in arrays:
        return None
    templates, _ = _maps(path, "templates", arrays["templates"])
    if templates.shape != shape:
        message = f"{path}: templates of shape {templates.shape}, expected {shape} as of the vectors"
        raise DataError(message)
    return None if np.isnan(templates).all() else templates


def _maps(path: Path, name: str, found: NDArray[Any]) -> tuple[NDArray[np.float32], tuple[int, int] | None]:
    if found.ndim not in (2, 3) or found.dtype.kind not in "fiu" or 0 in found.shape[1:]:
        message = f"{path}: {name} holds {found.dtype} {found.shape}, expected numbers (N, V) or (N, rows, columns)"
        raise DataError(message)
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(found.reshape(len(found), int(np.prod(found.shape[1:]))), dtype=np.float32)
    return vectors, ((found.shape[1], found.shape[2]) if found.ndim == 3 else None)


def _texts(
    path: Path, arrays: Mapping[str, NDArray[Any]], n_rows: int, settings: ReadSettings
) -> dict[str, tuple[str, ...]]:
    texts = {}
    for field, columns in settings.text_columns().items():
        plural = (f"{field}s",) if columns else ()
        name = _find(path, arrays, (*columns, *plural), is_required=settings.is_required(field))
        if name:
            texts[field] = tuple(_text(value) for value in _column(path, arrays, name, n_rows).tolist())
    return texts


def _text(value: object) -> str:
    if value is None:  # numpy's NaT
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _find(path: Path, arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...], *, is_required: bool) -> str:
    """Return the first of the names that is there, or the empty text."""
    for name in names:
        if name in arrays:
            return name
    if is_required:
        message = f"{path}: no array {' or '.join(names)}; it has {', '.join(arrays) or 'none'}"
        raise DataError(message)
    return ""


def _column(path: Path, arrays: Mapping[str, NDArray[Any]], name: str, n_rows: int) -> NDArray[Any]:
    if arrays[name].shape != (n_rows,):
        message = f"{path}: array {name} has shape {arrays[name].shape}, expected ({n_rows},) as there are vectors"
        raise DataError(message)
    return arrays[name]
