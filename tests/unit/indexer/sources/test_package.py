"""What holds for every kind of source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records
from support.source_files import good_columns, spoilt, to_csv, to_npz, to_parquet, without

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.source_files import Columns

    Write = Callable[[Columns], Path]

WRITERS = [("data.parquet", to_parquet), ("data.csv", to_csv), ("data.npz", to_npz)]
SKIPPING = ReadSettings(skip_bad_rows=True)


@pytest.fixture(params=WRITERS, ids=[name for name, _ in WRITERS])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Return a function that writes columns to a file of each kind in turn."""
    name, writer = request.param
    return lambda columns: writer(tmp_path / name, columns)


def test_every_kind_of_file_gives_the_same_records(write: Write) -> None:
    records = read_records(write(good_columns()))

    np.testing.assert_array_equal(records.vectors, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 8, 7, 6], [2, 4, 6, 8]])
    assert records.vectors.dtype == np.float32
    assert records.vectors.flags.c_contiguous
    assert records.labels.tolist() == [0, 11, 11, 92]
    assert records.labels.dtype == np.int32
    assert records.failure_modes == ("pass", "bent", "bent", "burr")
    assert records.parts == ("p1", "p2", "p2", "p3")
    assert records.groups == ("g1", "g1", "g1", "g2")
    assert records.splits == ("train", "train", "train", "test")
    assert records.ids == ("a", "b", "c", "d")
    assert records.times == ("2026-01-31T12:00:00Z",) * 4
    assert records.heat_map_shape == (2, 2)
    assert records.pass_labels == (0,)
    assert records.value_range is None
    assert records.warnings == ()


def test_without_ids_rows_are_numbered(write: Write) -> None:
    assert read_records(write(without("id"))).ids == ("data:0", "data:1", "data:2", "data:3")


def test_without_parts_a_warning_says_what_that_means(write: Write) -> None:
    (warning,) = read_records(write(without("part"))).warnings

    assert "no part column: rows of one part may fall on both sides of a split" in warning


def test_what_is_not_there_is_not_known(write: Write) -> None:
    records = read_records(write(without("fmode", "part", "group", "split", "id", "time")))

    for column in (records.failure_modes, records.parts, records.groups, records.splits, records.times):
        assert column == ("",) * 4


BAD_ROWS = [
    pytest.param({("data2", 1): float("nan")}, r"row 1, column \S*2\S*: missing or not a number", id="nan"),
    pytest.param({("data2", 1): float("inf")}, r"row 1, column \S*2\S*: inf, expected a finite float32", id="infinity"),
    pytest.param({("data2", 1): float("-inf")}, r"row 1, column \S*2\S*: -inf, expected", id="minus infinity"),
    pytest.param({("data2", 1): 1e39}, r"row 1, column \S*2\S*: inf, expected a finite float32", id="1e39"),
    pytest.param({(f"data{value}", 1): 3.0 for value in range(4)}, "row 1, flat: all 4 values are 3", id="flat"),
    pytest.param({(f"data{value}", 1): 0.0 for value in range(4)}, "row 1, flat: all 4 values are 0", id="all zero"),
    pytest.param({("label", 1): 1.5}, r"row 1, column labels?: '?1\.5'?, expected an integer", id="fractional label"),
    pytest.param({("label", 1): 2**31}, r"row 1, column labels?: 2147483648 is beyond int32", id="label beyond int32"),
    pytest.param({("label", 1): -(2**31) - 1}, r"row 1, column labels?: -2147483649 is beyond", id="label far below"),
    pytest.param({("split", 1): "valid"}, "row 1, split 'valid', expected train, test or nothing", id="split"),
    pytest.param({("id", 1): ""}, "row 1, the id is missing", id="no id"),
    pytest.param({("id", 1): "a"}, "row 1, the id 'a' is that of row 0 too", id="id twice"),
    pytest.param({("time", 1): "noon"}, "row 1, time 'noon', expected ISO 8601", id="time"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_ROWS)
def test_a_bad_row_is_named_by_file_row_and_column(
    write: Write, changes: dict[tuple[str, int], object], message: str
) -> None:
    path = write(spoilt(changes))

    with pytest.raises(DataError, match=message) as raised:
        read_records(path)

    assert str(raised.value).startswith(f"{path}: 1 of 4 rows cannot be used (--skip-bad-rows drops them): row 1, ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("changes", "message"), BAD_ROWS)
def test_a_bad_row_is_dropped_and_reported_where_that_is_wished(
    write: Write, changes: dict[tuple[str, int], object], message: str
) -> None:
    records = read_records(write(spoilt(changes)), SKIPPING)

    assert records.ids == ("a", "c", "d")
    assert records.labels.tolist() == [0, 11, 92]
    assert len(records.warnings) == 1
    assert re.search(f"1 of 4 rows dropped: {message}", records.warnings[0])


def same_vectors(first: int, second: int) -> dict[tuple[str, int], object]:
    columns = good_columns()
    return {(f"data{value}", second): columns[f"data{value}"][first] for value in range(4)}


def test_one_vector_with_two_labels_is_an_error_that_names_both_rows(write: Write) -> None:
    with pytest.raises(
        DataError,
        match=r"2 of 4 rows .*: row 0, label 0, but row 2 has the same vector and label 11; "
        r"row 2, label 11, but row 0 has the same vector and label 0$",
    ):
        read_records(write(spoilt(same_vectors(0, 2))))


def test_of_rows_that_contradict_each_other_all_are_dropped(write: Write) -> None:
    records = read_records(write(spoilt(same_vectors(0, 2))), SKIPPING)

    assert records.ids == ("b", "d")
    assert "2 of 4 rows dropped: row 0, label 0, but row 2" in records.warnings[0]


def test_one_vector_twice_with_one_label_is_kept_and_reported(write: Write) -> None:
    records = read_records(write(spoilt(same_vectors(1, 2))))

    assert len(records) == 4
    assert records.warnings == (f"{records.source}: 1 vector appears more than once: row 1 = row 2",)


def test_a_vector_in_training_and_in_test_is_reported_as_that(write: Write) -> None:
    records = read_records(write(spoilt({**same_vectors(1, 2), ("split", 2): "test", ("part", 2): "p9"})))

    assert "1 vector appears more than once (1 of them in training and in test): row 1 = row 2" in records.warnings[0]


def test_a_dropped_row_contradicts_nobody(write: Write) -> None:
    records = read_records(write(spoilt({**same_vectors(0, 2), ("id", 2): "a"})), SKIPPING)

    assert records.ids == ("a", "b", "d")


def test_rows_keep_their_numbers_in_messages_where_others_are_dropped(write: Write) -> None:
    changes = {**same_vectors(1, 3), ("label", 3): 11, ("id", 0): ""}

    records = read_records(write(spoilt(changes)), SKIPPING)

    assert "row 1 = row 3" in records.warnings[1]


def test_where_no_row_is_left_that_is_an_error(write: Write) -> None:
    path = write(spoilt({("split", row): "no" for row in range(4)}))

    with pytest.raises(DataError, match="no row can be used: row 0, split 'no'"):
        read_records(path, SKIPPING)


def test_many_bad_rows_are_counted_and_the_first_named(tmp_path: Path) -> None:
    columns = {name: values * 5 for name, values in without("id").items()}
    columns["split"] = ["no"] * 20

    with pytest.raises(DataError, match=r"20 of 20 rows .* row 4, split 'no'.*; and 15 more$"):
        read_records(to_parquet(tmp_path / "data.parquet", columns))
