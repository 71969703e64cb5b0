"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from miwake.client.options import Space

DEFAULT_TARGET = "127.0.0.1:50051"

File = Annotated[Path, typer.Argument(help="Vectors: .parquet, .csv, .npz or .npy.")]
Target = Annotated[str, typer.Option(help="Address of the server, host:port.")]
Station = Annotated[str, typer.Option(help="The station to ask; not needed where the server has one.")]
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
Timeout = Annotated[float, typer.Option(min=0.001, help="Longest wait for an answer, in seconds.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON also to a terminal.")]
