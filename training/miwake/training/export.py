"""From a fitted PyTorch network to the artifact that everything else runs: one ONNX file and its card."""

from __future__ import annotations

import hashlib
import logging
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch

from miwake.indexer.embedder import BATCH, INPUT_NAME, OUTPUT_NAME, EmbedderCard, write_embedder
from miwake.indexer.health.learning import learn_health
from miwake.training.errors import ExportError, ParityError
from miwake.training.validation import embed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.health.limits import InputHealth
    from miwake.training.division import TrainingRows
    from miwake.training.fitted import Fitted
    from miwake.training.networks import Embedder
    from miwake.training.presets import Preset

PARITY_BOUND = 1e-4
"""Greatest difference of an embedding between ONNX Runtime and PyTorch, as a share of its length."""

OPSET = 20
"""What the exporter writes natively; ONNX Runtime 1.31 runs it."""

N_PARITY_ROWS = 512
"""Rows on which the two are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCheck:
    """How far ONNX Runtime is from PyTorch: the greatest difference of an embedding as a share of its length."""

    relative_difference: float
    n_rows: int


def write_artifact(folder: Path, fitted: Fitted, rows: TrainingRows, preset: Preset, *, seed: int) -> EmbedderCard:
    """Export a fitted embedder, check it against PyTorch, and write ``embedder.onnx`` and ``embedder.json``.

    Raises
    ------
    ParityError
        If ONNX Runtime's embeddings differ by more than ``PARITY_BOUND``.
    """
    model = to_onnx(fitted.embedder, rows.fit.vectors.shape[1])
    parity = check_parity(model, fitted.embedder, _parity_rows(rows))
    card = EmbedderCard(
        n_values=rows.fit.vectors.shape[1],
        n_dimensions=preset.settings.network.n_dimensions,
        heat_map_shape=rows.fit.heat_map_shape,
        value_range=rows.value_range,
        normalisation=_normalisation(preset),
        labels=tuple(int(label) for label in np.unique(rows.fit.labels)),
        pass_labels=rows.fit.pass_labels,
        preset=preset.name,
        settings={**asdict(preset.settings), "seed": seed},
        data_fingerprint=rows.fingerprint,
        fit_row_hashes=tuple(sorted(rows.fit.row_hashes())),
        sha256=hashlib.sha256(model).hexdigest(),
        metrics=_metrics(fitted, rows, parity),
        health=_health(rows),
    )
    write_embedder(folder, model, card)
    return card


def to_onnx(embedder: Embedder, n_values: int) -> bytes:
    """Return the embedder as one ONNX file: raw ``vectors`` (batch, V) in, ``embeddings`` (batch, D) out."""
    example = (torch.linspace(0, 1, 2 * n_values).reshape(2, n_values),)
    with _quiet_exporter():
        program = torch.onnx.export(
            embedder.eval(),
            example,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        message = "the exporter gave no program back"
        raise ExportError(message)
    model = program.model_proto
    _forget_origin(model)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def check_parity(model: bytes, embedder: Embedder, vectors: NDArray[np.float32]) -> ParityCheck:
    """Compare ONNX Runtime with PyTorch on raw vectors (N, V).

    Raises
    ------
    ParityError
        If any embedding differs by more than ``PARITY_BOUND`` of its length.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    starts = range(0, len(vectors), BATCH)
    served = np.concatenate([session.run(None, {INPUT_NAME: vectors[at : at + BATCH]})[0] for at in starts])
    fitted = embed(embedder, vectors)
    lengths = np.maximum(np.linalg.norm(fitted, axis=1), np.finfo(np.float32).tiny)
    difference = float((np.linalg.norm(served - fitted, axis=1) / lengths).max())
    if not difference <= PARITY_BOUND:
        raise ParityError(difference=difference, bound=PARITY_BOUND)
    return ParityCheck(relative_difference=difference, n_rows=len(vectors))


def _parity_rows(rows: TrainingRows) -> NDArray[np.float32]:
    measured = rows.calibration if len(rows.calibration) else rows.fit
    return measured.vectors[:: max(len(measured) // N_PARITY_ROWS, 1)]


def _normalisation(preset: Preset) -> str:
    scaled = "value range to 0 … 1"
    kind = preset.settings.network.kind
    if kind == "mlp":
        return scaled
    if kind == "timm":
        return f"{scaled}; three equal channels, less ImageNet's colour means, over its deviations"
    return f"{scaled}; channel 1 on that scale, channel 2 with each map's own mean and deviation taken out"


def _health(rows: TrainingRows) -> InputHealth | None:
    return learn_health(
        rows.fit.vectors,
        rows.fit.labels,
        parts=rows.fit.parts,
        pass_labels=rows.fit.pass_labels,
        shape=rows.fit.heat_map_shape,
        value_range=rows.value_range,
        unseen=rows.calibration.vectors,
    )


def _metrics(fitted: Fitted, rows: TrainingRows, parity: ParityCheck) -> dict[str, Any]:
    score = fitted.score
    return {
        "steps": fitted.n_steps,
        "best_step": fitted.step,
        "mirrors": [mirror.value for mirror in fitted.mirrors],
        "n_fit_rows": len(rows.fit),
        "n_calibration_rows": len(rows.calibration),
        "calibration_accuracy": None if score is None else score.accuracy,
        "calibration_balanced_accuracy": None if score is None else score.balanced_accuracy,
        "parity_relative_difference": parity.relative_difference,
        "parity_rows": parity.n_rows,
    }


def _forget_origin(model: onnx.ModelProto) -> None:
    """Take out where the exporter was run: source paths and traces, which differ from machine to machine."""
    for holder in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        holder.ClearField("doc_string")
        holder.ClearField("metadata_props")
    for one in (*model.graph.input, *model.graph.output):
        one.ClearField("metadata_props")


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's remarks about its own insides from the user; what is exported is checked afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
