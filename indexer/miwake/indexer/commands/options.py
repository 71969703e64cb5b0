"""Arguments and options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from miwake.indexer.sources.options import DATA_HELP


class Rows(StrEnum):
    """Which rows of a data set become references."""

    TRAINING = "training"
    ALL = "all"


Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]
Store = Annotated[Path, typer.Option(help="Folder that holds the stations.")]
NewStation = Annotated[str, typer.Option(help="Name of the station: one inspection place or product.")]
Station = Annotated[str, typer.Option(help="Name of the station; needless where the store has one.")]
Generation = Annotated[str | None, typer.Option(help="Such as g000001; by default the current one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Actor = Annotated[
    str | None, typer.Option("--by", help="Who does it, for the history; by default the user of the system.")
]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of references.")]
BuildRows = Annotated[
    Rows, typer.Option("--rows", help="training: without the rows that `miwake-train fit` holds out; all: every row.")
]
AddedRows = Annotated[
    Rows, typer.Option("--rows", help="training: without the rows of the split 'test'; all: every row.")
]
_CANDIDATES = typer.Option(min=1, max=10_000, help="References that FAISS proposes for re-ranking.")
_VOTING = typer.Option(min=1, max=1_000, help="References that vote on a label.")
_ANCHORS = typer.Option(
    help="What stands for a class: its mean vector, embedded, or the mean of its embeddings; auto: what measures "
    "better on calibration rows."
)
_ANCHORS_PER_CLASS = typer.Option(min=1, max=100, help="Anchors of a class at most; several divide it by k-means.")
_INDEX_KIND = typer.Option(help="How FAISS finds candidates; auto: exactly where the references are few.")
_MIN_RECALL = typer.Option(min=0, max=1, help="Least agreement with exact search that may be published.")
_REFERENCE_MAP = typer.Option(
    help="Map whose residuals are offered to the reject probability: the template beside a vector, or the mean of the "
    "passes; auto: templates where calibration rows bring them."
)
_ReferenceMapName = Literal["auto", "off", "template", "class-mean"]
_AnchorsName = Literal["auto", "class-mean", "mean-embedding"]
_IndexName = Literal["auto", "flat", "ivf-flat", "hnsw", "ivf-pq"]

Candidates = Annotated[int, _CANDIDATES]
Voting = Annotated[int, _VOTING]
Anchors = Annotated[_AnchorsName, _ANCHORS]
AnchorsPerClass = Annotated[int, _ANCHORS_PER_CLASS]
IndexKind = Annotated[_IndexName, _INDEX_KIND]
MinRecall = Annotated[float, _MIN_RECALL]
ReferenceMap = Annotated[_ReferenceMapName, _REFERENCE_MAP]

# Of a rebuild, which keeps what the station was built with.
KeptCandidates = Annotated[int | None, _CANDIDATES]
KeptVoting = Annotated[int | None, _VOTING]
KeptAnchors = Annotated[_AnchorsName | None, _ANCHORS]
KeptAnchorsPerClass = Annotated[int | None, _ANCHORS_PER_CLASS]
KeptIndexKind = Annotated[_IndexName | None, _INDEX_KIND]
KeptMinRecall = Annotated[float | None, _MIN_RECALL]
KeptReferenceMap = Annotated[_ReferenceMapName | None, _REFERENCE_MAP]

Keep = Annotated[
    int, typer.Option(min=1, help="Generations that are kept; the current one and the one before it always are.")
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
Space = Annotated[
    Literal["embedding", "raw"] | None, typer.Option(help="Where SOART3 compares; by default as calibrated.")
]
