from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records
from support.data import shared_data
from support.parts_table import columns, vectors, with_cell, write_table

if TYPE_CHECKING:
    from pathlib import Path

VALUES = [f"data{number}" for number in range(4)]


def test_columns_of_the_source_schema_become_records(tmp_path: Path) -> None:
    path = write_table(tmp_path / "parts.parquet", columns(split=["train", "test"] * 3, group=["lot"] * 6))

    records = read_records(path)

    np.testing.assert_array_equal(records.vectors, vectors())
    assert records.vectors.dtype == np.float32
    assert records.vectors.flags.c_contiguous
    assert records.labels.tolist() == [0, 1, 0, 1, 2, 2]
    assert records.failure_modes == ("pass", "open", "pass", "open", "short", "short")
    assert records.parts == ("p0", "p1", "p2", "p3", "p4", "p5")
    assert records.groups == ("lot",) * 6
    assert records.splits == ("train", "test") * 3
    assert records.ids == tuple(f"parts:{row}" for row in range(6))
    assert (records.source, records.warnings) == (str(path), ())


def test_value_columns_are_put_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    shuffled = {name: columns()[name] for name in ("data2", "label", "data0", "data3", "part", "data1")}

    np.testing.assert_array_equal(read_records(write_table(tmp_path / "a.parquet", shuffled)).vectors, vectors())


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 4), pa.list_(pa.uint8())]
)
def test_a_list_column_holds_whole_vectors(tmp_path: Path, kind: Any) -> None:
    table = columns(**dict.fromkeys(VALUES), vector=pa.array(vectors().astype(np.int64).tolist(), kind))

    np.testing.assert_array_equal(read_records(write_table(tmp_path / "a.parquet", table)).vectors, vectors())


def test_a_vector_of_another_length_is_named(tmp_path: Path) -> None:
    ragged = [*vectors()[:5].tolist(), [1.0, 2.0, 3.0]]
    path = write_table(tmp_path / "a.parquet", columns(**dict.fromkeys(VALUES), vector=ragged))

    with pytest.raises(DataError, match="row 5, column vector: 3 values, expected 4 as in most rows"):
        read_records(path)


def test_a_vector_of_another_length_can_be_skipped(tmp_path: Path) -> None:
    ragged = [[1.0, 2.0], *vectors()[1:].tolist()]
    path = write_table(tmp_path / "a.parquet", columns(**dict.fromkeys(VALUES), vector=ragged))

    np.testing.assert_array_equal(read_records(path, ReadSettings(skip_bad_rows=True)).vectors, vectors()[1:])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"label": None}, "no label column 'label'; it has data0 … data3, fmode, part"),
        (dict.fromkeys(VALUES), "no vector, expected columns data0, data1, … or a list column vector"),
        ({"data1": None}, "column data1 is missing (the last one is data3)"),
        ({"data00": [1] * 6}, "columns data0 and data00 are both value 0 of the vector"),
        ({"data2": ["a"] * 6}, "row 0, column data2: 'a', expected a number"),
        ({"data2": [True, False] * 3}, "column data2 holds bool, expected numbers"),
        ({"label": [[1]] * 6}, "column label holds list"),
        ({"part": [[1]] * 6}, "column part holds list"),
    ],
)
def test_a_table_that_lacks_what_a_record_needs_is_refused(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    path = write_table(tmp_path / "a.parquet", columns(**changed))

    with pytest.raises(DataError) as caught:
        read_records(path)

    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["failure_mode", "part", "group", "split", "id", "time"])
def test_a_column_that_was_named_and_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / "a.parquet", columns())
    settings = ReadSettings(**{f"{name}_column": "nowhere"})  # type: ignore[arg-type]

    with pytest.raises(DataError, match="column 'nowhere'; it has data0 … data3, label, fmode, part"):
        read_records(path, settings)


