"""One cell: train as `miwake-train fit` does, build as `miwake-index build` does, ask the station the held-out rows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer import evaluation
from miwake.indexer.assessing.roc import detection
from miwake.indexer.build import build
from miwake.indexer.opening import open_index
from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from miwake.indexer.splits import held_out_split
from miwake.training.device import thread_count
from miwake.training.division import divide
from miwake.training.run import train

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from accuracy.cells import Cell
    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.records import Records
    from miwake.training.fitted import Standing
    from miwake.training.presets import Preset

BATCH = 256
STATION = "accuracy"


@dataclass(frozen=True, slots=True)
class Told:
    """What a station says of Q vectors: labels (Q,), their probabilities (Q,), novelty (Q,)."""

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32]


def measure(cell: Cell, preset: Preset, report: Callable[[Standing], None]) -> dict[str, Any]:
    """Return the figures of a cell by name."""
    records = read_records(str(cell.path))
    queries = held_out_split(records)[1]
    with TemporaryDirectory() as name:
        folder = Path(name)
        if cell.left_out is None:
            index, trained = _station(str(cell.path), cell.seed, preset, folder, report)
            return {**_answers(index, queries), **trained}
        without = _without(records, queries, cell.left_out)
        write_parquet(without, folder / "without.parquet")
        half = _with_half_the_steps(preset, without)
        index, trained = _station(str(folder / "without.parquet"), cell.seed, half, folder, report)
        return {**_open_set(index, queries, cell.left_out), **trained}


def _answers(index: InspectionIndex, queries: Records) -> dict[str, Any]:
    told = _ask(index, queries.vectors)
    found = evaluation.evaluate(
        queries.labels,
        told.labels,
        pass_labels=queries.pass_labels,
        probabilities=told.probabilities,
        parts=queries.parts,
    )
    return {
        "accuracy": found.accuracy.value,
        "balanced_accuracy": found.balanced_accuracy,
        "escape_rate": None if found.escape is None else found.escape.value,
        "overkill_rate": None if found.overkill is None else found.overkill.value,
        "ece": found.calibration_error,
        "method": index.calibration.method,
    }


def _open_set(index: InspectionIndex, queries: Records, left_out: int) -> dict[str, Any]:
    """Return how well a class is noticed that neither embedder nor index has seen."""
    told = _ask(index, queries.vectors)
    return {"open_set_auroc": detection(told.novelty, queries.labels == left_out).auroc}


def _without(records: Records, queries: Records, left_out: int) -> Records:
    """Return the records without a class, on the sides that they stand on with it."""
    held_out = set(queries.ids)
    splits = tuple("test" if one in held_out else "train" for one in records.ids)
    return replace(records, splits=splits).take(records.labels != left_out)


def _with_half_the_steps(preset: Preset, records: Records) -> Preset:
    optimiser = preset.settings.optimiser
    n_steps = max(optimiser.budget(len(divide(records).fit)) // 2, 1)
    return replace(preset, settings=replace(preset.settings, optimiser=replace(optimiser, steps=n_steps)))


def _station(
    source: str, seed: int, preset: Preset, folder: Path, report: Callable[[Standing], None]
) -> tuple[InspectionIndex, dict[str, Any]]:
    """Return an index of the training rows of ``source``, and what training took."""
    started = time.monotonic()
    card = train(source, folder / "embedder", preset, reading=ReadSettings(), seed=seed, report=report)
    seconds = time.monotonic() - started
    references = held_out_split(read_records(source))[0]
    build(folder / "store", STATION, references, folder / "embedder")
    trained = {
        "seconds_train": seconds,
        "steps_train": card.metrics["steps"],
        "threads": thread_count(preset.settings.threads),
    }
    return open_index(folder / "store" / STATION), trained


def _ask(index: InspectionIndex, vectors: NDArray[np.float32]) -> Told:
    batches = [index.classify(vectors[at : at + BATCH], n_neighbours=0) for at in range(0, len(vectors), BATCH)]
    return Told(
        np.concatenate([one.labels for one in batches]),
        np.concatenate([one.probabilities for one in batches]),
        np.concatenate([one.novelty for one in batches]),
    )
