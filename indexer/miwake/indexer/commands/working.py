"""What every command does: work on one thread, find the station, read the data, tell errors as one line."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from miwake.indexer.commands.options import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from miwake.indexer.records import Records
    from miwake.indexer.sources.settings import ReadSettings


@contextmanager
def working() -> Iterator[None]:
    """Work on one thread, and tell our errors as one line."""
    from miwake.indexer.errors import IndexerError  # noqa: PLC0415
    from miwake.indexer.threads import pin_threads  # noqa: PLC0415

    pin_threads()
    try:
        yield
    except IndexerError as error:
        print(f"miwake-index: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@contextmanager
def usage(option: str) -> Iterator[None]:
    """Tell values that an option cannot have as wrong usage."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def read(source: str, reading: ReadSettings) -> Records:
    """Return the records of a source, its warnings told on standard error."""
    from miwake.indexer.sources.reader import read_records  # noqa: PLC0415

    records = read_records(source, reading)
    for warning in records.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return records


def training_rows(records: Records, rows: Rows, *, as_training_does: bool) -> Records:
    """Return the rows to index; where no row is named 'test', rows are held out only if ``as_training_does``."""
    from miwake.indexer.splits import held_out_split  # noqa: PLC0415

    if rows is Rows.ALL or not (as_training_does or "test" in records.splits):
        return records
    training, held_out = held_out_split(records)
    report(f"{records.source}: {len(training)} training rows taken, {len(held_out)} held out")
    return training


def station_path(store: Path, station: str) -> Path:
    """Return the folder of a station, which needs no name where the store has one station."""
    from miwake.indexer.errors import StationNotFoundError  # noqa: PLC0415
    from miwake.indexer.storage.station import list_stations  # noqa: PLC0415

    stations = list_stations(store)
    if not station and len(stations) == 1:
        return store / stations[0]
    if station in stations:
        return store / station
    known = f"it has {', '.join(stations)}" if stations else "it has none"
    message = f"{store}: no station {station!r}, {known}" if station else f"{store}: name a --station, {known}"
    raise StationNotFoundError(message)


def actor(name: str | None = None) -> str:
    """Return who is working, for the history: as told, else the user of the system."""
    import getpass  # noqa: PLC0415
    import os  # noqa: PLC0415

    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"


def report(what: str) -> None:
    """Tell what is being done, on standard error."""
    print(what, file=sys.stderr, flush=True)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on one line."""
    print(json.dumps(value, allow_nan=False))
