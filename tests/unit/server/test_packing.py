from __future__ import annotations

import numpy as np
import pytest

from miwake.inspection.v1 import answer_pb2
from miwake.server.packing import packed_floats, packed_labels

FIELDS = answer_pb2.Neighbours


@pytest.mark.parametrize("width", [1, 15, 31, 32, 100, 5000])
def test_packed_floats_are_what_protobuf_itself_would_write(width: int) -> None:
    distances = np.random.default_rng(0).standard_normal((3, width)).astype(np.float32)
    gammas = np.random.default_rng(1).standard_normal((3, 2)).astype(np.float32)

    encoded = packed_floats({FIELDS.DISTANCES_FIELD_NUMBER: distances, FIELDS.GAMMAS_FIELD_NUMBER: gammas})

    expected = [
        answer_pb2.Neighbours(distances=distances[row].tolist(), gammas=gammas[row].tolist()).SerializeToString()
        for row in range(3)
    ]
    assert encoded == expected


def test_non_contiguous_rows_are_packed_as_they_read() -> None:
    transposed = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32).T

    (first, _) = packed_floats({FIELDS.BETAS_FIELD_NUMBER: transposed})

    assert list(answer_pb2.Neighbours.FromString(first).betas) == [1.0, 3.0]


def test_a_field_number_of_two_bytes_is_packed_too() -> None:
    (encoded,) = packed_floats({16: np.zeros((1, 1), dtype=np.float32)})

    assert encoded == b"\x82\x01\x04" + bytes(4)


def test_no_rows_give_no_messages() -> None:
    assert packed_floats({FIELDS.BETAS_FIELD_NUMBER: np.empty((0, 3), dtype=np.float32)}) == []


@pytest.mark.parametrize("row", [[0, 63, -64], [0, 64], [-65, 1], [2**31 - 1, -(2**31), 5], [300] * 60])
def test_labels_are_encoded_as_protobuf_encodes_them(row: list[int]) -> None:
    encoded = packed_labels(answer_pb2.AnchorDistances.LABELS_FIELD_NUMBER, np.array([row, row], dtype=np.int32))
    assert encoded == [answer_pb2.AnchorDistances(labels=row).SerializeToString()] * 2


def test_no_labels_are_no_bytes() -> None:
    assert packed_labels(1, np.empty((3, 0), dtype=np.int32)) == [b"", b"", b""]
