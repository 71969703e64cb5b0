"""One cell: train as `miwake-train fit` does, build as `miwake-index build` does, ask the station the held-out rows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from accuracy.cells import keep, kept, training_key
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
EMBEDDER = "embedder"


@dataclass(frozen=True, slots=True)
class Told:
    """What a station says of Q vectors: labels (Q,), their probabilities (Q,), novelty (Q,)."""

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32]


def measure(cell: Cell, preset: Preset, folder: Path, report: Callable[[Standing], None]) -> dict[str, Any]:
    """Return the figures of a cell by name; its embedder is kept in ``folder``, and not trained again."""
    records = read_records(str(cell.path))
    queries = held_out_split(records)[1]
    with TemporaryDirectory() as name:
        if cell.left_out is None:
            trained = _trained(str(cell.path), cell, preset, folder, report)
            index = _station(str(cell.path), folder / EMBEDDER, Path(name))
            return {**_answers(index, queries), **trained}
        source = Path(name) / "without.parquet"
        write_parquet(_without(records, queries, cell.left_out), source)
        trained = _trained(str(source), cell, preset, folder, report)
        index = _station(str(source), folder / EMBEDDER, Path(name))
        return {**_open_set(index, queries, cell.left_out), **trained}


def _answers(index: InspectionIndex, queries: Records) -> dict[str, Any]:
    told = _ask(index, queries)
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
    told = _ask(index, queries)
    return {"open_set_auroc": detection(told.novelty, queries.labels == left_out).auroc}


def _without(records: Records, queries: Records, left_out: int) -> Records:
    """Return the records without a class, on the sides that they stand on with it."""
    held_out = set(queries.ids)
    splits = tuple("test" if one in held_out else "train" for one in records.ids)
    return replace(records, splits=splits).take(records.labels != left_out)


def _trained(
    source: str, cell: Cell, preset: Preset, folder: Path, report: Callable[[Standing], None]
) -> dict[str, Any]:
    """Train the embedder of a cell into ``folder`` if it is not there, and return what that took."""
    path, key = folder / "training.json", training_key(cell, preset)
    before = kept(path, key)
    if before is not None:
        return before
    chosen = preset if cell.left_out is None else _with_half_the_steps(preset, source)
    started = time.monotonic()
    card = train(source, folder / EMBEDDER, chosen, reading=ReadSettings(), seed=cell.seed, report=report)
    took = {
        "seconds_train": time.monotonic() - started,
        "steps_train": card.metrics["steps"],
        "threads": thread_count(preset.settings.threads),
    }
    keep(path, key, took)
    return took


def _with_half_the_steps(preset: Preset, source: str) -> Preset:
    optimiser = preset.settings.optimiser
    n_steps = max(optimiser.budget(len(divide(read_records(source)).fit)) // 2, 1)
    return replace(preset, settings=replace(preset.settings, optimiser=replace(optimiser, steps=n_steps)))


def _station(source: str, embedder: Path, folder: Path) -> InspectionIndex:
    """Return an index of the training rows of ``source``."""
    references = held_out_split(read_records(source))[0]
    build(folder / "store", STATION, references, embedder)
    return open_index(folder / "store" / STATION)


def _ask(index: InspectionIndex, queries: Records) -> Told:
    pieces = [queries.take(np.arange(at, min(at + BATCH, len(queries)))) for at in range(0, len(queries), BATCH)]
    batches = [index.classify(one.vectors, templates=one.templates, n_neighbours=0) for one in pieces]
    return Told(
        np.concatenate([one.labels for one in batches]),
        np.concatenate([one.probabilities for one in batches]),
        np.concatenate([one.novelty for one in batches]),
    )
