"""Between the tensors of the Open Inference Protocol and arrays; the only place that touches its messages.

A tensor cannot say that a vector has no verdict without giving it a label that somebody would read as one. So a request
is answered whole or not at all: where one vector cannot be judged, it is refused, and the error names the vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from miwake.indexer.answers import Decision
from miwake.inference import grpc_inference_service_pb2 as messages
from miwake.server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch
    from miwake.server.index import Index
    from miwake.server.jobs import Delivery

INPUT = "vectors"
N_NEIGHBOURS = "n_neighbours"

DATA_TYPES: Mapping[str, np.dtype[np.generic]] = {
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
    "UINT8": np.dtype("u1"),
}
"""How the bytes of an input are read."""

CONTENTS = {"FP32": "fp32_contents", "UINT8": "uint_contents"}
"""Where the values of an input are that are not sent as bytes; FP16 has no such place in the protocol."""


class Output(NamedTuple):
    """One output: its data type, its dimensions after the first, and how it is taken from verdicts."""

    data_type: str
    dimensions: tuple[int, ...]
    take: Callable[[VerdictBatch], NDArray[np.generic] | Sequence[object]]


def _reject_probabilities(batch: VerdictBatch) -> NDArray[np.float32]:
    found = batch.reject_probabilities
    return np.full(len(batch), np.nan, dtype=np.float32) if found is None else found


OUTPUTS: Mapping[str, Output] = {
    "label": Output("INT32", (), lambda batch: batch.labels),
    "failure_mode": Output("BYTES", (), lambda batch: batch.failure_modes),
    "decision": Output("BYTES", (), lambda batch: [Decision(code).name for code in batch.decisions.tolist()]),
    "probability": Output("FP32", (), lambda batch: batch.probabilities),
    "reject_probability": Output("FP32", (), _reject_probabilities),
    "margin": Output("FP32", (), lambda batch: batch.margins),
    "novelty": Output("FP32", (), lambda batch: batch.novelty),
    "anchor_labels": Output("INT32", (-1,), lambda batch: batch.anchor_labels),
    "anchor_distances": Output("FP32", (-1,), lambda batch: batch.anchor_distances),
    "neighbour_ids": Output("BYTES", (-1,), lambda batch: batch.neighbours.ids),
    "neighbour_labels": Output("INT32", (-1,), lambda batch: batch.neighbours.labels),
    "neighbour_distances": Output("FP32", (-1,), lambda batch: batch.neighbours.distances),
    "neighbour_betas": Output("FP32", (-1,), lambda batch: batch.neighbours.beta),
    "neighbour_etas": Output("FP32", (-1,), lambda batch: batch.neighbours.eta),
    "neighbour_gammas": Output("FP32", (-1,), lambda batch: batch.neighbours.gamma),
    "neighbour_match_distances": Output("FP32", (-1,), lambda batch: batch.neighbours.match_distances),
}
"""Every output by name. ``reject_probability`` is NaN where the station has no pass labels."""


def read_vectors(request: messages.ModelInferRequest, *, n_values: int, max_vectors: int) -> NDArray[np.float32]:
    """Return the vectors (Q, V) float32 of a request.

    Raises
    ------
    RequestError
        If there is not exactly one input ``vectors`` of a known type, whose shape fits its values and V.
    """
    if [one.name for one in request.inputs] != [INPUT]:
        names = ", ".join(repr(one.name) for one in request.inputs[:4]) or "nothing"
        raise RequestError(field="inputs", problem=f"{names}, expected one, {INPUT!r}")
    tensor = request.inputs[0]
    values = _values_of(request)
    n_vectors = _n_vectors(tuple(tensor.shape), n_values)
    if n_vectors > max_vectors:
        raise RequestError(field="inputs[0].shape", problem=f"{n_vectors} vectors, expected at most {max_vectors}")
    if len(values) != n_vectors * n_values:
        problem = f"{list(tensor.shape)} of {len(values)} values, expected {n_vectors * n_values} values"
        raise RequestError(field="inputs[0].shape", problem=problem)
    return values.reshape(n_vectors, n_values)


def read_n_neighbours(request: messages.ModelInferRequest) -> int | None:
    """Return how many neighbours are wanted, None where nothing is said.

    Raises
    ------
    RequestError
        If a parameter is unknown, or the number is none.
    """
    unknown = sorted(set(request.parameters) - {N_NEIGHBOURS})
    if unknown:
        raise RequestError(field=f"parameters[{unknown[0]!r}]", problem=f"unknown, expected only {N_NEIGHBOURS!r}")
    if N_NEIGHBOURS not in request.parameters:
        return None
    given = request.parameters[N_NEIGHBOURS]
    kind = given.WhichOneof("parameter_choice")
    if kind not in ("int64_param", "uint64_param"):
        raise RequestError(field=f"parameters[{N_NEIGHBOURS!r}]", problem=f"{kind}, expected int64_param")
    return int(getattr(given, kind))


def wanted_outputs(request: messages.ModelInferRequest) -> tuple[str, ...]:
    """Return the names of the outputs that a request wants; all of them where it names none.

    Raises
    ------
    RequestError
        If there is none of that name.
    """
    names = tuple(one.name for one in request.outputs) or tuple(OUTPUTS)
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown:
        raise RequestError(field="outputs", problem=f"{unknown[0]!r}, expected some of {', '.join(OUTPUTS)}")
    return names


def infer_response(
    request: messages.ModelInferRequest, deliveries: Sequence[Delivery], names: Sequence[str]
) -> messages.ModelInferResponse:
    """Return the answer to a request from all deliveries of its verdicts.

    Raises
    ------
    RequestError
        If a vector cannot be judged.
    """
    _refuse_failures(deliveries)
    index = deliveries[0].index
    response = messages.ModelInferResponse(model_name=index.station, model_version=index.generation, id=request.id)
    response.parameters["revision"].int64_param = index.revision
    response.parameters["embedder"].string_param = index.embedder_id
    response.parameters["threshold_set"].string_param = index.threshold_set
    for name in names:
        _add_output(response, name, OUTPUTS[name], deliveries)
    return response


def metadata(index: Index) -> messages.ModelMetadataResponse:
    """Return what a station takes and gives."""
    described = messages.ModelMetadataResponse(name=index.station, versions=[index.generation], platform="miwake")
    described.inputs.add(name=INPUT, datatype="FP32", shape=[-1, index.scale.n_values])
    for name, output in OUTPUTS.items():
        described.outputs.add(name=name, datatype=output.data_type, shape=[-1, *output.dimensions])
    return described


def _values_of(request: messages.ModelInferRequest) -> NDArray[np.float32]:
    tensor = request.inputs[0]
    kind = DATA_TYPES.get(tensor.datatype)
    if kind is None:
        raise RequestError(
            field="inputs[0].datatype", problem=f"{tensor.datatype!r}, expected one of {', '.join(DATA_TYPES)}"
        )
    if request.raw_input_contents:
        if len(request.raw_input_contents) != 1:
            problem = f"{len(request.raw_input_contents)}, expected one for each input"
            raise RequestError(field="raw_input_contents", problem=problem)
        data = request.raw_input_contents[0]
        if len(data) % kind.itemsize:
            problem = f"{len(data)} bytes, expected a multiple of {kind.itemsize} for {tensor.datatype}"
            raise RequestError(field="raw_input_contents[0]", problem=problem)
        return np.frombuffer(data, dtype=kind).astype(np.float32)
    field = CONTENTS.get(tensor.datatype)
    if field is None:
        raise RequestError(field="raw_input_contents", problem=f"empty, expected the bytes of {tensor.datatype} values")
    return np.array(getattr(tensor.contents, field), dtype=np.float32)


def _n_vectors(shape: tuple[int, ...], n_values: int) -> int:
    """Return how many vectors a shape holds: (V), (n, V) or (n, rows, columns)."""
    first, rest = (1, shape) if len(shape) == 1 else (shape[0] if shape else 0, shape[1:])
    fits = len(shape) in (1, 2, 3) and all(1 <= size <= n_values for size in rest) and int(np.prod(rest)) == n_values
    if not fits or first < 1:
        problem = f"{list(shape)}, expected [n, {n_values}], [n, rows, columns] or [{n_values}]"
        raise RequestError(field="inputs[0].shape", problem=problem)
    return first


def _refuse_failures(deliveries: Sequence[Delivery]) -> None:
    failures = {
        answered.items.first_sequence + position: failure
        for delivery in deliveries
        for answered in delivery.answered
        for position, failure in answered.failures.items()
    }
    if failures:
        row = min(failures)
        others = f" ({len(failures)} vectors in all)" if len(failures) > 1 else ""
        raise RequestError(field=f"inputs[0] row {row}", problem=f"{failures[row].message}{others}")


def _add_output(
    response: messages.ModelInferResponse, name: str, output: Output, deliveries: Sequence[Delivery]
) -> None:
    parts = [
        np.asarray(output.take(cast("VerdictBatch", part.results.batch))[part.start : part.stop])
        for delivery in deliveries
        for answered in delivery.answered
        for part in answered.slices
    ]
    values = np.concatenate(parts)
    response.outputs.add(name=name, datatype=output.data_type, shape=values.shape)
    response.raw_output_contents.append(_bytes_of(values, output.data_type))


def _bytes_of(values: NDArray[np.generic], data_type: str) -> bytes:
    if data_type == "BYTES":
        return b"".join(_length_and_text(values.ravel().tolist()))
    return values.astype("<i4" if data_type == "INT32" else "<f4").tobytes()


def _length_and_text(texts: Iterable[str]) -> Iterable[bytes]:
    for text in texts:
        encoded = text.encode()
        yield len(encoded).to_bytes(4, "little")
        yield encoded
