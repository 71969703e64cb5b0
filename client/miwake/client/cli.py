"""``miwake-client``: asks a server about vectors, and looks after what it compares them with."""

from __future__ import annotations

import typer

from miwake.client.commands import asking, observing, references, verifying

app = typer.Typer(
    name="miwake-client",
    help="Ask a miwake server about inspection vectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (
    asking.stream,
    asking.query,
    verifying.verify,
    references.add,
    references.relabel,
    references.remove,
    references.references,
    observing.watch,
    observing.bench,
):
    app.command()(command)
