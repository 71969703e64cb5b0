"""Measuring one cell: fit, export, and ask the held-out rows, as a product made of the same data would."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from miwake.indexer.embedder import Embedder
from miwake.training.ablation.cells import Cell
from miwake.training.division import divide
from miwake.training.evaluate import ask, held_out_sides
from miwake.training.export import write_artifact
from miwake.training.fit import fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.training.evaluate import Asked
    from miwake.training.presets import Preset

NEAREST_ANCHOR, NEAREST_REFERENCES, VERDICT = "nearest anchor", "15 nearest", "verdict"
WAYS = (NEAREST_ANCHOR, NEAREST_REFERENCES, VERDICT)
"""The ways to a label that are compared."""


def measure(records: Records, preset: Preset, *, seed: int, fingerprint: str) -> Cell:
    """Fit ``preset`` to the training rows of ``records`` and return what it answers to the held-out ones.

    The embedder is written as an artifact and opened again: what answers is what a station would run.

    Raises
    ------
    DataError, TrainingError
        If the data cannot be trained on or have no held-out rows, or the run diverges.
    """
    started = time.process_time()
    references, queries = held_out_sides(records)
    rows = divide(records)
    fitted = fit(rows, preset.settings, seed=seed)
    fit_cpu_s = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        write_artifact(Path(folder), fitted, rows, preset, seed=seed)
        asked = ask(Embedder.open(Path(folder)), queries, references)
    found, method = _answers(asked)
    return Cell(
        settings=asdict(preset.settings),
        seed=seed,
        source=records.source,
        data_fingerprint=fingerprint,
        truth=_plain(queries.labels),
        parts=_plain(_part_numbers(queries)),
        pass_labels=queries.pass_labels,
        answers={way: _plain(labels) for way, labels in found.items()},
        method=method,
        n_steps=fitted.n_steps,
        best_step=fitted.step,
        fit_cpu_s=round(fit_cpu_s, 2),
        cpu_s=round(time.process_time() - started, 2),
        torch=str(torch.__version__),
    )


def _answers(asked: Asked) -> tuple[dict[str, NDArray[np.int32]], str]:
    answers = asked.answers
    found = {NEAREST_ANCHOR: answers.nearest_anchor.labels, NEAREST_REFERENCES: answers.nearest_references.labels}
    if not asked.trial.fits:
        return found, ""
    fit = asked.trial.fits[0]
    by_method = {
        "nearest_anchor": answers.nearest_anchor if fit.anchors == "class-mean" else answers.nearest_mean_embedding,
        "vote": answers.vote,
        "soart3_vote": answers.soart3_vote,
    }
    verdict = by_method[fit.calibration.method]
    if verdict is None:
        return found, ""
    return {**found, VERDICT: verdict.labels}, fit.calibration.method


def _part_numbers(queries: Records) -> NDArray[np.int64]:
    """Return the number of each row's part; a row without one is a part of its own."""
    named = [part or f"\0{row}" for row, part in enumerate(queries.parts)]
    return np.unique(np.array(named), return_inverse=True)[1].astype(np.int64)


def _plain(values: NDArray[np.integer]) -> tuple[int, ...]:
    return tuple(values.tolist())
