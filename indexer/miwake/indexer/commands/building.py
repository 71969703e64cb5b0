"""Building: ``build`` and ``rebuild``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miwake.indexer.commands.options import (
    AddedRows,
    AsJson,
    BuildRows,
    Candidates,
    Data,
    NewStation,
    Rows,
    Station,
    Store,
    Voting,
)
from miwake.indexer.commands.working import print_json, read, report, station_path, training_rows, working
from miwake.indexer.sources.options import DATA_HELP, with_read_options
from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from miwake.indexer.build import Built


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
    with working():
        from miwake.indexer import build as building  # noqa: PLC0415

        settings = _settings(candidates, voting)
        records = read(data, replace(reading, flatness=flatness))
        built = building.build(
            store,
            station,
            training_rows(records, rows, as_training_does=True),
            embedder,
            settings=settings,
            flatness=flatness,
            report=report,
        )
        _show_built(built, as_json=as_json)


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
    with working():
        from miwake.indexer import build as building  # noqa: PLC0415
        from miwake.indexer.storage.station import StationFolder  # noqa: PLC0415

        settings = _settings(candidates, voting)
        built = building.rebuild(
            StationFolder(station_path(store, station)),
            records=None if add is None else training_rows(read(add, reading), rows, as_training_does=False),
            embedder_folder=embedder,
            settings=settings,
            report=report,
        )
        _show_built(built, as_json=as_json)


def _settings(candidates: int, voting: int) -> Any:  # a dataclass of a module that is imported late
    from miwake.indexer.build import BuildSettings  # noqa: PLC0415

    if voting > candidates:
        message = f"{voting} voting references of {candidates} candidates"
        raise typer.BadParameter(message)
    return BuildSettings(n_candidates=candidates, n_voting=voting)


def _show_built(built: Built, *, as_json: bool) -> None:
    from miwake.indexer import tables  # noqa: PLC0415

    if as_json:
        print_json(asdict(built))
        return
    for line in tables.built_lines(built):
        print(line)
