from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from miwake.inference import grpc_inference_service_pb2 as messages
from miwake.server.batcher import Batcher
from miwake.server.engine import Engine
from miwake.server.errors import RequestError, UnknownGenerationError
from miwake.server.intake import Limits
from miwake.server.open_inference import OpenInferenceService
from miwake.server.stations import Stations
from miwake.server.tensor_outputs import OUTPUTS, RESIDUALS
from miwake.server.tensors import read_vectors
from support.index import N_VALUES, FakeIndex, FakeStore, vector_of

LIMITS = Limits(max_batch=4, max_neighbours=20, max_vectors=100, max_streams=1, stream_window=8)


class Context:
    """What a call's context is asked for."""

    def add_callback(self, callback: Callable[[], None]) -> bool:
        del callback
        return True

    def time_remaining(self) -> float | None:
        return None


@contextmanager
def open_service(index: FakeIndex) -> Iterator[OpenInferenceService]:
    stations = Stations(FakeStore(index), poll_s=1)
    stations.load(Path("store"), ())
    with Batcher(max_batch=LIMITS.max_batch, queue_limit=100) as batcher:
        yield OpenInferenceService(Engine.of(stations, batcher, LIMITS))


def request_of(
    *firsts: float,
    request_id: str = "",
    model_name: str = "",
    model_version: str = "",
) -> messages.ModelInferRequest:
    vectors = np.stack([vector_of(first) for first in firsts])
    request = messages.ModelInferRequest(
        id=request_id, model_name=model_name, model_version=model_version, raw_input_contents=[vectors.tobytes()]
    )
    request.inputs.add(name="vectors", datatype="FP32", shape=vectors.shape)
    return request


def infer(request: messages.ModelInferRequest, index: FakeIndex | None = None) -> messages.ModelInferResponse:
    with open_service(index or FakeIndex()) as service:
        return service.ModelInfer(request, Context())  # type: ignore[arg-type]


