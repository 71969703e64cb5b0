"""``miwake-index``: build a station's index, change its references, and look after both."""

from __future__ import annotations

import typer

from miwake.indexer.commands import building, comparing, exchange, pruning, references, showing, stations, thresholds

app = typer.Typer(help="Build and look after the index of a station.", no_args_is_help=True, add_completion=False)

for command in (
    building.build,
    building.rebuild,
    references.add,
    references.relabel,
    references.remove,
    references.history,
    showing.describe,
    showing.search,
    showing.check,
    thresholds.thresholds,
    stations.rollback,
    pruning.prune,
    stations.backup,
    exchange.export,
    comparing.diff,
    comparing.activate,
):
    app.command()(command)
app.command("import")(exchange.import_)
app.command("list")(comparing.list_)
