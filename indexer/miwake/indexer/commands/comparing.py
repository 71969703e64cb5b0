"""Before and after a switch: ``diff``, ``activate`` and ``list``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from miwake.indexer.commands.options import AsJson, Station, Store
from miwake.indexer.commands.working import print_json, read, report, station_path, working
from miwake.indexer.sources.options import DATA_HELP, with_read_options
from miwake.indexer.sources.settings import ReadSettings

if TYPE_CHECKING:
    from miwake.indexer.comparing.comparison import Comparison
    from miwake.indexer.comparing.sides import Side
    from miwake.indexer.records import Records

N_SHOWN = 20
"""Flips that a terminal shows; a report has all of them."""

SIDE_HELP = (
    "A generation such as g000001, or 'current' for what is served now with the changes since; g000001:t000002 with "
    "that threshold set."
)


@with_read_options
def diff(
    *,
    before: Annotated[str, typer.Argument(metavar="GEN_A", help=SIDE_HELP)],
    after: Annotated[str, typer.Argument(metavar="GEN_B", help="What would take its place.")],
    store: Store,
    station: Station = "",
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Ask both about these parts, best held-out ones; by default about references that neither embedder "
            "was fitted on. " + DATA_HELP,
        ),
    ] = None,
    all_rows: Annotated[
        bool, typer.Option("--all-rows", help="Take every row of DATA; by default those of the split 'test', if any.")
    ] = False,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="DATA have no labels: compare the verdicts only.")
    ] = False,
    report_to: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html|FOLDER", help="Write a page with pictures that opens offline."),
    ] = None,
    as_json: AsJson = False,
    reading: ReadSettings,
) -> None:
    """Say which verdicts would flip if GEN_B took the place of GEN_A, and the change in escape and overkill."""
    with working():
        from miwake.indexer.comparing.calibration_rows import unfitted_rows  # noqa: PLC0415
        from miwake.indexer.comparing.comparison import compare  # noqa: PLC0415
        from miwake.indexer.comparing.sides import Side  # noqa: PLC0415

        folder = station_path(store, station)
        sides = Side.open(folder, before), Side.open(folder, after)
        is_labelled = replay is None or not unlabelled
        if replay is None:
            records = unfitted_rows(folder, sides)
        else:
            records = _replayed(read(replay, replace(reading, is_labelled=is_labelled)), all_rows=all_rows)
        comparison = compare(*sides, records, is_labelled=is_labelled, report=report)
        if report_to is not None:
            _write_report(report_to, comparison, sides, records)
        if as_json:
            print_json(comparison.to_dict())
        else:
            _show(comparison)


def _replayed(records: Records, *, all_rows: bool) -> Records:
    if all_rows or "test" not in records.splits:
        return records
    import numpy as np  # noqa: PLC0415

    held_out = records.take(np.array([split == "test" for split in records.splits], dtype=np.bool_))
    report(f"{records.source}: {len(held_out)} rows of the split 'test' taken, of {len(records)}")
    return held_out


def _show(comparison: Comparison) -> None:
    from miwake.indexer.comparing.lines import comparison_lines, flip_line  # noqa: PLC0415

    for line in comparison_lines(comparison):
        print(line)
    for flip in comparison.flips[:N_SHOWN]:
        print(flip_line(flip))
    if len(comparison.flips) > N_SHOWN:
        print(f"  and {len(comparison.flips) - N_SHOWN} more; --report shows them with pictures")


def _write_report(target: Path, comparison: Comparison, sides: tuple[Side, Side], records: Records) -> None:
    from miwake.indexer.comparing.report import write_page  # noqa: PLC0415

    path = write_page(target, comparison, sides, records)
    report(f"wrote {path}")


def activate(
    *,
    generation: Annotated[str, typer.Argument(metavar="GEN", help="Such as g000002.")],
    store: Store,
    station: Station = "",
) -> None:
    """Serve a generation that is there, with the changes of the references since it was built."""
    with working():
        from miwake.indexer.switching import switch_to  # noqa: PLC0415

        index = switch_to(station_path(store, station), generation)
        print(f"{index.station}: {index.generation} at revision {index.revision}")


def list_(*, store: Store, station: Station = "", as_json: AsJson = False) -> None:
    """List the stations of a store and their generations; a name lists one station."""
    with working():
        from miwake.indexer.storage.station import list_stations  # noqa: PLC0415
        from miwake.indexer.telling import tables  # noqa: PLC0415
        from miwake.indexer.telling.listing import list_station  # noqa: PLC0415

        folders = [station_path(store, station)] if station else [store / name for name in list_stations(store)]
        listed = [list_station(folder) for folder in folders]
        if as_json:
            print_json({"stations": [asdict(one) for one in listed]})
            return
        for one in listed:
            Console().print(tables.generation_table(one))
