"""Small real embedder artifacts, made in a second: linear discriminants as an ONNX graph."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from miwake.indexer.embedder import INPUT_NAME, OUTPUT_NAME, Embedder, EmbedderCard, write_embedder
from miwake.indexer.health.learning import learn_health
from miwake.indexer.splits import divide_for_calibration

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.records import Records


def linear_discriminants(folder: Path, records: Records) -> Embedder:
    """Write and open an embedder that projects on the linear discriminants of the fit rows of ``records``."""
    is_calibration = divide_for_calibration(records.labels, records.parts)
    fit = records.take(~is_calibration)
    low, high = records.value_range or (float(fit.vectors.min()), float(fit.vectors.max()))
    found = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1).fit(
        (fit.vectors - low) / (high - low), fit.labels
    )
    scalings = found.scalings_[:, : len(found.classes_) - 1]
    weights = scalings / (high - low)
    bias = _centre(fit, low, high, scalings)
    model = _graph(weights.astype(np.float32), bias.astype(np.float32))
    settings = {"shrinkage": 0.1}
    return write_model(folder, records, model, weights.shape[1], preset="linear-discriminants", settings=settings)


def write_model(
    folder: Path, records: Records, model: bytes, n_dimensions: int, *, preset: str, settings: dict[str, float]
) -> Embedder:
    """Write and open an artifact of a graph that was fitted to the fit rows of ``records``."""
    is_calibration = divide_for_calibration(records.labels, records.parts)
    fit = records.take(~is_calibration)
    low, high = records.value_range or (float(fit.vectors.min()), float(fit.vectors.max()))
    card = EmbedderCard(
        n_values=records.vectors.shape[1],
        n_dimensions=n_dimensions,
        heat_map_shape=records.heat_map_shape,
        value_range=(low, high),
        normalisation="to 0 … 1 from the value range",
        labels=tuple(int(label) for label in np.unique(fit.labels)),
        pass_labels=records.pass_labels,
        preset=preset,
        settings=settings,
        data_fingerprint="",
        fit_row_hashes=tuple(sorted(fit.row_hashes())),
        sha256=hashlib.sha256(model).hexdigest(),
        health=learn_health(
            fit.vectors,
            fit.labels,
            parts=fit.parts,
            pass_labels=fit.pass_labels,
            shape=fit.heat_map_shape,
            value_range=(low, high),
            unseen=records.take(is_calibration).vectors,
        ),
    )
    write_embedder(folder, model, card)
    return Embedder.open(folder)


def _centre(fit: Records, low: float, high: float, scalings: np.ndarray) -> np.ndarray:
    scaled = (fit.vectors.mean(axis=0, dtype=np.float64) - low) / (high - low)
    return np.asarray(-(scaled + low / (high - low)) @ scalings)


def _graph(weights: np.ndarray, bias: np.ndarray) -> bytes:
    n_values, n_dimensions = weights.shape
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", [INPUT_NAME, "weights", "bias"], ["projected"]),
            helper.make_node("LpNormalization", ["projected"], [OUTPUT_NAME], axis=1, p=2),
        ],
        "linear_discriminants",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", n_values])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", n_dimensions])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
