"""How soon a new defect is recognised: ``python -m bench.new_defect without``, and ``measure``.

``without`` writes DATA without one class, to train an embedder on that has never seen it. ``measure`` builds a station
from the training rows of the other classes, adds references of the class, one a part first, and asks the held-out rows
again: how many members are answered their label, how many are rejected, and what became of everything else.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from miwake.indexer.answers import Decision
from miwake.indexer.opening import open_index
from miwake.indexer.sources.reader import read_records
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch
    from miwake.indexer.records import Records

COUNTS = (5, 10, 20)
COLUMNS = (
    "references",
    "members labelled so",
    "labelled a reject",
    "PASS",
    "REJECT",
    "REVIEW",
    "UNKNOWN",
    "others to PASS",
    "passes REJECT",
    "overkill by label",
)

app = typer.Typer(add_completion=False)
Data = Annotated[str, typer.Argument(help="Inspection data with its held-out rows.")]
Label = Annotated[int, typer.Option(help="The class that is new.")]


@app.command()
def without(data: Data, out: Path, label: Label) -> None:
    """Write DATA without a class."""
    from miwake.indexer.sources.parquet_writer import write_parquet  # noqa: PLC0415

    records = read_records(data)
    write_parquet(records.take(np.flatnonzero(records.labels != label)), out)


@app.command()
def measure(
    data: Data,
    label: Label,
    embedder: Annotated[Path, typer.Option(help="Trained on what `without` wrote.")],
    draws: Annotated[int, typer.Option(help="Of the references that are added.")] = 3,
) -> None:
    """Print a row for each number of references, means over the draws; counts are the most of any draw."""
    from miwake.indexer.build import build  # noqa: PLC0415

    training, held_out = held_out_split(read_records(data))
    members = training.take(np.flatnonzero(training.labels == label))
    is_member = held_out.labels == label
    is_pass = np.isin(held_out.labels, held_out.pass_labels)
    table = Table(*COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "bench", training.take(np.flatnonzero(training.labels != label)), embedder)
        base = open_index(Path(folder) / "bench")
        before = base.classify(held_out.vectors)
        table.add_row("0", *_cells([before], before, label, is_member, is_pass))
        with ReferenceStore.open(Path(folder) / "bench") as store:
            for count in COUNTS:
                after = []
                for draw in range(draws):
                    added = members.take(one_a_part(members, count, draw))
                    store.add(added, actor="bench")
                    after.append(base.with_changes(store.changes(base.base_revision)).classify(held_out.vectors))
                    store.remove(added.ids, actor="bench")
                table.add_row(str(count), *_cells(after, before, label, is_member, is_pass))
    Console(width=140).print(table)


def one_a_part(members: Records, count: int, seed: int) -> NDArray[np.intp]:
    """Return ``count`` rows, as many parts among them as there are."""
    order = np.random.default_rng(seed).permutation(len(members))
    turn: dict[str, int] = {}
    turns = []
    for row in order.tolist():
        turns.append(turn.get(members.parts[row], 0))
        turn[members.parts[row]] = turns[-1] + 1
    return order[np.argsort(turns, kind="stable")[:count]]


def _cells(
    after: list[VerdictBatch],
    before: VerdictBatch,
    label: int,
    is_member: NDArray[np.bool_],
    is_pass: NDArray[np.bool_],
) -> tuple[str, ...]:
    def mean(hits: list[NDArray[np.bool_]], rows: NDArray[np.bool_]) -> str:
        return f"{np.mean([hit[rows].mean() for hit in hits]):.1%}"

    turned = [((one.decisions == Decision.PASS) & (before.decisions != Decision.PASS)).sum() for one in after]
    pass_labels = {int(one) for one in np.unique(before.labels[before.decisions == Decision.PASS])}
    return (
        mean([one.labels == label for one in after], is_member),
        mean([~np.isin(one.labels, list(pass_labels)) for one in after], is_member),
        *(
            mean([one.decisions == decision for one in after], is_member)
            for decision in (Decision.PASS, Decision.REJECT, Decision.REVIEW, Decision.UNKNOWN)
        ),
        str(max(turned)),
        mean([one.decisions == Decision.REJECT for one in after], is_pass),
        mean([~np.isin(one.labels, list(pass_labels)) for one in after], is_pass),
    )


if __name__ == "__main__":
    app()
