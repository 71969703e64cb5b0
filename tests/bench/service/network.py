"""A network of the classic shape and cost, V → 512 → 256 → 128 with ReLUs between, made without training.

It computes a linear map: since ReLU(x) - ReLU(-x) = x, every layer carries each direction twice, once with either sign.
The map is the linear discriminants of the fit rows and, weakly, their principal components.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from miwake.indexer.embedder import INPUT_NAME, OUTPUT_NAME
from miwake.indexer.splits import divide_for_calibration
from support.embedders import write_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.embedder import Embedder
    from miwake.indexer.records import Records

    Array = NDArray[np.float64]

WIDTHS = (512, 256, 128)
"""Of the layers."""

WEAK = 0.1
"""What a direction counts that tells no classes apart, against one that does."""


class Layer(NamedTuple):
    """Weights (inputs, outputs) and bias (outputs,)."""

    weights: Array
    bias: Array


def write_network(folder: Path, records: Records) -> Embedder:
    """Write and open an embedder of these widths, fitted to the fit rows of ``records``."""
    fit = records.take(~divide_for_calibration(records.labels, records.parts))
    low, high = records.value_range or (float(fit.vectors.min()), float(fit.vectors.max()))
    (weights, bias), *others = _layers((fit.vectors.astype(np.float64) - low) / (high - low), fit.labels)
    scaled = Layer(weights / (high - low), bias - low / (high - low) * weights.sum(axis=0))
    return write_model(folder, records, _graph([scaled, *others]), WIDTHS[-1], preset="linear", settings={"weak": WEAK})


def _layers(vectors: Array, labels: NDArray[np.int32]) -> list[Layer]:
    n_axes, n_out = WIDTHS[0] // 2, WIDTHS[2]
    mean = vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(np.cov((vectors - mean).T))
    axes = axes[:, ::-1][:, :n_axes]
    narrow = _directions((vectors - mean) @ axes, labels)
    return [
        Layer(np.hstack([axes, -axes]), np.concatenate([-mean @ axes, mean @ axes])),
        Layer(np.block([[narrow, -narrow], [-narrow, narrow]]), np.zeros(WIDTHS[1])),
        Layer(np.vstack([np.eye(n_out), -np.eye(n_out)]), np.zeros(n_out)),
    ]


def _directions(projected: Array, labels: NDArray[np.int32]) -> Array:
    """Return (axes, 128): the discriminants at a usual length of 1, and the first axes at ``WEAK``."""
    found = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1).fit(projected, labels)
    telling = found.scalings_[:, : len(found.classes_) - 1]
    telling = telling * np.sqrt(len(projected)) / np.linalg.norm(projected @ telling, axis=0).mean()
    n_axes, n_weak = projected.shape[1], WIDTHS[2] - telling.shape[1]
    weak = np.eye(n_axes, n_weak) * WEAK / projected[:, :n_weak].std(axis=0)
    return np.hstack([telling, weak])


def _graph(layers: list[Layer]) -> bytes:
    names = [INPUT_NAME, *(f"layer{number}" for number in range(1, len(layers))), OUTPUT_NAME]
    nodes, values = [], []
    for number, ((come, go), layer) in enumerate(zip(pairwise(names), layers, strict=True)):
        is_first, is_last = number == 0, number == len(layers) - 1
        told = [come if is_first else f"{come}-relu", f"weights{number}", f"bias{number}"]
        nodes.append(helper.make_node("Gemm", told, [go]))
        if not is_last:
            nodes.append(helper.make_node("Relu", [go], [f"{go}-relu"]))
        values.append(numpy_helper.from_array(layer.weights.astype(np.float32), f"weights{number}"))
        values.append(numpy_helper.from_array(layer.bias.astype(np.float32), f"bias{number}"))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", len(layers[0].weights)])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", len(layers[-1].bias)])],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
