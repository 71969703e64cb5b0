"""Hugging Face data sets: saved on disk, or by their name on the hub."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from miwake.indexer.errors import DataError
from miwake.indexer.sources.raw import one_line
from miwake.indexer.sources.tables import from_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from miwake.indexer.sources.raw import RawTable
    from miwake.indexer.sources.settings import ReadSettings

SAVED_FILES = ("dataset_info.json", "dataset_dict.json")
"""One of them is in each folder that ``save_to_disk`` wrote."""

DAMAGE = (OSError, ValueError, RuntimeError, pa.ArrowException, TypeError, KeyError, AttributeError)
"""What ``datasets`` raises where it cannot read; the last three for a damaged description of the columns."""

SIDES = {"train": "train", "test": "test", "validation": "test", "val": "test", "valid": "test", "dev": "test"}
"""Where the rows of a named split go."""


def is_saved_data_set(folder: Path) -> bool:
    """Return whether a folder was written by ``save_to_disk``."""
    return any((folder / name).is_file() for name in SAVED_FILES)


def read_saved(folder: Path, settings: ReadSettings) -> RawTable:
    """Read a data set, or several splits of one, that ``save_to_disk`` wrote.

    Raises
    ------
    DataError
        If it cannot be read, or lacks what a record needs.
    """
    import datasets  # noqa: PLC0415  slow to import, and Parquet does not need it

    found = _load(f"{folder}: not a readable saved data set", lambda: datasets.load_from_disk(str(folder)))
    return _read(found, settings, source=str(folder), stem=folder.name)


def read_from_hub(name: str, settings: ReadSettings) -> RawTable:
    """Read the data set ``owner/name`` of the Hugging Face hub, or the copy of it in the local cache.

    Raises
    ------
    DataError
        If it cannot be had, or lacks what a record needs.
    """
    import datasets  # noqa: PLC0415

    problem = f"{name}: no such file or folder here, and it cannot be loaded from the Hugging Face hub"
    found = _load(problem, lambda: datasets.load_dataset(name))
    return _read(found, settings, source=f"hf:{name}", stem=name.rsplit("/", 1)[-1])


def _load(problem: str, load: Callable[[], Any]) -> Any:
    from datasets.exceptions import DatasetsError  # noqa: PLC0415

    try:
        return load()
    except (*DAMAGE, DatasetsError) as error:
        message = f"{problem}: {one_line(error)}"
        raise DataError(message) from error


def _read(found: Any, settings: ReadSettings, *, source: str, stem: str) -> RawTable:
    """Return the rows of one data set, or those of its splits below each other."""
    if not isinstance(found, dict):
        return _from_data_set(found, settings, source=source, stem=stem)
    parts = {name: data for name, data in found.items() if len(data)}
    if not parts:
        message = f"{source}: it holds no rows"
        raise DataError(message)
    return _join(source, parts, settings, stem)


def _join(source: str, parts: dict[str, Any], settings: ReadSettings, stem: str) -> RawTable:
    import datasets  # noqa: PLC0415

    unknown = [name for name in parts if name not in SIDES]
    if unknown and settings.split_column not in next(iter(parts.values())).column_names:
        message = f"{source}: split {unknown[0]!r}, expected {', '.join(SIDES)}"
        raise DataError(message)
    joined = _load(
        f"{source}: its splits do not fit together", lambda: datasets.concatenate_datasets([*parts.values()])
    )
    table = _from_data_set(joined, settings, source=source, stem=stem)
    if len(parts) > 1:
        names = tuple(f"row {row} of {name}" for name, data in parts.items() for row in range(len(data)))
        table = replace(table, row_names=names)
    if "split" in table.texts or not settings.split_column:
        return table
    sides = tuple(SIDES[name] for name, data in parts.items() for _ in range(len(data)))
    return replace(table, texts={**table.texts, "split": sides})


def _from_data_set(data: Any, settings: ReadSettings, *, source: str, stem: str) -> RawTable:
    content = _load(f"{source}: its rows cannot be read", lambda: data.with_format("arrow")[:])
    table = from_table(content, settings, source=source, stem=stem)
    names = getattr(data.features.get(settings.label_column), "names", None)
    if names is None or "failure_mode" in table.texts:
        return table
    # A label with named classes and no failure modes beside it: the names are the failure modes.
    modes = tuple(names[label] if 0 <= label < len(names) else "" for label in table.labels.tolist())
    return replace(table, texts={**table.texts, "failure_mode": modes})
