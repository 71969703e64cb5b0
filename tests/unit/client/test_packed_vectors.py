from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from miwake.client.errors import InvalidQueryError
from miwake.client.inspections import Inspection, InspectionContext
from miwake.client.packed_vectors import pack
from miwake.client.packing import classify_request
from miwake.inspection.v1 import inspection_service_pb2, vector_pb2

VALUES = [0.0, 1.5, 200.0]


@pytest.mark.parametrize(
    ("sent_dtype", "wire_dtype", "data_type"),
    [
        ("<f4", "<f4", vector_pb2.DATA_TYPE_FLOAT32),
        (">f4", "<f4", vector_pb2.DATA_TYPE_FLOAT32),
        ("<f2", "<f2", vector_pb2.DATA_TYPE_FLOAT16),
        ("<f8", "<f4", vector_pb2.DATA_TYPE_FLOAT32),
        ("longdouble", "<f4", vector_pb2.DATA_TYPE_FLOAT32),
        ("u1", "u1", vector_pb2.DATA_TYPE_UINT8),
    ],
)
def test_numbers_travel_as_they_are_or_as_float32(sent_dtype: str, wire_dtype: str, data_type: int) -> None:
    vector = np.array(VALUES, dtype=sent_dtype)

    packed = pack(vector)

    expected = np.array(VALUES, dtype=sent_dtype).astype(wire_dtype)
    assert packed.data_type == data_type
    assert np.frombuffer(packed.packed, dtype=wire_dtype).tolist() == expected.tolist()
    assert packed.size_bytes == expected.nbytes


def test_a_strided_vector_travels_value_by_value() -> None:
    vector = np.arange(10, dtype=np.float32)[::3]

    assert np.frombuffer(pack(vector).packed, dtype="<f4").tolist() == [0.0, 3.0, 6.0, 9.0]


def test_a_float64_beyond_float32_is_sent_as_infinity_for_the_server_to_refuse() -> None:
    packed = pack(np.array([1e300, 1.0]))

    assert np.frombuffer(packed.packed, dtype="<f4").tolist() == [np.inf, 1.0]


def test_an_item_brings_its_id_and_context() -> None:
    inspected_at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=9)))
    context = InspectionContext(part_id="p", job_id="j", inspected_at=inspected_at, is_simulated=False)

    message = pack(Inspection(vector=np.array(VALUES), id="見分け", context=context)).message

    assert message.id == "見分け"
    assert (message.context.part_id, message.context.job_id, message.context.recipe_id) == ("p", "j", "")
    assert message.context.HasField("is_simulated")
    assert message.context.inspected_at.ToDatetime(UTC) == inspected_at


def test_an_item_without_context_sends_none() -> None:
    message = pack(np.array(VALUES)).message

    assert message.id == ""
    assert not message.HasField("context")


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        (np.zeros((2, 3), dtype=np.float32), r"a vector of shape \(2, 3\), expected \(V,\)"),
        (np.zeros(0, dtype=np.float32), r"a vector of shape \(0,\), expected \(V,\)"),
        (np.float32(1), r"a vector of shape \(\), expected \(V,\)"),
        (np.zeros(3, dtype=np.int64), r"a vector of int64, expected float16, float32, float64 or uint8"),
        (np.zeros(3, dtype=np.bool_), "a vector of bool, expected"),
        (np.zeros(3, dtype=np.complex64), "a vector of complex64, expected"),
        (np.array(["a", "b"]), "a vector of <U1, expected"),
        (np.array([1.0, None]), "a vector of object, expected"),
        ([1.0, [2.0, 3.0]], "not an array of numbers: "),
        (np.ma.MaskedArray([1.0, 2.0], mask=[False, True]), "a masked array, expected a plain one"),
    ],
)
def test_what_is_no_vector_is_refused(vector: Any, expected: str) -> None:
    with pytest.raises(InvalidQueryError, match=expected):
        pack(vector)


@pytest.mark.parametrize("name", [7, "\ud800"])
def test_an_id_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(InvalidQueryError, match=r"id .*: expected text"):
        pack(Inspection(vector=np.array(VALUES), id=name))


