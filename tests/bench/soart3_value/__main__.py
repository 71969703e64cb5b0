"""``python -m bench.soart3_value WHAT DATA --embedder FOLDER``: what SOART3 adds, and what it does not.

The embedders are of `miwake-train fit DATA`: their fit rows are the references, mixes are fitted on their calibration
parts, and the held-out parts are asked. Intervals are over held-out parts, 95 %, paired; means where several are named.
"""

from __future__ import annotations

import importlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


class What(StrEnum):
    """The tables there are, by module and function."""

    VOTE = "votes.vote_table"
    MEANS = "votes.mean_table"
    NOVELTY = "novelty.novelty_table"
    GAIN = "maps.gain_table"
    RESIDUAL = "maps.residual_table"
    TERMS = "terms.term_table"
    TEMPLATES = "templates.template_table"


def main(
    what: Annotated[str, typer.Argument(help=f"One of {', '.join(one.name.lower() for one in What)}.")],
    data: Annotated[str, typer.Argument(help="Inspection data with its held-out rows.")],
    embedder: Annotated[list[Path], typer.Option(help="Trained on the training rows of DATA; repeatable.")],
) -> None:
    """Print one table."""
    from bench.soart3_value.rows import read_rows  # noqa: PLC0415
    from miwake.indexer.threads import pin_threads  # noqa: PLC0415

    names = {one.name.lower(): one.value for one in What}
    if what not in names:
        message = f"{what!r}: expected one of {', '.join(names)}"
        raise typer.BadParameter(message)
    pin_threads()
    module, _, function = names[what].partition(".")
    table = getattr(importlib.import_module(f"bench.soart3_value.{module}"), function)
    Console(width=140).print(table([read_rows(data, one) for one in embedder]))


if __name__ == "__main__":
    typer.run(main)
