from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from miwake.client.answers import ReferenceMap, Residuals
from miwake.client.errors import InvalidQueryError, ProtocolError
from miwake.client.inspections import Inspection
from miwake.client.options import Evidence
from miwake.client.packed_vectors import pack
from miwake.client.packing import classify_request, search_request
from miwake.client.report import answer_values
from miwake.client.unpacking import unpack_answers
from miwake.client.verifications import verify_request
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2
from support.plain_arrays import in_arrays

VALUES = [0.0, 1.5, 200.0]
GOLDEN = [1.0, 2.0, 3.0]


def array(values: list[float], dtype: DTypeLike = np.float32) -> np.ndarray[tuple[int], np.dtype[Any]]:
    return np.array(values, dtype=dtype)


def classify(vectors: Any, templates: Any) -> list[vector_pb2.InspectionVector]:
    request = classify_request(
        vectors, templates=templates, station="", ids=None, context=None, n_neighbours=None, evidence=None
    )
    return list(inspection_service_pb2.ClassifyRequest.FromString(request.encoded()).vectors)


@pytest.mark.parametrize(
    ("dtype", "template_dtype", "wire_dtype", "data_type"),
    [
        ("<f4", "<f4", "<f4", vector_pb2.DATA_TYPE_FLOAT32),
        ("u1", "u1", "u1", vector_pb2.DATA_TYPE_UINT8),
        ("<f2", "<f2", "<f2", vector_pb2.DATA_TYPE_FLOAT16),
        ("u1", "<f8", "<f4", vector_pb2.DATA_TYPE_FLOAT32),
        ("<f4", "u1", "<f4", vector_pb2.DATA_TYPE_FLOAT32),
        ("<f2", "u1", "<f4", vector_pb2.DATA_TYPE_FLOAT32),
    ],
)
def test_vector_and_template_travel_in_one_type(
    dtype: str, template_dtype: str, wire_dtype: str, data_type: int
) -> None:
    packed = pack(Inspection(vector=array(VALUES, dtype), template=array(GOLDEN, template_dtype)))

    assert packed.message.data_type == data_type
    assert np.frombuffer(packed.message.packed, dtype=wire_dtype).tolist() == array(VALUES, dtype).tolist()
    assert np.frombuffer(packed.message.template, dtype=wire_dtype).tolist() == GOLDEN
    assert packed.size_bytes == 2 * 3 * np.dtype(wire_dtype).itemsize


def test_a_template_of_another_length_is_left_to_the_server() -> None:
    assert len(pack(Inspection(vector=array(VALUES), template=array(GOLDEN[:2]))).message.template) == 8


@pytest.mark.parametrize("template", [array(GOLDEN)[None], np.array(["a", "b"]), array([]), [[1.0], [2.0, 3.0]]])
def test_what_cannot_be_a_template_is_refused_and_named(template: Any) -> None:
    with pytest.raises(InvalidQueryError, match=r"^vector 1: template: "):
        classify([array(VALUES), Inspection(vector=array(VALUES), template=template)], None)


def test_templates_beside_a_batch_are_given_where_they_are_something() -> None:
    templates = np.array([GOLDEN, [np.nan] * 3, [np.nan, 1.0, 2.0]], dtype=np.float32)

    sent = classify(np.array([VALUES] * 3, dtype=np.float32), templates)

    assert [one.template for one in sent] == [templates[0].tobytes(), b"", templates[2].tobytes()]


@pytest.mark.parametrize(
    "template",
    [
        array([]),
        np.full((2, 2), np.nan, dtype=np.float32),
        np.ma.MaskedArray(array([np.nan, np.nan, 1.0]), mask=[False, False, True]),
    ],
)
def test_only_a_whole_row_of_nan_stands_for_no_template(template: Any) -> None:
    with pytest.raises(InvalidQueryError, match=r"^vector 0: template: "):
        classify([array(VALUES)], [template])


