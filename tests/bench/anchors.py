"""``python -m bench.anchors DATA EMBEDDER``: how often the nearest anchor is right on held-out rows, by kind of anchor.

The anchors are those of all training rows, as a build makes them; the vote of the 15 nearest stands beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from miwake.indexer.anchors import KINDS
from miwake.indexer.building.anchor_fitting import Members, fit_anchors
from miwake.indexer.embedder import Embedder
from miwake.indexer.evaluation import accuracy, balanced_accuracy
from miwake.indexer.search.exact import find_exactly
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from miwake.indexer.splits import held_out_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

PER_CLASS = (1, 2, 4, 8, 16)
N_VOTING = 15


def main(
    data: Annotated[str, typer.Argument(help="As `miwake-train` takes it.")],
    embedder_folder: Annotated[Path, typer.Argument(metavar="EMBEDDER", help="Fitted on its training rows.")],
) -> None:
    """Print a table."""
    training, held_out = held_out_split(read_records(data, ReadSettings()))
    embedder = Embedder.open(embedder_folder)
    known, queries = embedder.embed(training.vectors), embedder.embed(held_out.vectors)
    members = Members(training.vectors, known, training.labels)
    table = Table("anchors", "per class", "in all", "accuracy", "balanced")
    for kind in KINDS:
        for per_class in PER_CLASS:
            nobody = np.zeros(len(training), dtype=np.bool_)
            anchors, _ = fit_anchors(members, embedder, held_out=nobody, kind=kind, per_class=per_class)
            found = anchors.classes[anchors.distances(queries).argmin(axis=1)]
            table.add_row(kind, str(per_class), str(len(anchors.labels)), *_rates(held_out.labels, found))
    voted = _vote(training.labels[find_exactly(queries, known, np.arange(len(known)), N_VOTING)])
    table.add_row(f"vote of {N_VOTING}", "", str(len(known)), *_rates(held_out.labels, voted))
    Console(width=80).print(table)


def _rates(truth: NDArray[np.int32], found: NDArray[np.int32]) -> tuple[str, str]:
    return f"{accuracy(truth, found):.4f}", f"{balanced_accuracy(truth, found):.4f}"


def _vote(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the most frequent label of each row, the nearest neighbour's where two are."""
    classes = np.unique(labels)
    counts = (labels[:, :, None] == classes).sum(axis=1).astype(np.float64)
    counts += 0.5 * (labels[:, :1] == classes)
    voted: NDArray[np.int32] = classes[counts.argmax(axis=1)]
    return voted


if __name__ == "__main__":
    typer.run(main)