def floats(
    response: messages.ModelInferResponse, name: str, kind: str = "<f4"
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    position = [one.name for one in response.outputs].index(name)
    tensor = response.outputs[position]
    return np.frombuffer(response.raw_output_contents[position], dtype=kind).reshape(tuple(tensor.shape))


def read(request: messages.ModelInferRequest) -> list[list[float]]:
    vectors, _ = read_vectors(request, n_values=N_VALUES, max_vectors=100)
    found: list[list[float]] = vectors.tolist()
    return found


def test_all_outputs_come_where_none_is_named() -> None:
    response = infer(request_of(0.125, 0.25))

    assert [one.name for one in response.outputs] == list(OUTPUTS)
    assert all(one.shape[0] == 2 for one in response.outputs)


def test_a_batch_of_several_computed_ones_keeps_its_order() -> None:
    response = infer(request_of(*[row / 16 for row in range(10)]))

    assert floats(response, "novelty").tolist() == [row / 16 for row in range(10)]
    assert floats(response, "anchor_distances").shape == (10, 3)


def test_texts_come_with_their_length_before_each() -> None:
    request = request_of(0.125, 0.25)
    request.outputs.add(name="failure_mode")
    response = infer(request)

    assert response.raw_output_contents == [b"\x06\x00\x00\x00mode 1\x06\x00\x00\x00mode 2"]


def test_what_answered_is_told() -> None:
    response = infer(request_of(0.125, request_id="part 9"))

    assert (response.model_name, response.model_version, response.id) == ("line1", "g000001", "part 9")
    assert response.parameters["revision"].int64_param == 7
    assert response.parameters["threshold_set"].string_param == "t1"


def test_a_station_without_pass_labels_has_no_reject_probability() -> None:
    response = infer(request_of(0.125), FakeIndex(has_pass_labels=False))

    assert np.isnan(floats(response, "reject_probability")).all()


def test_the_number_of_neighbours_is_a_parameter() -> None:
    request = request_of(0.125)
    request.parameters["n_neighbours"].int64_param = 4

    assert floats(infer(request), "neighbour_labels", "<i4").shape == (1, 4)


def test_one_vector_that_cannot_be_judged_refuses_the_request() -> None:
    with pytest.raises(RequestError, match=r"inputs\[0\] row 5: .*\(2 vectors in all\)"):
        infer(request_of(*[0.1] * 5, float("nan"), float("nan")))


def test_a_generation_that_does_not_answer_is_refused() -> None:
    with pytest.raises(UnknownGenerationError, match="answers with generation g000001, not with 'g000002'"):
        infer(request_of(0.1, model_version="g000002"))


@pytest.mark.parametrize(
    ("shape", "n_vectors"), [((N_VALUES,), 1), ((2, N_VALUES), 2), ((2, 2, 2), 2), ((3, 1, N_VALUES), 3)]
)
def test_shapes_of_vectors_and_of_heat_maps_are_taken(shape: tuple[int, ...], n_vectors: int) -> None:
    request = messages.ModelInferRequest(raw_input_contents=[np.zeros(shape, dtype=np.float32).tobytes()])
    request.inputs.add(name="vectors", datatype="FP32", shape=shape)

    assert len(read(request)) == n_vectors


@pytest.mark.parametrize(
    "shape", [(), (0, N_VALUES), (-1, N_VALUES), (2, -2, -2), (1, 1, 1, N_VALUES), (3,), (1, 2**40, 2**40), (5, 3)]
)
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    request = messages.ModelInferRequest(raw_input_contents=[bytes(4 * N_VALUES)])
    request.inputs.add(name="vectors", datatype="FP32", shape=shape)

    with pytest.raises(RequestError, match=r"inputs\[0\].shape: .*, expected \[n, 4\], \[n, rows, columns\] or \[4\]"):
        read(request)


@pytest.mark.parametrize(("datatype", "kind"), [("FP32", "<f4"), ("FP16", "<f2"), ("UINT8", "u1")])
def test_bytes_of_each_type_are_read(datatype: str, kind: str) -> None:
    request = messages.ModelInferRequest(raw_input_contents=[np.array([0, 1, 2, 3], dtype=kind).tobytes()])
    request.inputs.add(name="vectors", datatype=datatype, shape=[1, 4])

    assert read(request) == [[0.0, 1.0, 2.0, 3.0]]


@pytest.mark.parametrize(("datatype", "field"), [("FP32", "fp32_contents"), ("UINT8", "uint_contents")])
def test_values_beside_the_tensor_are_read(datatype: str, field: str) -> None:
    request = messages.ModelInferRequest()
    tensor = request.inputs.add(name="vectors", datatype=datatype, shape=[1, 4])
    getattr(tensor.contents, field).extend([0, 1, 2, 3])

    assert read(request) == [[0.0, 1.0, 2.0, 3.0]]


def broken(**fields: object) -> messages.ModelInferRequest:
    request = request_of(0.5)
    for name, value in fields.items():
        if name == "raw":
            request.raw_input_contents[:] = value  # type: ignore[call-overload]
        else:
            setattr(request.inputs[0], name, value)
    return request


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (messages.ModelInferRequest(), r"inputs: nothing, expected one, 'vectors'"),
        (broken(name="input"), r"inputs: 'input', expected one, 'vectors'"),
        (broken(datatype="FP64"), r"inputs\[0\].datatype: 'FP64', expected one of FP32, FP16, UINT8"),
        (broken(raw=[bytes(6)]), r"raw_input_contents\[0\]: 6 bytes, expected a multiple of 4 for FP32"),
        (broken(raw=[bytes(16), bytes(16)]), r"raw_input_contents: 2, expected one for each input"),
        (broken(raw=[bytes(12)]), r"inputs\[0\].shape: \[1, 4\] of 3 values, expected 4 values"),
        (broken(raw=[], datatype="FP16"), r"raw_input_contents: empty, expected the bytes of FP16 values"),
    ],
    ids=["nothing", "name", "type", "bytes", "too many", "too short", "half floats"],
)
def test_what_is_no_tensor_of_vectors_is_refused(request_: messages.ModelInferRequest, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read(request_)


def test_an_output_that_there_is_not_is_refused() -> None:
    request = request_of(0.5)
    request.outputs.add(name="labels")

    with pytest.raises(RequestError, match="outputs: 'labels', expected some of label, failure_mode"):
        infer(request)


def test_an_unknown_parameter_is_refused() -> None:
    request = request_of(0.5)
    request.parameters["k"].int64_param = 4

    with pytest.raises(RequestError, match=r"parameters\['k'\]: unknown, expected only 'n_neighbours'"):
        infer(request)


def test_a_stream_answers_a_bad_request_with_an_error_and_goes_on() -> None:
    requests = [request_of(0.125), request_of(0.25, model_name="elsewhere", request_id="2"), request_of(0.5)]
    with open_service(FakeIndex()) as service:
        first, bad, last = service.ModelStreamInfer(iter(requests), Context())  # type: ignore[arg-type]

    assert (first.error_message, last.error_message) == ("", "")
    assert "no station 'elsewhere' here" in bad.error_message
    assert bad.infer_response.id == "2"


def with_templates(*firsts: float, templates: list[float], order: slice = slice(None)) -> messages.ModelInferRequest:
    """Return a request of vectors with a template for each, NaN for none; ``order`` turns the inputs round."""
    request = request_of(*firsts)
    golden = np.stack([vector_of(first) for first in templates])
    golden[np.isnan(templates)] = np.nan
    request.inputs.add(name="templates", datatype="FP32", shape=golden.shape)
    request.raw_input_contents.append(golden.tobytes())
    inputs, contents = list(request.inputs)[order], list(request.raw_input_contents)[order]
    return messages.ModelInferRequest(inputs=inputs, raw_input_contents=contents)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_each_vector_is_compared_with_the_template_in_its_row(order: slice) -> None:
    firsts = [row / 16 for row in range(6)]
    response = infer(with_templates(*firsts, templates=[0.5, np.nan, *firsts[:4]], order=order))

    residuals = floats(response, "residuals")
    assert residuals.shape == (6, len(RESIDUALS))
    np.testing.assert_array_equal(residuals[:, 0], [0.0, np.nan, *firsts[2:]])
    np.testing.assert_array_equal(residuals[:, 1], [0.5, np.nan, *firsts[:4]])
    assert [name.decode() for name in response.raw_output_contents[-2].split(b"\x08\0\0\0")] == [
        "",
        "TEMPLATE\x04\0\0\0NONE",
        *["TEMPLATE"] * 4,
    ]


def test_without_templates_no_map_is_compared_with() -> None:
    response = infer(request_of(0.125))

    assert np.isnan(floats(response, "residuals")).all()
    assert response.raw_output_contents[-2] == b"\x04\0\0\0NONE"


def test_a_template_that_cannot_be_used_refuses_the_request() -> None:
    with pytest.raises(RequestError, match=r"inputs\[0\] row 1: template: values 0 … 9 leave the trained range"):
        infer(with_templates(0.5, 0.5, templates=[0.5, 9.0]))


def test_templates_of_another_number_are_refused() -> None:
    with pytest.raises(RequestError, match=r"inputs\[1\].shape: 1 templates, expected 2: one for each vector"):
        infer(with_templates(0.5, 0.5, templates=[0.5]))


@pytest.mark.parametrize(("regards", "inputs"), [("none", ["vectors"]), ("template", ["vectors", "templates"])])
def test_templates_are_told_where_they_are_regarded(regards: Literal["none", "template"], inputs: list[str]) -> None:
    index = FakeIndex()
    index.reference_map = regards
    with open_service(index) as service:
        described = service.ModelMetadata(messages.ModelMetadataRequest(), Context())  # type: ignore[arg-type]

    assert [one.name for one in described.inputs] == inputs
    assert [tuple(one.shape) for one in described.inputs] == [(-1, N_VALUES)] * len(inputs)
