"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from miwake.client.options import Space

File = Annotated[Path, typer.Argument(help="Vectors: .parquet, .csv, .npz or .npy.")]
Split = Annotated[str | None, typer.Option(help="Take only the rows of this split, such as test.")]
NeighbourCount = Annotated[
    int | None, typer.Option("--neighbours", min=1, help="Neighbours to return for each vector.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION",
        help="Only references for which it holds: label=11,13, failure_mode!=short, part, group or source likewise, "
        "time>=2026-01-31 or time<2026-01-31T12:00Z. Of several, all must hold.",
    ),
]
Power = Annotated[int | None, typer.Option(min=1, max=8, help="Power of that norm; by default as calibrated.")]
SpaceChoice = Annotated[Space | None, typer.Option(help="Where SOART3 compares; by default as calibrated.")]
Candidates = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="References that are re-ranked; by default as calibrated.")
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON also to a terminal.")]