def test_a_template_of_the_call_stands_before_that_of_the_item() -> None:
    own = Inspection(vector=array(VALUES), id="own", template=array(GOLDEN))

    sent = classify([own, own, array(VALUES)], [None, array(VALUES), array(GOLDEN)])

    assert [np.frombuffer(one.template, dtype="<f4").tolist() for one in sent] == [GOLDEN, VALUES, GOLDEN]
    assert [one.id for one in sent] == ["own", "own", ""]


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ([array(GOLDEN)], "1 templates, expected 2: one for each vector, None where it has none"),
        (array(GOLDEN[:2]), r"templates of shape \(2,\), expected \(Q, V\)"),
    ],
)
def test_templates_that_do_not_fit_the_batch_are_refused(templates: Any, message: str) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        classify(np.array([VALUES] * 2, dtype=np.float32), templates)


def test_searches_and_pairs_leave_templates_at_home() -> None:
    items = [Inspection(vector=array(VALUES), id="a", template=array(GOLDEN))]

    search = search_request(items, station="", ids=None, context=None, n_neighbours=None)
    pairs = verify_request(items, items, station="", ids=None, context=None, max_false_accept_rate=None).pairs

    assert [one.template for one in (search.vectors[0], pairs[0].query, pairs[0].reference)] == [b""] * 3
    assert search.vectors[0].id == "a"


@pytest.mark.parametrize("wanted", [True, False])
def test_residuals_are_left_out_where_they_are_not_wanted(wanted: bool) -> None:
    request = classify_request(
        [array(VALUES)],
        station="",
        ids=None,
        context=None,
        n_neighbours=None,
        evidence=Evidence(residuals=wanted),
    )

    options = inspection_service_pb2.ClassifyRequest.FromString(request.encoded()).options
    assert options.omit_residuals is not wanted


def response(residuals: answer_pb2.Residuals | None) -> inspection_service_pb2.InspectResponse:
    verdict = answer_pb2.Verdict(
        label=0, decision=answer_pb2.DECISION_PASS, probability=1, margin=1, novelty=0, residuals=residuals
    )
    answers, arrays = in_arrays([answer_pb2.Answer(verdict=verdict)])
    return inspection_service_pb2.InspectResponse(answers=answers, provenance=answer_pb2.Provenance(), arrays=arrays)


def residuals_of(reference: int) -> answer_pb2.Residuals:
    return answer_pb2.Residuals(
        reference=reference,  # type: ignore[arg-type] # unknown ones too
        shift_rows=-2,
        shift_columns=0,
        beta=0.5,
        eta=0.25,
        gamma=0.125,
        l2=2.0,
        l6=1.5,
        largest=1.25,
        standardised_l2=4.0,
        standardised_l6=3.0,
        standardised_largest=2.5,
    )


@pytest.mark.parametrize(
    ("sent", "reference"), [(1, ReferenceMap.TEMPLATE), (2, ReferenceMap.CLASS_MEAN), (9, ReferenceMap.UNSPECIFIED)]
)
def test_residuals_come_by_name(sent: int, reference: ReferenceMap) -> None:
    [answer] = unpack_answers(response(residuals_of(sent)), 0)

    assert answer.verdict is not None
    found = answer.verdict.residuals
    assert found is not None
    assert (found.reference, found.shift_rows, found.shift_columns) == (reference, -2, 0)
    assert (found.beta, found.eta, found.gamma) == (0.5, 0.25, 0.125)
    assert (found.l2, found.l6, found.largest) == (2.0, 1.5, 1.25)
    assert (found.standardised_l2, found.standardised_l6, found.standardised_largest) == (4.0, 3.0, 2.5)


def test_a_vector_that_was_compared_with_no_map_has_no_residuals() -> None:
    [answer] = unpack_answers(response(None), 0)

    assert answer.verdict is not None
    assert answer.verdict.residuals is None


def test_residuals_of_which_some_are_missing_break_the_contract() -> None:
    torn = residuals_of(1)
    torn.ClearField("l6")
    [answer] = unpack_answers(response(torn), 0)

    assert answer.verdict is not None
    assert answer.verdict.residuals is not None
    with pytest.raises(ProtocolError, match="answer 0: residuals without l6"):
        _ = answer.verdict.residuals.beta


def test_residuals_are_reported_by_name() -> None:
    [answer] = unpack_answers(response(residuals_of(1)), 0)

    found = answer_values(answer)["residuals"]

    assert list(found) == list(Residuals.__dataclass_fields__)
    assert (found["reference"], found["shift_rows"], found["beta"]) == ("TEMPLATE", -2, 0.5)
