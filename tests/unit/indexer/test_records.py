from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.records import is_pass, row_hash, vector_hash
from support.references import make_records

RECORDS = make_records(["a", "b", "c"], labels=[0, 1, 2])


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([2, 0, 0]), np.array([], dtype=np.intp)])
def test_rows_are_taken_in_the_order_asked_for(rows: np.ndarray) -> None:
    taken = RECORDS.take(rows)

    assert taken.ids == tuple("abc"[row] for row in rows)
    assert taken.failure_modes == tuple(f"mode {row}" for row in rows)
    np.testing.assert_array_equal(taken.labels, rows)
    np.testing.assert_array_equal(taken.vectors, RECORDS.vectors[rows])


def test_rows_are_taken_by_mask() -> None:
    assert RECORDS.take(np.array([True, False, True])).ids == ("a", "c")


def test_taken_rows_are_copies() -> None:
    taken = RECORDS.take(np.array([True, True, True]))

    assert not np.shares_memory(taken.vectors, RECORDS.vectors)
    assert not np.shares_memory(taken.labels, RECORDS.labels)


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match="columns of different lengths, expected 3 rows in each"):
        replace(RECORDS, parts=("one", "two"))


@pytest.mark.parametrize("shape", [(2, 3), (1, 2), (4, 4)])
def test_a_heat_map_shape_that_does_not_fit_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=f"heat map shape {shape[0]} x {shape[1]} does not fit vectors of 4 values"):
        replace(RECORDS, heat_map_shape=shape)


def test_a_row_hash_is_of_the_part_and_the_vector() -> None:
    vector = RECORDS.vectors[0]

    assert RECORDS.row_hashes()[0] == row_hash("part of a", vector_hash(vector))
    assert row_hash("part of a", vector_hash(vector)) != row_hash("part of b", vector_hash(vector))
    assert row_hash("part of a", vector_hash(vector)) != row_hash("part of a", vector_hash(vector + 1))


def test_row_hashes_are_what_they_were_when_they_were_stored() -> None:
    # A stored hash must be recognised by every later release.
    vector = np.arange(4, dtype=np.float32)

    assert row_hash("part 1", vector_hash(vector)) == "6edeae60f64540a6"


def test_a_vector_hash_does_not_depend_on_its_layout() -> None:
    columns = np.asfortranarray(np.arange(8, dtype=np.float32).reshape(2, 4))

    assert vector_hash(columns[1]) == vector_hash(np.array([4, 5, 6, 7], dtype=np.float32))


@pytest.mark.parametrize(
    ("pass_labels", "expected"), [((0,), [True, False, False]), ((1, 2), [False, True, True]), ((), [False] * 3)]
)
def test_only_the_named_labels_mean_pass(pass_labels: tuple[int, ...], expected: list[bool]) -> None:
    assert is_pass(RECORDS.labels, pass_labels).tolist() == expected


def test_rows_are_taken_with_their_templates() -> None:
    records = replace(RECORDS, templates=RECORDS.vectors + 1)

    taken = records.take(np.array([2, 0]))

    np.testing.assert_array_equal(taken.templates, RECORDS.vectors[[2, 0]] + 1)
    assert RECORDS.take(np.array([0])).templates is None


def test_templates_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"templates \(2, 4\), expected \(3, 4\) as vectors"):
        replace(RECORDS, templates=RECORDS.vectors[:2])
