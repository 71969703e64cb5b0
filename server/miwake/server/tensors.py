"""Between the tensors of the Open Inference Protocol and arrays; the only place that touches its messages.

A tensor cannot say that a vector has no verdict without giving it a label that somebody would read as one. So a request
is answered whole or not at all: where one vector cannot be judged, it is refused, and the error names the vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from miwake.inference import grpc_inference_service_pb2 as messages
from miwake.server.errors import RequestError
from miwake.server.tensor_outputs import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch
    from miwake.server.index import Index
    from miwake.server.jobs import Delivery
    from miwake.server.tensor_outputs import Output

VECTORS = "vectors"
TEMPLATES = "templates"
"""An input that may be left out: a template beside each vector, in the same order; all NaN where one brings none."""

N_NEIGHBOURS = "n_neighbours"

DATA_TYPES: Mapping[str, np.dtype[np.generic]] = {
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
    "UINT8": np.dtype("u1"),
}
"""How the bytes of an input are read."""

CONTENTS = {"FP32": "fp32_contents", "UINT8": "uint_contents"}
"""Where the values of an input are that are not sent as bytes; FP16 has no such place in the protocol."""


def read_vectors(
    request: messages.ModelInferRequest, *, n_values: int, max_vectors: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the vectors (Q, V) float32 of a request, and their templates (Q, V) float32 where it brings some.

    Raises
    ------
    RequestError
        If there is not exactly one input ``vectors``, and at most one ``templates`` beside it, of known types, whose
        shapes fit their values and V, and each other.
    """
    names = [one.name for one in request.inputs]
    if sorted(names) not in ([VECTORS], [TEMPLATES, VECTORS]):
        told = ", ".join(map(repr, names[:4])) or "nothing"
        raise RequestError(field="inputs", problem=f"{told}, expected one, {VECTORS!r}, or {TEMPLATES!r} beside it")
    vectors = _read_input(request, names.index(VECTORS), n_values, max_vectors)
    if TEMPLATES not in names:
        return vectors, None
    place = names.index(TEMPLATES)
    templates = _read_input(request, place, n_values, max_vectors)
    if len(templates) != len(vectors):
        problem = f"{len(templates)} templates, expected {len(vectors)}: one for each vector"
        raise RequestError(field=f"inputs[{place}].shape", problem=problem)
    return vectors, templates


def _read_input(
    request: messages.ModelInferRequest, place: int, n_values: int, max_vectors: int
) -> NDArray[np.float32]:
    field, shape = f"inputs[{place}].shape", tuple(request.inputs[place].shape)
    values = _values_of(request, place)
    n_vectors = _n_vectors(shape, n_values, field)
    if n_vectors > max_vectors:
        raise RequestError(field=field, problem=f"{n_vectors} vectors, expected at most {max_vectors}")
    if len(values) != n_vectors * n_values:
        problem = f"{list(shape)} of {len(values)} values, expected {n_vectors * n_values} values"
        raise RequestError(field=field, problem=problem)
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
    # Tools that fill whatever input is named would send templates that nobody regards.
    names = (VECTORS, TEMPLATES) if index.reference_map == "template" else (VECTORS,)
    for name in names:
        described.inputs.add(name=name, datatype="FP32", shape=[-1, index.scale.n_values])
    for name, output in OUTPUTS.items():
        described.outputs.add(name=name, datatype=output.data_type, shape=[-1, *output.dimensions])
    return described


def _values_of(request: messages.ModelInferRequest, place: int) -> NDArray[np.float32]:
    tensor = request.inputs[place]
    kind = DATA_TYPES.get(tensor.datatype)
    if kind is None:
        raise RequestError(
            field=f"inputs[{place}].datatype", problem=f"{tensor.datatype!r}, expected one of {', '.join(DATA_TYPES)}"
        )
    if request.raw_input_contents:
        if len(request.raw_input_contents) != len(request.inputs):
            problem = f"{len(request.raw_input_contents)}, expected one for each input"
            raise RequestError(field="raw_input_contents", problem=problem)
        data = request.raw_input_contents[place]
        if len(data) % kind.itemsize:
            problem = f"{len(data)} bytes, expected a multiple of {kind.itemsize} for {tensor.datatype}"
            raise RequestError(field=f"raw_input_contents[{place}]", problem=problem)
        return np.frombuffer(data, dtype=kind).astype(np.float32)
    field = CONTENTS.get(tensor.datatype)
    if field is None:
        raise RequestError(field="raw_input_contents", problem=f"empty, expected the bytes of {tensor.datatype} values")
    return np.array(getattr(tensor.contents, field), dtype=np.float32)


def _n_vectors(shape: tuple[int, ...], n_values: int, field: str) -> int:
    """Return how many vectors a shape holds: (V), (n, V) or (n, rows, columns)."""
    first, rest = (1, shape) if len(shape) == 1 else (shape[0] if shape else 0, shape[1:])
    fits = len(shape) in (1, 2, 3) and all(1 <= size <= n_values for size in rest) and int(np.prod(rest)) == n_values
    if not fits or first < 1:
        problem = f"{list(shape)}, expected [n, {n_values}], [n, rows, columns] or [{n_values}]"
        raise RequestError(field=field, problem=problem)
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
