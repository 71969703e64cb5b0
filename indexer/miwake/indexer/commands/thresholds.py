"""Changing and showing what PASS, REJECT and UNKNOWN take: ``thresholds``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from miwake.indexer.commands.options import AsJson, Generation, Station, Store
from miwake.indexer.commands.threshold_options import request_of, with_threshold_options
from miwake.indexer.commands.working import actor, print_json, station_path, working

if TYPE_CHECKING:
    from miwake.indexer.thresholding import SetDescription


@with_threshold_options
def thresholds(
    *,
    store: Store,
    station: Station = "",
    generation: Generation = None,
    to: Annotated[
        str | None, typer.Option("--set", metavar="NAME", help="Serve a set that was chosen before, or 'default'.")
    ] = None,
    show: Annotated[str | None, typer.Option(metavar="NAME", help="Show a set, whether it is served or not.")] = None,
    all_sets: Annotated[bool, typer.Option("--list", help="List the sets of the generation.")] = False,
    as_json: AsJson = False,
    asked: dict[str, Any],
) -> None:
    """Choose what PASS, REJECT and UNKNOWN take, without a rebuild; without options, show what is served.

    A running server takes a new set over within a second. Where a promise cannot be shown, nothing is changed, the
    status is 1, and it is said what the data can promise and what it would take.
    """
    with working():
        from miwake.indexer import thresholding  # noqa: PLC0415

        request = request_of(asked)
        folder = station_path(store, station)
        if sum((bool(request), to is not None, show is not None, all_sets)) > 1:
            message = "promises, costs or thresholds, --set, --show and --list: expected one of them"
            raise typer.BadParameter(message)
        if generation is not None and (request or to is not None):
            message = "thresholds are changed of the current generation only: expected no --generation"
            raise typer.BadParameter(message)
        if all_sets:
            _show_all(thresholding.describe_sets(folder, generation), as_json=as_json)
        elif request:
            _show(thresholding.change(folder, request, actor=actor()), as_json=as_json)
        elif to is not None:
            _show(thresholding.serve(folder, to), as_json=as_json)
        else:
            _show(thresholding.describe_set(folder, generation, show), as_json=as_json)


def _show(described: SetDescription, *, as_json: bool) -> None:
    from miwake.indexer.telling import threshold_tables  # noqa: PLC0415

    if as_json:
        print_json(described.to_dict())
        return
    for line in threshold_tables.set_lines(described):
        print(line)
    for line in threshold_tables.chosen_lines(described.request, described.chosen):
        print(line)
    Console().print(threshold_tables.outcome_table(described.chosen))


def _show_all(described: tuple[SetDescription, ...], *, as_json: bool) -> None:
    from miwake.indexer.telling import threshold_tables  # noqa: PLC0415

    if as_json:
        print_json({"sets": [one.to_dict() for one in described]})
        return
    for one in described:
        for line in threshold_tables.set_lines(one):
            print(line)
