"""Looking without changing anything: ``describe``, ``search`` and ``check``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from miwake.indexer.commands.options import AsJson, Data, Generation, Power, Space, Station, Store, Where
from miwake.indexer.commands.working import print_json, read, station_path, usage, working
from miwake.indexer.sources.options import with_read_options
from miwake.indexer.sources.settings import ReadSettings


def describe(*, store: Store, station: Station = "", generation: Generation = None, as_json: AsJson = False) -> None:
    """Say what a station is, and how sure it has shown itself to be."""
    with working():
        from miwake.indexer.telling import tables  # noqa: PLC0415
        from miwake.indexer.telling.describe import describe as describe_station  # noqa: PLC0415

        described = describe_station(station_path(store, station), generation)
        if as_json:
            print_json(described.to_dict())
            return
        for line in tables.description_lines(described):
            print(line)
        Console().print(tables.class_table(described))


@with_read_options
def search(
    *,
    data: Data,
    store: Store,
    station: Station = "",
    generation: Generation = None,
    row: Annotated[int, typer.Option(min=0, help="Which row of DATA to ask about, from 0.")] = 0,
    neighbours: Annotated[int, typer.Option(min=1, max=1_000, help="How many to show.")] = 15,
    where: Where = None,
    p_eta: Power = None,
    p_gamma: Power = None,
    space: Space = None,
    candidates: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="References that are re-ranked; by default as calibrated.")
    ] = None,
    exhaustive: Annotated[bool, typer.Option("--exhaustive", help="Re-rank every reference.")] = False,
    as_json: AsJson = False,
    reading: ReadSettings,
) -> None:
    """Find the references nearest to one vector of DATA."""
    with working():
        from miwake.indexer import filters  # noqa: PLC0415
        from miwake.indexer.errors import DataError  # noqa: PLC0415
        from miwake.indexer.opening import open_index, open_live  # noqa: PLC0415
        from miwake.indexer.search.options import SearchOptions  # noqa: PLC0415
        from miwake.indexer.telling import tables  # noqa: PLC0415

        with usage("--where"):
            wanted = filters.parse(where or ())
        with usage("--exhaustive"):
            options = SearchOptions(
                p_eta=p_eta, p_gamma=p_gamma, space=space, n_candidates=candidates, exhaustive=exhaustive
            )
        records = read(data, reading)
        if row >= len(records):
            message = f"{records.source}: row {row} of {len(records)}"
            raise DataError(message)
        folder = station_path(store, station)
        index = open_live(folder) if generation is None else open_index(folder, generation)
        vector = records.vectors[row : row + 1]
        refused = index.refuse(vector)
        if refused[0]:
            message = f"{records.source}: row {row}: {refused[0]}"
            raise DataError(message)
        batch = index.search(vector, n_neighbours=neighbours, where=wanted, options=options)
        if as_json:
            told = {"id": records.ids[row], "generation": index.generation, "revision": index.revision}
            print_json({**told, **tables.neighbours_dict(batch, 0)})
        elif not batch.labels.size:
            print(f"no reference of {index.station} {index.generation} is one that --where asks for")
        else:
            title = f"{records.ids[row]} (label {records.labels[row]}) in {index.station} {index.generation}"
            Console().print(tables.neighbour_table(batch, 0, title))


def check(*, store: Store, station: Station = "", as_json: AsJson = False) -> None:
    """Check every row, vector and file of a station; status 1 where something is not as it was written."""
    with working():
        from miwake.indexer.checking import check as check_station  # noqa: PLC0415

        findings = []
        for finding in check_station(station_path(store, station)):
            findings.append(finding)
            if not as_json:
                print(f"{'BAD' if finding.problem else 'ok':4s}{finding.subject}: {finding.problem or finding.detail}")
        if as_json:
            print_json({"findings": [asdict(finding) for finding in findings]})
    if any(finding.problem for finding in findings):
        raise typer.Exit(1)
