"""How many planted wrong labels an audit finds: ``python -m bench.audit DATA``.

The labels of 5 % of the training rows are replaced by a random other label, once for each seed; the audit is asked
about the training rows, and the planted ones are counted among its first 5 %. With an embedder, that must be one that
was fitted on these very labels: ``plant`` writes them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from miwake.indexer.embedder import Embedder
from miwake.indexer.sources.reader import read_records
from miwake.indexer.splits import held_out_split
from miwake.training.audit.auditing import audit
from miwake.training.audit.folds import assign_folds, bound_together
from miwake.training.audit.judging import judge
from miwake.training.audit.repeats import equal_groups
from miwake.training.audit.suspects import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.records import Records

SHARE = 0.05

app = typer.Typer(add_completion=False)
Data = Annotated[str, typer.Argument(help="Inspection data.")]


def with_noise(records: Records, seed: int, share: float = SHARE) -> tuple[Records, NDArray[np.bool_]]:
    """Return records with wrong labels planted, and which they are, (N,)."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(records), round(share * len(records)), replace=False)
    classes, columns = np.unique(records.labels, return_inverse=True)
    columns[rows] = (columns[rows] + rng.integers(1, len(classes), len(rows))) % len(classes)
    planted = np.zeros(len(records), dtype=np.bool_)
    planted[rows] = True
    return replace(records, labels=classes[columns].astype(np.int32)), planted


@app.command()
def plant(data: Data, out: Path, seed: int = 0) -> None:
    """Write DATA with wrong labels planted among its training rows."""
    from miwake.indexer.sources.parquet_writer import write_parquet  # noqa: PLC0415

    records = read_records(data)
    is_training = np.array([split != "test" for split in records.splits])
    labels = records.labels.copy()
    labels[is_training] = with_noise(records.take(is_training), seed)[0].labels
    write_parquet(replace(records, labels=labels), out)


@app.command()
def measure(
    data: Data,
    seeds: Annotated[int, typer.Option(help="How many times labels are planted anew.")] = 3,
    first_seed: int = 0,
    embedder: Annotated[Path | None, typer.Option(help="Fitted on what `plant` wrote with the first seed.")] = None,
) -> None:
    """Print what share of the planted rows is found, and how many of the suspects are planted."""
    training = held_out_split(read_records(data))[0]
    asked = None if embedder is None else Embedder.open(embedder)
    table = Table("seed", "among the first 5 %", "suspects", "planted among them", "of the planted", "ceiling", "CPU s")
    for seed in range(first_seed, first_seed + seeds):
        noisy, planted = with_noise(training, seed)
        first = _among_first(noisy, planted, asked)
        start = time.process_time()
        found = audit(noisy, asked)
        seconds = time.process_time() - start
        rows = np.array([one.row for one in found.suspects if one.kind in {Kind.MISLABELLED, Kind.CONTRADICTION}])
        assert found.ceiling is not None
        table.add_row(
            str(seed),
            f"{first:.1%}",
            f"{len(rows):,}",
            f"{planted[rows].mean():.1%}",
            f"{planted[rows].sum() / planted.sum():.1%}",
            f"{found.ceiling.value:.1%}",
            f"{seconds:.0f}",
        )
    Console(width=120).print(table)


def _among_first(noisy: Records, planted: NDArray[np.bool_], embedder: Embedder | None) -> float:
    """Return what share of the planted rows is among as many of the most doubtful, suspects or not."""
    folds = assign_folds(noisy.labels, bound_together(noisy.parts, equal_groups(noisy.vectors)))
    low, high = noisy.value_range or (float(noisy.vectors.min()), float(noisy.vectors.max()))
    judgement = judge(noisy, folds, high - low, None if embedder is None else embedder.embed(noisy.vectors))
    first = np.argsort(-judgement.doubts, kind="stable")[: int(planted.sum())]
    return float(planted[first].mean())


if __name__ == "__main__":
    app()
