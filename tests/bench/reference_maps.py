"""What residuals against reference maps are worth: ``python -m bench.reference_maps DATA --embedder FOLDER``.

A station is built from the training rows, and the held-out rows are asked with the residuals and without, each with the
rows that have a reference map: escapes where 2 and 5 % of the passes are called rejects, errors by label, decisions.
``--label`` leaves a class of rejects out of the station, and counts the escapes of that class alone: where the embedder
was trained without it too, it is one that nothing has ever seen.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from miwake.indexer.answers import Decision
from miwake.indexer.build import build
from miwake.indexer.building.build_settings import BuildSettings
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.records import is_pass
from miwake.indexer.residuals.against import against_templates
from miwake.indexer.sources.reader import read_records
from miwake.indexer.splits import held_out_split
from miwake.indexer.telling.tables import residuals_text
from miwake.indexer.verdict.matched import compare_matched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch
    from miwake.indexer.records import Records

OVERKILLS = (0.02, 0.05)
BATCH = 256


def main(
    data: Annotated[str, typer.Argument(help="Inspection data with its held-out rows.")],
    embedder: Annotated[Path, typer.Option(help="Trained on the training rows.")],
    reference_map: Annotated[str, typer.Option(help="auto, template or class-mean.")] = "auto",
    label: Annotated[int | None, typer.Option(help="A class of rejects that the station does not know.")] = None,
) -> None:
    """Print what the calibration decided, and both ways on the held-out rows."""
    records = read_records(data)
    training, held_out = held_out_split(records)
    if label is not None:
        training = training.take(training.labels != label)
        held_out = held_out.take(is_pass(held_out.labels, records.pass_labels) | (held_out.labels == label))
    told: Any = reference_map
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "bench", training, embedder, settings=BuildSettings(reference_map=told))
        index = open_index(Path(folder) / "bench")
        if held_out.templates is not None and index.reference_map != "class-mean":
            held_out = held_out.take(~np.isnan(held_out.templates[:, 0]))
        without = _without(index)
        asked = [_ask(one, held_out) for one in (without, index)]
    Console(width=160).print(residuals_text(index.calibration.residuals))
    Console(width=160).print(_table(held_out, *asked))
    Console(width=160).print(f"{_microseconds(held_out):.0f} µs a vector to compare it with a map, in batches of 64")


def _microseconds(records: Records) -> float:
    """Return the least time of many to compare a vector with a map of its size."""
    maps = records.take(np.arange(min(len(records), 64)))
    scale = (float(maps.vectors.min()), float(maps.vectors.max()))
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        against_templates(maps.vectors, maps.vectors[::-1], maps.heat_map_shape, scale)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / len(maps) * 1e6


def _without(index: InspectionIndex) -> InspectionIndex:
    """Return the index as if the residuals had not been taken."""
    contents = index.contents
    return InspectionIndex(replace(contents, calibration=replace(contents.calibration, residuals=None)))


def _ask(index: InspectionIndex, records: Records) -> list[VerdictBatch]:
    pieces = [records.take(np.arange(at, min(at + BATCH, len(records)))) for at in range(0, len(records), BATCH)]
    return [index.classify(one.vectors, templates=one.templates, n_neighbours=0) for one in pieces]


def _table(records: Records, without: list[VerdictBatch], with_residuals: list[VerdictBatch]) -> Table:
    passes = is_pass(records.labels, records.pass_labels)
    parts = np.unique(np.array(records.parts), return_inverse=True)[1]
    table = Table(
        f"{len(passes)} held-out rows, {(~passes).sum()} rejects", "without", "with", "points fewer, 95 % over parts"
    )
    scores = [_joined(one, "reject_probabilities").astype(np.float64) for one in (without, with_residuals)]
    for share in OVERKILLS:
        found = compare_matched(scores[0], scores[1], ~passes, parts, overkill_rate=share, seed=0)
        interval = f"{100 * found.gain:.2f} [{100 * found.low:.2f}, {100 * found.high:.2f}]"
        table.add_row(f"escapes at {share:.0%} overkill", f"{found.without:.2%}", f"{found.with_terms:.2%}", interval)
    sides = [is_pass(_joined(one, "labels"), records.pass_labels) for one in (without, with_residuals)]
    decisions = [_joined(one, "decisions") for one in (without, with_residuals)]
    table.add_row("rejects labelled pass", *(f"{one[~passes].mean():.2%}" for one in sides), "")
    table.add_row("passes labelled reject", *(f"{(~one)[passes].mean():.2%}" for one in sides), "")
    for name, decision, rows in (
        ("rejects decided PASS", Decision.PASS, ~passes),
        ("passes decided REJECT", Decision.REJECT, passes),
        ("all decided REVIEW", Decision.REVIEW, np.ones_like(passes)),
    ):
        table.add_row(name, *(f"{(one[rows] == decision).mean():.2%}" for one in decisions), "")
    return table


def _joined(batches: list[VerdictBatch], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(one, name) for one in batches])


if __name__ == "__main__":
    typer.run(main)
