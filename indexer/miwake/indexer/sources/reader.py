"""The one reader: finds out what kind of source it is given, reads it, and checks every row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from miwake.indexer.errors import DataError
from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from miwake.indexer.records import Records
    from miwake.indexer.sources.raw import RawTable

DEFAULT_SETTINGS = ReadSettings()


def read_records(source: str | Path, settings: ReadSettings = DEFAULT_SETTINGS) -> Records:
    """Read labelled inspection vectors.

    Parameters
    ----------
    source : text or path
        A ``.parquet`` file.
    settings : ReadSettings
        Column names, scale, and what happens to bad rows.

    Returns
    -------
    Records
        Every row usable, ids unique; ``warnings`` says what deserves a look.

    Raises
    ------
    DataError
        If the source is missing or unreadable, or a row, a column or a setting does not fit; one line that names it.
    """
    from miwake.indexer.sources.checks import to_records  # noqa: PLC0415  keeps --help instant

    return to_records(_read(Path(source), settings), settings)


def _read(path: Path, settings: ReadSettings) -> RawTable:
    if not path.exists():
        message = f"{path}: no such file or folder"
        raise DataError(message)
    from miwake.indexer.sources.tables import read_parquet  # noqa: PLC0415

    return read_parquet(path, settings)
