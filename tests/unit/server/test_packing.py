from __future__ import annotations

import numpy as np
import pytest

from miwake.inspection.v1 import answer_pb2
from miwake.server.packing import message, packed_floats, packed_labels, rows_of, single_float

FIELDS = answer_pb2.Neighbours


@pytest.mark.parametrize("width", [1, 15, 31, 32, 100, 5000])
def test_packed_floats_are_what_protobuf_itself_would_write(width: int) -> None:
    distances = np.random.default_rng(0).standard_normal((3, width)).astype(np.float32)
    gammas = np.random.default_rng(1).standard_normal((3, 2)).astype(np.float32)

    parts = packed_floats(FIELDS.DISTANCES_FIELD_NUMBER, distances) + packed_floats(FIELDS.GAMMAS_FIELD_NUMBER, gammas)
    encoded = rows_of(parts, 3)

    expected = [
        answer_pb2.Neighbours(distances=distances[row].tolist(), gammas=gammas[row].tolist()).SerializeToString()
        for row in range(3)
    ]
    assert encoded == expected


def test_non_contiguous_rows_are_packed_as_they_read() -> None:
    transposed = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32).T

    (first, _) = rows_of(packed_floats(FIELDS.BETAS_FIELD_NUMBER, transposed), 2)

    assert list(answer_pb2.Neighbours.FromString(first).betas) == [1.0, 3.0]


def test_a_field_number_of_two_bytes_is_packed_too() -> None:
    (encoded,) = rows_of(packed_floats(16, np.zeros((1, 1), dtype=np.float32)), 1)

    assert encoded == b"\x82\x01\x04" + bytes(4)


def test_no_rows_give_no_messages() -> None:
    assert rows_of(packed_floats(FIELDS.BETAS_FIELD_NUMBER, np.empty((0, 3), dtype=np.float32)), 0) == []


@pytest.mark.parametrize("row", [[0, 63, -64], [0], [63] * 200])
def test_labels_near_0_are_what_protobuf_itself_would_write(row: list[int]) -> None:
    parts = packed_labels(answer_pb2.AnchorDistances.LABELS_FIELD_NUMBER, np.array([row, row], dtype=np.int32))
    assert rows_of(parts, 2) == [answer_pb2.AnchorDistances(labels=row).SerializeToString()] * 2


@pytest.mark.parametrize("row", [[0, 64], [-65, 1], [2**31 - 1, -(2**31), 5, 0], [300, 7] * 60])
def test_labels_of_any_size_are_read_as_they_were(row: list[int]) -> None:
    labels = np.array([row, row[::-1]], dtype=np.int32)
    encoded = rows_of(packed_labels(answer_pb2.AnchorDistances.LABELS_FIELD_NUMBER, labels), 2)
    assert [list(answer_pb2.AnchorDistances.FromString(one).labels) for one in encoded] == [row, row[::-1]]


def test_no_labels_are_no_bytes() -> None:
    assert rows_of(packed_labels(1, np.empty((3, 0), dtype=np.int32)), 3) == [b"", b"", b""]


def test_a_message_in_a_message_and_a_float_of_its_own_are_what_protobuf_itself_would_write() -> None:
    fields, values = answer_pb2.Verdict, np.array([0.5, 0.25], dtype=np.float32)
    inner = packed_floats(answer_pb2.AnchorDistances.DISTANCES_FIELD_NUMBER, np.array([[1], [2]], dtype=np.float32))
    parts = single_float(fields.PROBABILITY_FIELD_NUMBER, values) + message(fields.ANCHORS_FIELD_NUMBER, inner)
    expected = [
        answer_pb2.Verdict(probability=0.5, anchors=answer_pb2.AnchorDistances(distances=[1])),
        answer_pb2.Verdict(probability=0.25, anchors=answer_pb2.AnchorDistances(distances=[2])),
    ]
    assert [answer_pb2.Verdict.FromString(one) for one in rows_of(parts, 2)] == expected
