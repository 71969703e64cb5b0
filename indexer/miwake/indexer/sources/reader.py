"""The one reader: finds out what kind of source it is given, reads it, and checks every row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from miwake.indexer.errors import DataError
from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from miwake.indexer.records import Records
    from miwake.indexer.sources.raw import RawTable

DEFAULT_SETTINGS = ReadSettings()

HUB_PREFIX = "hf:"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

SUFFIXES = (".parquet", ".csv", ".npz")


def read_records(source: str | Path, settings: ReadSettings = DEFAULT_SETTINGS) -> Records:
    """Read labelled inspection vectors.

    Parameters
    ----------
    source : text or path
        A ``.parquet``, ``.csv`` or ``.npz`` file; a folder that ``datasets`` saved, or a folder of images with one
        folder a class; ``hf:owner/name``, or ``owner/name`` where there is no folder ``owner``, of a Hugging Face data
        set; ``synthetic`` or ``synthetic:seed=3,parts=400`` for the built-in data.
    settings : ReadSettings
        Column names, scale, and what happens to bad rows.

    Returns
    -------
    Records
        Every row usable, ids unique; ``warnings`` says what deserves a look. Rows are counted from 0.

    Raises
    ------
    DataError
        If the source is missing or unreadable, or a row, a column or a setting does not fit; one line that names it.
    """
    from miwake.indexer.sources.checks import to_records  # noqa: PLC0415  keeps --help instant

    return to_records(read_table(str(source), settings), settings)


def read_table(source: str, settings: ReadSettings = DEFAULT_SETTINGS) -> RawTable:
    """Return what a source holds before any row is checked; see ``read_records``."""
    if source.partition(":")[0] == "synthetic":
        from miwake.indexer.sources.built_in import read_built_in  # noqa: PLC0415

        return read_built_in(source, settings)
    if not source:
        message = "no source was named"
        raise DataError(message)
    path = Path(source)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as error:
        message = f"{source}: cannot be read: {error.strerror}"
        raise DataError(message) from error
    if is_folder:
        return _read_folder(path, settings)
    if is_there:
        return _read_file(path, settings)
    name = source.removeprefix(HUB_PREFIX)
    if HUB_NAME.fullmatch(name) and (name != source or _may_be_on_hub(path)):
        from miwake.indexer.sources.hugging_face import read_from_hub  # noqa: PLC0415

        return read_from_hub(name, settings)
    message = f"{source}: no such file or folder"
    raise DataError(message)


def _may_be_on_hub(path: Path) -> bool:
    """Return whether ``owner/name`` is no misspelt local path: neither a file's name nor in a folder that is there."""
    return path.suffix.lower() not in SUFFIXES and not path.parent.exists()


def _read_folder(folder: Path, settings: ReadSettings) -> RawTable:
    from miwake.indexer.sources.hugging_face import is_saved_data_set, read_saved  # noqa: PLC0415

    if is_saved_data_set(folder):
        return read_saved(folder, settings)
    from miwake.indexer.sources.images import read_images  # noqa: PLC0415

    return read_images(folder, settings)


def _read_file(path: Path, settings: ReadSettings) -> RawTable:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        from miwake.indexer.sources.tables import read_parquet  # noqa: PLC0415

        return read_parquet(path, settings)
    if suffix == ".csv":
        from miwake.indexer.sources.csv_files import read_csv  # noqa: PLC0415

        return read_csv(path, settings)
    if suffix == ".npz":
        from miwake.indexer.sources.npz import read_npz  # noqa: PLC0415

        return read_npz(path, settings)
    message = f"{path}: unknown kind of file, expected {', '.join(SUFFIXES)} or a folder"
    raise DataError(message)
