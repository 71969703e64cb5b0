"""``python -m bench.disturbances DATA [STATION]``: what the health of an input sees of each disturbance, as Markdown.

The held-out rejects of DATA are disturbed, and told from all held-out rows as they are. With the folder of a station
whose index was built from the training rows of DATA, it also says what was kept from passing, and whether the disturbed
rejects look more novel than they do as they are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console

from bench.health import alarms, auroc, high_pass_energy, learn
from miwake.indexer.answers import Decision, HealthStatistic
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index
from miwake.indexer.records import is_pass
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from miwake.indexer.splits import held_out_split
from support.disturbances import DISTURBANCES, disturbed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch
    from miwake.indexer.records import Records

BATCH = 256

app = typer.Typer(add_completion=False)


@app.command()
def show(
    data: Annotated[str, typer.Argument(help="What to read, as `miwake-train fit` takes it.")],
    station: Annotated[Path | None, typer.Argument(help="A station's folder: STORE/STATION.")] = None,
) -> None:
    """Print tables of what is seen of each disturbance, and of what it keeps from passing."""
    output = Console(highlight=False, soft_wrap=True, markup=False)
    training, test = held_out_split(read_records(data, ReadSettings()))
    for line in statistics_lines(training, test):
        output.print(line)
    if station is not None:
        for line in station_lines(open_index(station), test):
            output.print(line)


def statistics_lines(training: Records, test: Records) -> Iterator[str]:
    """Yield a table of AUROCs by statistic, and of the share of rows beyond a limit."""
    health, gauge = learn(training)
    passes = is_pass(test.labels, test.pass_labels)
    rejects = test.take(~passes)
    ordinary = gauge.deviations(test.vectors)
    energy = high_pass_energy(test.vectors, test.heat_map_shape)
    yield (
        f"beyond a limit: {alarms(ordinary[passes]):.2%} of {passes.sum()} held-out passes, "
        f"{alarms(ordinary[~passes]):.2%} of {(~passes).sum()} rejects, {health.false_alarms or 0:.2%} of the "
        f"calibration rows; learnt from {health.n_rows} rows of {health.n_parts} parts"
    )
    names = [one.name.lower().replace("_", " ") for one in HealthStatistic]
    yield f"| | {' | '.join(names)} | high-pass energy | beyond a limit |"
    yield "|---" * (len(names) + 3) + "|"
    for name in DISTURBANCES:
        vectors = disturbed(rejects, name)
        found = gauge.deviations(vectors)
        values = [auroc(ordinary[:, one], found[:, one]) for one in HealthStatistic]
        values.append(auroc(energy, high_pass_energy(vectors, test.heat_map_shape)))
        yield f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} | {alarms(found):.1%} |"


def station_lines(index: InspectionIndex, test: Records) -> Iterator[str]:
    """Yield a table of what passes with and without health, and of how novel disturbed rejects look."""
    passes = is_pass(test.labels, test.pass_labels)
    rejects = test.take(~passes)
    without = _without_health(index)
    as_they_are = [_classify(one, test.vectors) for one in (without, index)]
    novelty = np.concatenate([batch.novelty for batch in as_they_are[0]])[~passes]
    counts = [[_passing(batches, side) for side in (passes, ~passes)] for batches in as_they_are]
    yield (
        f"as they are: {counts[0][0]} of {passes.sum()} passes PASS without health, {counts[1][0]} with it; "
        f"{counts[0][1]} and {counts[1][1]} of {len(rejects)} rejects"
    )
    yield "| rejects | labelled pass | PASS without health | PASS with it | more novel (AUROC) |"
    yield "|---|---|---|---|---|"
    everyone = np.ones(len(rejects), dtype=np.bool_)
    for name in DISTURBANCES:
        before, after = (_classify(one, disturbed(rejects, name)) for one in (without, index))
        labels = np.concatenate([batch.labels for batch in before])
        looks = auroc(novelty, np.concatenate([batch.novelty for batch in before]))
        escaped = int(is_pass(labels, test.pass_labels).sum())
        yield f"| {name} | {escaped} | {_passing(before, everyone)} | {_passing(after, everyone)} | {looks:.3f} |"


def _without_health(index: InspectionIndex) -> InspectionIndex:
    calibration = index.contents.calibration
    thresholds = replace(calibration.thresholds, health_at_most=None)
    return InspectionIndex(replace(index.contents, calibration=replace(calibration, thresholds=thresholds)))


def _classify(index: InspectionIndex, vectors: NDArray[np.float32]) -> list[VerdictBatch]:
    return [index.classify(vectors[start : start + BATCH]) for start in range(0, len(vectors), BATCH)]


def _passing(batches: list[VerdictBatch], rows: NDArray[np.bool_]) -> int:
    decisions = np.concatenate([batch.decisions for batch in batches])
    return int((decisions[rows] == Decision.PASS).sum())


if __name__ == "__main__":
    app()
