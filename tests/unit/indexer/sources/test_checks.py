from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records
from support.parts_table import Columns, columns, vectors, with_cell, write_table

if TYPE_CHECKING:
    from pathlib import Path

RANGE = {"value_range": "[0, 255]"}
SKIP = ReadSettings(skip_bad_rows=True)


def flat_row(row: int, values: list[float]) -> Columns:
    table = columns()
    for number, value in enumerate(values):
        column = [float(cell) for cell in table[f"data{number}"]]
        column[row] = value
        table[f"data{number}"] = column
    return table


BAD_ROWS = [
    (with_cell("data1", 3, float("nan")), "row 3, column data1: missing or not a number"),
    (with_cell("data1", 3, float("inf")), "row 3, column data1: inf, expected a finite float32"),
    (with_cell("data1", 3, 1e39), "row 3, column data1: inf, expected a finite float32"),
    (with_cell("data1", 3, 281), "row 3, column data1: 281 leaves the value range 0 … 255 by more than 10% of its"),
    (with_cell("data1", 3, -26), "row 3, column data1: -26 leaves the value range 0 … 255 by more than 10% of its"),
    (flat_row(3, [7, 7, 7, 7]), "row 3, flat: all 4 values are 7"),
    (flat_row(3, [0.1, 0.9, 0.5, 1]), "row 3, flat: spread 0.9 is under 1.00% of the value range 0 … 255"),
    (with_cell("label", 3, None), "row 3, column label: missing, expected an integer"),
    (with_cell("label", 3, 1.5), "row 3, column label: 1.5, expected an integer"),
    (with_cell("label", 3, float("nan")), "row 3, column label: nan, expected an integer"),
    (with_cell("label", 3, 2**31), "row 3, column label: 2147483648 is beyond int32"),
    (with_cell("label", 3, -(2**63)), "row 3, column label: -9223372036854775808 is beyond int32"),
    (columns(label=["0", "1", "2", "bent", "0", "1"]), "row 3, column label: 'bent', expected an integer"),
    (columns(split=["train"] * 3 + ["holdout"] * 3), "row 3, split 'holdout', expected train, test or nothing"),
    (columns(id=["a", "b", "c", None, "e", "f"]), "row 3, the id is missing"),
    (columns(id=["a", "b", "c", "b", "e", "f"]), "row 3, the id 'b' is that of row 1 too"),
    (columns(time=["", "2026-01-31", "", "31.1.2026", "", ""]), "row 3, time '31.1.2026', expected ISO 8601"),
]