def test_a_context_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidQueryError):
        pack(Inspection(vector=np.array(VALUES), context=InspectionContext(part_id=7)))  # type: ignore[arg-type]


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(InvalidQueryError, match="inspected_at 2026-01-02T00:00:00 bears no time zone"):
        InspectionContext(inspected_at=datetime(2026, 1, 2))


def test_times_are_kept_in_utc() -> None:
    inspected_at = datetime(2026, 1, 2, 9, tzinfo=timezone(timedelta(hours=9)))

    assert InspectionContext(inspected_at=inspected_at).inspected_at == datetime(2026, 1, 2, tzinfo=UTC)


def classify(vectors: Any, ids: list[str] | None = None) -> Any:
    request = classify_request(vectors, station="s", ids=ids, context=None, n_neighbours=None)
    return inspection_service_pb2.ClassifyRequest.FromString(request.encoded())


def test_a_batch_keeps_its_order_and_its_ids() -> None:
    request = classify(np.array([VALUES, VALUES[::-1]]), ids=["a", "b"])

    assert request.station == "s"
    assert [vector.id for vector in request.vectors] == ["a", "b"]
    assert np.frombuffer(request.vectors[1].packed, dtype="<f4").tolist() == VALUES[::-1]
    assert not request.options.HasField("n_neighbours")
    assert not request.HasField("context")


def test_a_single_vector_is_no_batch() -> None:
    with pytest.raises(InvalidQueryError, match=r"vectors of shape \(3,\), expected \(Q, V\)"):
        classify(np.array(VALUES))


def test_a_batch_with_too_few_ids_is_refused() -> None:
    with pytest.raises(InvalidQueryError, match="1 ids, expected 2: one for each vector"):
        classify(np.array([VALUES, VALUES]), ids=["a"])


def test_a_bad_vector_of_a_batch_is_named_by_its_position() -> None:
    with pytest.raises(InvalidQueryError, match=r"vector 1: a vector of shape \(0,\)"):
        classify([np.array(VALUES), np.array([])])


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", "u1"])
@pytest.mark.parametrize("ids", [None, ["a", "見分け"]])
def test_the_rows_of_an_array_travel_as_they_do_one_by_one(dtype: str, ids: list[str] | None) -> None:
    vectors = np.array([VALUES * 2, VALUES[::-1] * 2], dtype=dtype)[:, ::2]

    assert classify(vectors, ids) == classify(list(vectors), ids)


def test_an_array_of_no_numbers_or_without_columns_is_refused_by_its_first_vector() -> None:
    with pytest.raises(InvalidQueryError, match="vector 0: a vector of int64, expected float16"):
        classify(np.zeros((2, 3), dtype=np.int64))
    with pytest.raises(InvalidQueryError, match=r"vector 0: a vector of shape \(0,\)"):
        classify(np.zeros((2, 0), dtype=np.float32))
    with pytest.raises(InvalidQueryError, match="vector 0: a masked array"):
        classify(np.ma.MaskedArray(np.ones((2, 3)), mask=np.eye(2, 3, dtype=bool)))


def test_an_id_of_a_batch_that_is_no_text_is_named_by_its_position() -> None:
    with pytest.raises(InvalidQueryError, match="vector 1: id 7: expected text"):
        classify(np.array([VALUES, VALUES]), ids=["a", 7])  # type: ignore[list-item]


def test_a_vector_that_is_handed_over_does_not_change_with_the_callers_array() -> None:
    vector = np.array(VALUES, dtype=np.float32)
    packed = pack(vector)
    vector[:] = 9

    assert np.frombuffer(packed.packed, dtype="<f4").tolist() == VALUES


def test_a_vector_is_the_same_in_a_request_as_in_a_message_of_its_own() -> None:
    item = Inspection(
        vector=np.array(VALUES), id="a", context=InspectionContext(job_id="j"), template=np.array(VALUES[::-1])
    )

    assert classify([item]).vectors[0] == pack(item).message
