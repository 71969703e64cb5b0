from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "data0,data1,data2,data3,label,part"
GOOD = f"{HEADER}\n1,2,3,4.5,0,007\n5,6,7,8e1,13,8\n"


def csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "parts.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("007", '"007"'),
        GOOD.removesuffix("\n"),
        GOOD.replace("\n5", "\n\n5"),
    ],
    ids=["commas", "semicolons", "tabs", "windows", "byte order mark", "quotes", "no last newline", "empty line"],
)
def test_rows_are_read_whatever_separates_them(tmp_path: Path, text: str) -> None:
    records = read_records(csv(tmp_path, text))

    np.testing.assert_array_equal(records.vectors, np.array([[1, 2, 3, 4.5], [5, 6, 7, 80]], dtype=np.float32))
    assert records.labels.tolist() == [0, 13]
    assert records.parts == ("007", "8")
    assert records.ids == ("parts:0", "parts:1")


def test_a_number_that_shows_up_late_in_a_column_is_not_misread(tmp_path: Path) -> None:
    # A reader that takes the first rows for the type of a column would fail, or cut the fraction off.
    rows = "".join(f"{row},2,3,4,0,p{row}\n" for row in range(2_000))

    records = read_records(csv(tmp_path, f"{HEADER}\n{rows}0.25,2,3,4,0,last\n"))

    assert records.vectors[-1, 0] == np.float32(0.25)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,abc,3,4,0,a", "row 2, column data1: 'abc', expected a number"),
        ("1,1_000,3,4,0,a", "row 2, column data1: '1_000', expected a number"),
        ('1,"1,5",3,4,0,a', "row 2, column data1: '1,5', expected a number"),
        ("1,,3,4,0,a", "row 2, column data1: missing or not a number"),
        ("1,inf,3,4,0,a", "row 2, column data1: inf, expected a finite float32"),
        ("1,1e39,3,4,0,a", "row 2, column data1: inf, expected a finite float32"),
        ("1,2,3,4,,a", "row 2, column label: missing, expected an integer"),
        ("1,2,3,4,bent,a", "row 2, column label: 'bent', expected an integer"),
        ("1,2,3,4,1_3,a", "row 2, column label: '1_3', expected an integer"),
        ("1,2,3,4,4294967296,a", "row 2, column label: 4294967296 is beyond int32"),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column_or_dropped(tmp_path: Path, row: str, words: str) -> None:
    path = csv(tmp_path, f"{GOOD}{row}\n")

    with pytest.raises(DataError) as caught:
        read_records(path)
    kept = read_records(path, ReadSettings(skip_bad_rows=True))

    assert words in str(caught.value)
    assert len(kept) == 2
    assert words in kept.warnings[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty, expected a header and rows"),
        (f"{HEADER}\n", "it holds no rows"),
        (f"{GOOD}1,2,3,4,0\n", "row 2: 5 cells, expected 6 as in the header"),
        (f"{GOOD}1,2,3,4,0,a,b\n", "row 2: 7 cells, expected 6 as in the header"),
        (f'{GOOD}1,2,3,4,0,"a\n5,6,7,8,1,b\n', "not a readable CSV file in UTF-8: unexpected end of data"),
        ("data0,data0,label\n1,2,3\n", "2 columns are named 'data0'"),
        ("data0,data2,label\n1,2,3\n", "column data1 is missing (the last one is data2)"),
        ("a,b,label\n1,2,3\n", "no vector, expected columns data0, data1, …"),
        ('"data\n0",label\n1,2\n', "no label column 'label'"),
    ],
)
def test_a_table_that_is_broken_as_a_whole_is_one_clear_error(tmp_path: Path, text: str, words: str) -> None:
    path = csv(tmp_path, text)

    with pytest.raises(DataError) as caught:
        read_records(path, ReadSettings(skip_bad_rows=True))

    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"parts\.csv: not a readable CSV file in UTF-8"):
        read_records(csv(tmp_path, GOOD.replace("007", "Prüfling"), "latin-1"))


def test_an_inch_sign_in_a_cell_is_just_a_sign(tmp_path: Path) -> None:
    assert read_records(csv(tmp_path, GOOD.replace("007", '5" disk'))).parts == ('5" disk', "8")