def test_columns_can_be_named(tmp_path: Path) -> None:
    values = {f"v{number}": columns()[f"data{number}"] for number in range(4)}
    table = {**values, "code": [3] * 6, "how": ["a"] * 6, "board": [1, 2, 3, 4, 5, 6], "key": list("abcdef")}
    settings = ReadSettings(
        vector_column_prefix="v", label_column="code", failure_mode_column="how", part_column="board", id_column="key"
    )

    records = read_records(write_table(tmp_path / "a.parquet", table), settings)

    assert records.labels.tolist() == [3] * 6
    assert (records.failure_modes, records.parts) == (("a",) * 6, ("1", "2", "3", "4", "5", "6"))
    assert records.ids == tuple("abcdef")


def test_a_column_named_by_the_empty_text_is_not_read(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns(split=["holdout"] * 6))

    assert read_records(path, ReadSettings(split_column="")).splits == ("",) * 6


def test_dictionary_columns_and_nulls_become_texts(tmp_path: Path) -> None:
    modes = pa.array(["a", None, "b", "a", "b", None]).dictionary_encode()

    records = read_records(write_table(tmp_path / "a.parquet", columns(fmode=modes)))

    assert records.failure_modes == ("a", "", "b", "a", "b", "")


def test_text_that_is_not_utf_8_is_one_clear_error(tmp_path: Path) -> None:
    offsets, letters = np.arange(7, dtype=np.int32), b"abc\xffef"
    modes = pa.StringArray.from_buffers(6, pa.py_buffer(offsets), pa.py_buffer(letters))

    with pytest.raises(DataError, match=r"a\.parquet: damaged: .*UTF8") as caught:
        read_records(write_table(tmp_path / "a.parquet", columns(fmode=modes)))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_cut_off_file_is_one_clear_error(tmp_path: Path, kept: int) -> None:
    path = write_table(tmp_path / "cut.parquet", columns())
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(DataError, match=r"cut\.parquet: not a readable Parquet file"):
        read_records(path)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("heat_map_shape", "36x39"),
        ("heat_map_shape", "[2]"),
        ("heat_map_shape", "[2.0, 2.0]"),
        ("pass_labels", "0"),
        ("pass_labels", "[true]"),
        ("value_range", "[0, null]"),
        ("value_range", "{}"),
    ],
)
def test_metadata_that_are_something_else_are_refused(tmp_path: Path, key: str, text: str) -> None:
    path = write_table(tmp_path / "a.parquet", columns(), {key: text})

    with pytest.raises(DataError, match=f"metadata {key}: .* expected a JSON list of"):
        read_records(path)


@pytest.mark.parametrize(("text", "words"), [("[9, 9]", "heat_map_shape is 9x9 = 81"), ("[-2, -2]", "is -2x-2 = 4")])
def test_a_shape_in_the_metadata_that_does_not_fit_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = write_table(tmp_path / "a.parquet", columns(), {"heat_map_shape": text})

    with pytest.raises(DataError, match=words):
        read_records(path)


def test_a_null_value_is_named_by_row_and_column(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", with_cell("data2", 4, None))

    with pytest.raises(DataError, match="row 4, column data2: missing or not a number, expected a finite float32"):
        read_records(path)


@pytest.mark.parametrize(
    ("name", "n_rows", "n_test", "pass_labels", "n_labels"),
    [
        ("deeppcb_36x39.parquet", 13_849, 4_450, (0,), 7),
        ("magnetic_tile_36x39.parquet", 3_435, 870, (0,), 6),
        ("fashion_mnist_36x39.parquet", 17_000, 5_000, (), 10),
    ],
)
def test_real_data_are_read_whole(
    name: str, n_rows: int, n_test: int, pass_labels: tuple[int, ...], n_labels: int
) -> None:
    records = read_records(shared_data(name))

    assert records.vectors.shape == (n_rows, 1404)
    assert records.splits.count("test") == n_test
    assert (records.heat_map_shape, records.value_range) == ((36, 39), (0.0, 255.0))
    assert records.pass_labels == pass_labels
    assert len(np.unique(records.labels)) == n_labels
    assert all(records.parts)