@pytest.mark.parametrize(("table", "words"), BAD_ROWS)
def test_a_bad_row_is_an_error_that_names_file_row_and_column(tmp_path: Path, table: Columns, words: str) -> None:
    path = write_table(tmp_path / "bad.parquet", table, RANGE)

    with pytest.raises(DataError) as caught:
        read_records(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", [table for table, _ in BAD_ROWS if "holdout" not in table.get("split", [])])
def test_a_bad_row_can_be_dropped_and_is_reported(tmp_path: Path, table: Columns) -> None:
    records = read_records(write_table(tmp_path / "bad.parquet", table, RANGE), SKIP)

    assert len(records) == 5
    assert "1 of 6 rows dropped: row 3, " in records.warnings[0]


def test_ids_keep_counting_over_dropped_rows(tmp_path: Path) -> None:
    records = read_records(write_table(tmp_path / "bad.parquet", with_cell("data0", 1, None)), SKIP)

    assert records.ids == ("bad:0", "bad:2", "bad:3", "bad:4", "bad:5")
    np.testing.assert_array_equal(records.vectors, vectors()[[0, 2, 3, 4, 5]])


def test_the_first_bad_rows_are_named_and_all_are_counted(tmp_path: Path) -> None:
    path = write_table(tmp_path / "bad.parquet", columns(label=["x"] * 6))

    with pytest.raises(DataError, match=r"6 of 6 rows cannot be used .* row 0, .*; row 4, .*; and 1 more$"):
        read_records(path)


def test_data_without_a_usable_row_are_an_error_even_where_bad_rows_are_skipped(tmp_path: Path) -> None:
    path = write_table(tmp_path / "bad.parquet", columns(label=["x"] * 6))

    with pytest.raises(DataError, match="no row can be used: row 0, column label: 'x'"):
        read_records(path, SKIP)


def test_data_without_rows_are_an_error(tmp_path: Path) -> None:
    table = pa.table(columns()).slice(0, 0).to_pydict()

    with pytest.raises(DataError, match="it holds no rows"):
        read_records(write_table(tmp_path / "empty.parquet", table))


def test_without_a_range_only_vectors_without_any_spread_are_flat(tmp_path: Path) -> None:
    table = flat_row(3, [0.1, 0.9, 0.5, 1])

    assert len(read_records(write_table(tmp_path / "a.parquet", table))) == 6
    with pytest.raises(DataError, match="row 3, flat: all 4 values are 7"):
        read_records(write_table(tmp_path / "a.parquet", flat_row(3, [7, 7, 7, 7])))


def test_a_lowered_flatness_lets_flatter_vectors_in(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", flat_row(3, [0.1, 0.9, 0.5, 1]), RANGE)

    assert len(read_records(path, ReadSettings(flatness=0.001))) == 6


def test_labels_that_are_floats_or_texts_of_integers_are_taken(tmp_path: Path) -> None:
    floats = write_table(tmp_path / "a.parquet", columns(label=[0.0, 1.0, -2.0, 11.0, 3.0, 2147483647.0]))
    texts = write_table(tmp_path / "b.parquet", columns(label=["0", "1", "-2", "11", "3.0", "2147483647"]))

    assert read_records(floats).labels.tolist() == [0, 1, -2, 11, 3, 2147483647]
    assert read_records(texts).labels.tolist() == [0, 1, -2, 11, 3, 2147483647]


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"part": None}, "no part column"), ({"part": ["a", None, "b", "", "c", "d"]}, "2 of 6 rows name no part")],
)
def test_rows_without_a_part_are_warned_about(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    path = write_table(tmp_path / "a.parquet", columns(**changed))

    assert read_records(path).warnings == (
        f"{path}: {words}: rows of one part may fall on both sides of a split, and figures will flatter",
    )


def repeated(first: int, second: int, **changed: Any) -> Columns:
    table = columns(**changed)
    for number in range(4):
        table[f"data{number}"][second] = table[f"data{number}"][first]
    return table


def test_equal_vectors_with_one_label_are_kept_and_warned_about(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", repeated(1, 3))

    records = read_records(path)

    assert len(records) == 6
    assert records.warnings == (f"{path}: 1 vector appears more than once: row 1 = row 3",)


def test_equal_vectors_on_both_sides_of_the_split_are_said_to_be_so(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", repeated(1, 3, split=["train"] * 3 + ["test"] * 3))

    assert "(1 of them in training and in test)" in read_records(path).warnings[0]


def test_equal_vectors_with_different_labels_are_an_error_that_names_both(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", repeated(1, 4))

    with pytest.raises(DataError, match="row 1, label 1, but row 4 has the same vector and label 2; row 4, label 2"):
        read_records(path)


def test_equal_vectors_with_different_labels_are_dropped_together(tmp_path: Path) -> None:
    # Nobody knows which of the labels is true.
    assert read_records(write_table(tmp_path / "a.parquet", repeated(1, 4)), SKIP).ids == ("a:0", "a:2", "a:3", "a:5")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00+09:00", "2026-01-31T03:00:00Z"),
        ("2026-01-31 12:00:00.5", "2026-01-31T12:00:00.500000Z"),
        ("", ""),
    ],
)
def test_times_are_kept_in_utc(tmp_path: Path, text: str, expected: str) -> None:
    path = write_table(tmp_path / "a.parquet", columns(time=[text] * 6))

    assert read_records(path).times == (expected,) * 6


def test_timestamps_are_kept_in_utc(tmp_path: Path) -> None:
    times = pa.array([0, None, 1_000, 2_000, 3_000, 4_000], pa.timestamp("ms", tz="Asia/Tokyo"))

    records = read_records(write_table(tmp_path / "a.parquet", columns(time=times)))

    assert records.times[:3] == ("1970-01-01T00:00:00Z", "", "1970-01-01T00:00:01Z")
