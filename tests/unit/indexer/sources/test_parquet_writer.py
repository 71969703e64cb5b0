from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources.parquet_writer import write_parquet
from support.references import make_records

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = make_records(["a", "b", "c"], labels=[0, 1, 2])


def value_types(path: Path) -> set[str]:
    schema = pq.read_schema(path)
    return {str(schema.field(f"data{value}").type) for value in range(4)}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        pytest.param([0, 1, 2, 255], "uint8", id="whole numbers of a byte"),
        pytest.param([0, 1, 2, 256], "float", id="beyond a byte"),
        pytest.param([-1, 1, 2, 3], "float", id="negative"),
        pytest.param([0.5, 1, 2, 3], "float", id="a fraction"),
        pytest.param([-0.0, 1, 2, 3], "float", id="minus zero, which a byte would lose"),
    ],
)
def test_values_are_bytes_only_where_nothing_is_lost(tmp_path: Path, values: list[float], kind: str) -> None:
    vectors = np.array([[1, 2, 3, 4], values, [4, 3, 2, 1]], dtype=np.float32)

    write_parquet(replace(RECORDS, vectors=vectors), tmp_path / "out.parquet")

    assert value_types(tmp_path / "out.parquet") == {kind}


def test_columns_are_those_of_the_source_data(tmp_path: Path) -> None:
    write_parquet(replace(RECORDS, times=("2026-01-31T12:00:00Z",) * 3), tmp_path / "out.parquet")

    table = pq.read_table(tmp_path / "out.parquet")
    values = ["data0", "data1", "data2", "data3"]
    assert table.column_names == [*values, "label", "fmode", "part", "group", "split", "id", "time"]
    assert str(table.schema.field("label").type) == "int32"


def test_the_description_is_in_the_metadata(tmp_path: Path) -> None:
    described = replace(RECORDS, pass_labels=(0, 4), value_range=(0.0, 255.0))

    write_parquet(described, tmp_path / "out.parquet")

    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    assert json.loads(metadata[b"pass_labels"]) == [0, 4]
    assert json.loads(metadata[b"heat_map_shape"]) == [2, 2]
    assert json.loads(metadata[b"value_range"]) == [0, 255]


def test_a_range_that_nobody_knows_is_not_written(tmp_path: Path) -> None:
    write_parquet(replace(RECORDS, value_range=None), tmp_path / "out.parquet")

    assert b"value_range" not in pq.read_schema(tmp_path / "out.parquet").metadata


def test_an_older_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    path.write_text("older")

    write_parquet(RECORDS, path)

    assert pq.read_metadata(path).num_rows == 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_flipped_byte_in_a_page_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write_parquet(RECORDS, path)
    chunk = pq.read_metadata(path).row_group(0).column(0)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    path.write_bytes(content)

    with pytest.raises(OSError, match="checksum"), pq.ParquetFile(path, page_checksum_verification=True) as file:
        file.read()


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/out\.parquet: cannot be written: No such file or directory"):
        write_parquet(RECORDS, tmp_path / "nowhere" / "out.parquet")
