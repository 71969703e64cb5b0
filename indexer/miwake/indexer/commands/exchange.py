"""References out of a station and into one: ``export`` and ``import``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from miwake.indexer.commands.options import AsJson, Station, Store
from miwake.indexer.commands.working import actor, print_json, report, station_path, working

File = Annotated[Path, typer.Argument(metavar="FILE.parquet", help="The exchange file.")]


def export(
    *,
    file: File,
    store: Store,
    station: Station = "",
    revision: Annotated[int | None, typer.Option(min=0, help="Whose references; by default the latest.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Only references such as 'label=11,13', 'failure_mode!=short' or 'time>=2026-01-31'; may be given "
            "several times, all of them must hold. Then no history is written.",
        ),
    ] = None,
    embeddings: Annotated[bool, typer.Option(help="Write the embeddings by the current embedder too.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the references as Parquet that any reader of data takes, and their history in a file beside it."""
    with working():
        from miwake.indexer.exchange.exporting import export as write_export  # noqa: PLC0415
        from miwake.indexer.filters import parse  # noqa: PLC0415

        exported = write_export(
            station_path(store, station),
            file,
            revision=revision,
            where=parse(where or ()),
            overwrites=force,
            with_embeddings=embeddings,
            report=report,
        )
        if as_json:
            print_json(asdict(exported))
            return
        print(f"{exported.file}: {exported.n_references} references of {exported.station} at {exported.revision}")
        if exported.history_file:
            print(f"{exported.history_file}: {exported.n_history} earlier versions; keep it beside the other")


def import_(
    *,
    file: File,
    store: Store,
    station: Annotated[str, typer.Option(help="Name of the station; by default the one that was exported.")] = "",
    embedder: Annotated[
        Path | None, typer.Option(help="Folder of an embedder artifact: publish a new station's first generation too.")
    ] = None,
    history: Annotated[bool, typer.Option(help="Restore the history of a station that is made by this.")] = True,
    as_json: AsJson = False,
) -> None:
    """Take an export back: whole into a new station, or what is new in it into one that exists."""
    with working():
        from miwake.indexer.exchange.importing import import_station  # noqa: PLC0415

        imported = import_station(
            file,
            store,
            station,
            actor=actor(),
            embedder_folder=embedder,
            with_history=history,
            report=report,
        )
        if as_json:
            print_json(asdict(imported))
            return
        unchanged = f", {imported.n_unchanged} unchanged" if imported.n_unchanged else ""
        earlier = f", {imported.n_history} earlier versions restored" if imported.n_history else ""
        print(
            f"{imported.station}: {imported.n_added} added{unchanged}{earlier}; "
            f"{imported.n_references} references at revision {imported.revision}"
        )
        if imported.is_new and not imported.generation:
            print(f"nothing is published yet: miwake-index rebuild --store {store} --embedder …")
        elif imported.generation:
            print(f"published as {imported.generation}")
