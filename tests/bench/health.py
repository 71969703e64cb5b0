"""The health of an input: what it costs beside an embedder, and what it sees of a blur on real parts if there are any.

``python -m bench.disturbances`` shows every disturbance against every statistic.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import roc_auc_score

from bench.timing import median_seconds
from miwake.indexer.answers import HealthStatistic
from miwake.indexer.health import plain
from miwake.indexer.health.learning import learn_health
from miwake.indexer.health.limits import HealthGauge
from miwake.indexer.records import is_pass
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from miwake.indexer.splits import divide_for_calibration, held_out_split
from miwake.indexer.synthetic.generator import generate
from support.data import DEFAULT_FOLDER, VARIABLE
from support.disturbances import disturbed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.health.limits import InputHealth
    from miwake.indexer.records import Records

DATA = {"deeppcb": "deeppcb_36x39", "magnetic_tile": "magnetic_tile_36x39", "fashion_mnist": "fashion_mnist_36x39"}
BLUR = "blur, sigma 1"
MLP_WIDTHS = (1404, 512, 256, 128)
BATCH, N_ROUNDS, N_IN_A_ROW = 64, 41, 5
MICROSECONDS = 1e6


def measure() -> dict[str, float]:
    """Return times a vector in µs and, of each data set there is, alarms on held-out parts and AUROCs of a blur."""
    found = _times()
    folder = Path(os.environ.get(VARIABLE) or DEFAULT_FOLDER)
    for name, file in DATA.items():
        path = folder / f"{file}.parquet"
        if path.is_file():
            found |= {f"{name}_{key}": value for key, value in _seen(str(path)).items()}
    return found


def learn(training: Records) -> tuple[InputHealth, HealthGauge]:
    """Return what is ordinary by the fit parts of training rows, and the gauge that tells it."""
    is_calibration = divide_for_calibration(training.labels, training.parts)
    fit = training.take(~is_calibration)
    value_range = training.value_range or (float(fit.vectors.min()), float(fit.vectors.max()))
    health = learn_health(
        fit.vectors,
        fit.labels,
        parts=fit.parts,
        pass_labels=fit.pass_labels,
        shape=fit.heat_map_shape,
        value_range=value_range,
        unseen=training.take(is_calibration).vectors,
    )
    if health is None:
        message = f"{training.source}: too few rows to learn what is ordinary"
        raise ValueError(message)
    return health, HealthGauge(health, fit.heat_map_shape, value_range)


def alarms(deviations: NDArray[np.float32]) -> float:
    """Return the share of rows with a statistic beyond its limit."""
    return float((np.abs(deviations) > 1).any(axis=1).mean()) if len(deviations) else float("nan")


def high_pass_energy(vectors: NDArray[np.floating[Any]], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the mean squared Laplacian, the plain measure of focus that ``focus`` is compared with."""
    maps = vectors.reshape(-1, *shape).astype(np.float64)
    inner = maps[:, 1:-1, 1:-1]
    beside = maps[:, :-2, 1:-1] + maps[:, 2:, 1:-1] + maps[:, 1:-1, :-2] + maps[:, 1:-1, 2:]
    return np.asarray(np.square(4 * inner - beside).mean(axis=(1, 2)))


def auroc(ordinary: NDArray[np.floating], ill: NDArray[np.floating]) -> float:
    """Return the probability that an ill input has a larger value than an ordinary one."""
    truth = np.repeat([0, 1], [len(ordinary), len(ill)])
    return float(roc_auc_score(truth, np.concatenate([ordinary, ill])))


def _times() -> dict[str, float]:
    training, test = held_out_split(generate(n_parts=300, seed=1))
    health, gauge = learn(training)
    vectors = test.vectors[np.arange(BATCH) % len(test)]
    anchor = np.array(health.anchor)
    shape, value_range = test.heat_map_shape, test.value_range or (0.0, 255.0)
    mlp = _mlp()
    seconds = median_seconds(
        {
            "mlp": lambda _: mlp.run(None, {"vectors": vectors}),
            "gauge": lambda _: gauge.deviations(vectors),
            "plain": lambda _: plain.statistics(vectors, anchor, shape, value_range),
            "gauge_of_one": lambda _: gauge.deviations(vectors[:1]),
        },
        n_rounds=N_ROUNDS,
        n_in_a_row=N_IN_A_ROW,
    )
    times = {name: MICROSECONDS * value / (1 if name == "gauge_of_one" else BATCH) for name, value in seconds.items()}
    return {"share_of_mlp": times["gauge"] / times["mlp"], **{f"{name}_us": value for name, value in times.items()}}


def _mlp() -> onnxruntime.InferenceSession:
    """Return the MLP of the classic recipe with random weights, on one thread."""
    random = np.random.default_rng(0)
    nodes, weights, name = [], [], "vectors"
    for layer, (width, next_width) in enumerate(pairwise(MLP_WIDTHS)):
        values = random.standard_normal((width, next_width)).astype(np.float32) / np.float32(np.sqrt(width))
        weights.append(numpy_helper.from_array(values, f"weights{layer}"))
        nodes.append(helper.make_node("MatMul", [name, f"weights{layer}"], [f"sum{layer}"]))
        nodes.append(helper.make_node("Relu", [f"sum{layer}"], [f"layer{layer}"]))
        name = f"layer{layer}"
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", MLP_WIDTHS[0]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", MLP_WIDTHS[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _seen(source: str) -> dict[str, float]:
    training, test = held_out_split(read_records(source, ReadSettings()))
    health, gauge = learn(training)
    passes = is_pass(test.labels, test.pass_labels)
    rejects = test.take(~passes)
    blurred = disturbed(rejects, BLUR)
    ordinary, ill = gauge.deviations(test.vectors), gauge.deviations(blurred)
    shape = test.heat_map_shape
    found = {
        "alarms": alarms(ordinary),
        "blur_seen": alarms(ill),
        "blur_auroc_focus": auroc(-ordinary[:, HealthStatistic.FOCUS], -ill[:, HealthStatistic.FOCUS]),
        "blur_auroc_high_pass": auroc(-high_pass_energy(test.vectors, shape), -high_pass_energy(blurred, shape)),
    }
    if passes.any():
        found |= {"alarms_passes": alarms(ordinary[passes]), "alarms_rejects": alarms(ordinary[~passes])}
    if health.false_alarms is not None:
        found["alarms_calibration"] = health.false_alarms
    return found
