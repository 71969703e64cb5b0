"""``miwake-index``: build a station's index, change its references, and look after both."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from miwake.indexer.sources.options import DATA_HELP, with_read_options
from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.indexer.build import Built
    from miwake.indexer.records import Records
    from miwake.indexer.storage.changes import Change

app = typer.Typer(help="Build and look after the index of a station.", no_args_is_help=True, add_completion=False)


class Rows(StrEnum):
    """Which rows of a data set become references."""

    TRAINING = "training"
    ALL = "all"


Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]
Store = Annotated[Path, typer.Option(help="Folder that holds the stations.")]
NewStation = Annotated[str, typer.Option(help="Name of the station: one inspection place or product.")]
Station = Annotated[str, typer.Option(help="Name of the station; needless where the store has one.")]
Generation = Annotated[str | None, typer.Option(help="Such as g000001; by default the current one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of references.")]
BuildRows = Annotated[
    Rows, typer.Option("--rows", help="training: without the rows that `miwake-train fit` holds out; all: every row.")
]
AddedRows = Annotated[
    Rows, typer.Option("--rows", help="training: without the rows of the split 'test'; all: every row.")
]
Candidates = Annotated[int, typer.Option(min=1, max=10_000, help="References that FAISS proposes for re-ranking.")]
Voting = Annotated[int, typer.Option(min=1, max=1_000, help="References that vote on a label.")]


@app.command()
@with_read_options
def build(
    *,
    data: Data,
    store: Store,
    station: NewStation,
    embedder: Annotated[Path, typer.Option(help="Folder of the embedder artifact, from `miwake-train fit`.")],
    rows: BuildRows = Rows.TRAINING,
    flatness: Annotated[
        float, typer.Option(min=0, max=0.5, help="Least spread of a vector, as a share of the value range.")
    ] = 0.01,
    candidates: Candidates = 100,
    voting: Voting = 15,
    as_json: AsJson = False,
    reading: ReadSettings,
) -> None:
    """Create a station from DATA and an embedder, and publish its first generation."""
    with _working():
        from miwake.indexer import build as building  # noqa: PLC0415

        settings = _settings(candidates, voting)
        records = _read(data, replace(reading, flatness=flatness))
        built = building.build(
            store,
            station,
            _training_rows(records, rows, as_training_does=True),
            embedder,
            settings=settings,
            flatness=flatness,
            report=_report,
        )
        _show_built(built, as_json=as_json)


@app.command()
@with_read_options
def rebuild(
    *,
    store: Store,
    station: Station = "",
    add: Annotated[str | None, typer.Option(metavar="DATA", help="Records to add first. " + DATA_HELP)] = None,
    rows: AddedRows = Rows.TRAINING,
    embedder: Annotated[Path | None, typer.Option(help="A new embedder; by default the current one.")] = None,
    candidates: Candidates = 100,
    voting: Voting = 15,
    as_json: AsJson = False,
    reading: ReadSettings,
) -> None:
    """Publish a generation of the latest references; a running server takes it over."""
    with _working():
        from miwake.indexer import build as building  # noqa: PLC0415
        from miwake.indexer.storage.station import StationFolder  # noqa: PLC0415

        settings = _settings(candidates, voting)
        built = building.rebuild(
            StationFolder(_station_path(store, station)),
            records=None if add is None else _training_rows(_read(add, reading), rows, as_training_does=False),
            embedder_folder=embedder,
            settings=settings,
            report=_report,
        )
        _show_built(built, as_json=as_json)


@app.command()
def describe(*, store: Store, station: Station = "", generation: Generation = None, as_json: AsJson = False) -> None:
    """Say what a station is, and how sure it has shown itself to be."""
    with _working():
        from miwake.indexer import tables  # noqa: PLC0415
        from miwake.indexer.describe import describe as describe_station  # noqa: PLC0415

        described = describe_station(_station_path(store, station), generation)
        if as_json:
            _print_json(described.to_dict())
            return
        for line in tables.description_lines(described):
            print(line)
        Console().print(tables.class_table(described))


@app.command()
@with_read_options
def search(
    *,
    data: Data,
    store: Store,
    station: Station = "",
    generation: Generation = None,
    row: Annotated[int, typer.Option(min=0, help="Which row of DATA to ask about, from 0.")] = 0,
    neighbours: Annotated[int, typer.Option(min=1, max=1_000, help="How many to show.")] = 15,
    as_json: AsJson = False,
    reading: ReadSettings,
) -> None:
    """Find the references nearest to one vector of DATA."""
    with _working():
        from miwake.indexer import tables  # noqa: PLC0415
        from miwake.indexer.errors import DataError  # noqa: PLC0415
        from miwake.indexer.opening import open_index, open_live  # noqa: PLC0415

        records = _read(data, reading)
        if row >= len(records):
            message = f"{records.source}: row {row} of {len(records)}"
            raise DataError(message)
        folder = _station_path(store, station)
        index = open_live(folder) if generation is None else open_index(folder, generation)
        vector = records.vectors[row : row + 1]
        refused = index.refuse(vector)
        if refused[0]:
            message = f"{records.source}: row {row}: {refused[0]}"
            raise DataError(message)
        batch = index.search(vector, n_neighbours=neighbours)
        if as_json:
            told = {"id": records.ids[row], "generation": index.generation, "revision": index.revision}
            _print_json({**told, **tables.neighbours_dict(batch, 0)})
        else:
            title = f"{records.ids[row]} (label {records.labels[row]}) in {index.station} {index.generation}"
            Console().print(tables.neighbour_table(batch, 0, title))


@app.command()
@with_read_options
def add(
    *,
    data: Data,
    store: Store,
    station: Station = "",
    label: Annotated[
        int | None, typer.Option(min=-(2**31), max=2**31 - 1, help="For all records, instead of what DATA says.")
    ] = None,
    failure_mode: Annotated[str | None, typer.Option(help="For all records, instead of what DATA says.")] = None,
    rows: AddedRows = Rows.TRAINING,
    as_json: AsJson = False,
    reading: ReadSettings,
) -> None:
    """Add the records of DATA as references; a running server searches them within a second."""
    with _working():
        from miwake.indexer.storage.store import ReferenceStore  # noqa: PLC0415

        records = _training_rows(_read(data, reading), rows, as_training_does=False)
        with ReferenceStore.open(_station_path(store, station)) as references:
            _show_change(references.add(records.named(label, failure_mode), actor=_actor()), as_json=as_json)


@app.command()
def relabel(
    *,
    ids: Ids,
    store: Store,
    station: Station = "",
    label: Annotated[int, typer.Option(help="The new class code.")],
    failure_mode: Annotated[str, typer.Option(help="The new failure mode.")],
    as_json: AsJson = False,
) -> None:
    """Give references another label; what they were stays in their history."""
    with _working():
        from miwake.indexer.storage.store import ReferenceStore  # noqa: PLC0415

        with ReferenceStore.open(_station_path(store, station)) as references:
            _show_change(references.relabel(ids, label, failure_mode, actor=_actor()), as_json=as_json)


@app.command()
def remove(*, ids: Ids, store: Store, station: Station = "", as_json: AsJson = False) -> None:
    """Remove references; they stay readable at earlier revisions."""
    with _working():
        from miwake.indexer.storage.store import ReferenceStore  # noqa: PLC0415

        with ReferenceStore.open(_station_path(store, station)) as references:
            _show_change(references.remove(ids, actor=_actor()), as_json=as_json)


@app.command()
def rollback(
    *,
    store: Store,
    station: Station = "",
    to: Annotated[str | None, typer.Option(help="Generation; by default the one before the current.")] = None,
) -> None:
    """Serve an earlier generation at its own revision; later changes stay stored and wait for the next rebuild."""
    with _working():
        from miwake.indexer.opening import roll_back  # noqa: PLC0415

        index = roll_back(_station_path(store, station), to)
        print(f"{index.station}: {index.generation} at revision {index.revision}")


@app.command()
def backup(
    *,
    store: Store,
    station: Station = "",
    to: Annotated[Path, typer.Option(help="Folder that receives the station; a store of its own.")],
) -> None:
    """Copy a station whole, history included, while others use it."""
    with _working():
        from miwake.indexer.opening import open_live  # noqa: PLC0415
        from miwake.indexer.storage.backup import backup as copy_station  # noqa: PLC0415
        from miwake.indexer.storage.station import StationFolder  # noqa: PLC0415

        copy = copy_station(StationFolder(_station_path(store, station)), to)
        index = open_live(copy.path)
        print(f"{copy.path}: {index.generation}, {index.n_references} references at revision {index.revision}")


@app.command()
def check(*, store: Store, station: Station = "", as_json: AsJson = False) -> None:
    """Check every row, vector and file of a station; status 1 where something is not as it was written."""
    with _working():
        from miwake.indexer.checking import check as check_station  # noqa: PLC0415

        findings = []
        for finding in check_station(_station_path(store, station)):
            findings.append(finding)
            if not as_json:
                print(f"{'BAD' if finding.problem else 'ok':4s}{finding.subject}: {finding.problem or finding.detail}")
        if as_json:
            _print_json({"findings": [asdict(finding) for finding in findings]})
    if any(finding.problem for finding in findings):
        raise typer.Exit(1)


def _read(source: str, reading: ReadSettings) -> Records:
    from miwake.indexer.sources.reader import read_records  # noqa: PLC0415

    records = read_records(source, reading)
    for warning in records.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return records


def _training_rows(records: Records, rows: Rows, *, as_training_does: bool) -> Records:
    """Return the rows to index; where no row is named 'test', rows are held out only if ``as_training_does``."""
    from miwake.indexer.splits import held_out_split  # noqa: PLC0415

    if rows is Rows.ALL or not (as_training_does or "test" in records.splits):
        return records
    training, held_out = held_out_split(records)
    _report(f"{records.source}: {len(training)} training rows taken, {len(held_out)} held out")
    return training


def _settings(candidates: int, voting: int) -> Any:  # a dataclass of a module that is imported late
    from miwake.indexer.build import BuildSettings  # noqa: PLC0415

    if voting > candidates:
        message = f"{voting} voting references of {candidates} candidates"
        raise typer.BadParameter(message)
    return BuildSettings(n_candidates=candidates, n_voting=voting)


def _station_path(store: Path, station: str) -> Path:
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


def _actor() -> str:
    import getpass  # noqa: PLC0415

    return getpass.getuser()


def _show_change(change: Change, *, as_json: bool) -> None:
    if as_json:
        _print_json(asdict(change))
        return
    counts = (
        (change.n_added, "added"),
        (change.n_relabelled, "relabelled"),
        (change.n_removed, "removed"),
        (change.n_unchanged, "unchanged"),
    )
    print(f"revision {change.revision}: {', '.join(f'{count} {what}' for count, what in counts if count) or 'nothing'}")


def _show_built(built: Built, *, as_json: bool) -> None:
    from miwake.indexer import tables  # noqa: PLC0415

    if as_json:
        _print_json(asdict(built))
        return
    for line in tables.built_lines(built):
        print(line)


def _report(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, allow_nan=False))


@contextmanager
def _working() -> Iterator[None]:
    """Work on one thread, and tell our errors as one line."""
    from miwake.indexer.errors import IndexerError  # noqa: PLC0415
    from miwake.indexer.threads import pin_threads  # noqa: PLC0415

    pin_threads()
    try:
        yield
    except IndexerError as error:
        print(f"miwake-index: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
