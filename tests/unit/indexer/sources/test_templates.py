"""Templates beside vectors, as each kind of source brings them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from support.parts_table import N_VALUES, columns, vectors, write_table

TEMPLATES = vectors()[::-1].copy()
TEMPLATES[1] = np.nan


def listed(templates: np.ndarray = TEMPLATES) -> list[list[float] | None]:
    return [None if np.isnan(one).all() else one.tolist() for one in templates]


def numbered(templates: np.ndarray = TEMPLATES) -> dict[str, Any]:
    return {
        f"template{number}": pa.array(column, pa.float32(), from_pandas=True)
        for number, column in enumerate(templates.T)
    }


def as_list_column(folder: Path) -> Path:
    return write_table(folder / "a.parquet", columns(template=listed()))


def as_fixed_size_lists(folder: Path) -> Path:
    table = columns(template=pa.array(listed(), pa.list_(pa.float32(), N_VALUES)))
    return write_table(folder / "a.parquet", table)


def as_numbered_columns(folder: Path) -> Path:
    return write_table(folder / "a.parquet", columns(**numbered()))


def as_npz(folder: Path) -> Path:
    np.savez(folder / "a.npz", vectors=vectors(), labels=np.zeros(6, dtype=int), templates=TEMPLATES)
    return folder / "a.npz"


def as_npz_of_maps(folder: Path) -> Path:
    maps, templates = vectors().reshape(6, 2, 2), TEMPLATES.reshape(6, 2, 2)
    np.savez(folder / "a.npz", vectors=maps, labels=np.zeros(6, dtype=int), templates=templates)
    return folder / "a.npz"


def as_csv(folder: Path) -> Path:
    table = columns(**{name: column.to_pylist() for name, column in numbered().items()})
    rows = zip(*table.values(), strict=True)
    lines = [",".join(table), *(",".join("" if cell is None else str(cell) for cell in row) for row in rows)]
    (folder / "a.csv").write_text("\n".join(lines))
    return folder / "a.csv"


def as_saved_data_set(folder: Path) -> Path:
    datasets.Dataset.from_dict(columns(template=listed())).save_to_disk(str(folder / "saved"))
    return folder / "saved"


@pytest.mark.parametrize(
    "write",
    [
        as_list_column,
        as_fixed_size_lists,
        as_numbered_columns,
        as_npz,
        as_npz_of_maps,
        as_csv,
        as_saved_data_set,
    ],
)
def test_templates_are_read_beside_the_vectors(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    records = read_records(write(tmp_path))

    np.testing.assert_array_equal(records.vectors, vectors())
    np.testing.assert_array_equal(records.templates, TEMPLATES)
    assert records.templates is not None
    assert records.templates.dtype == np.float32


def test_without_any_template_there_is_no_column(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns(template=pa.array([None] * 6, pa.list_(pa.float32()))))

    assert read_records(path).templates is None


def test_a_text_column_of_that_name_is_something_else(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns(template=["golden-7"] * 6))

    assert read_records(path).templates is None


def test_rows_that_are_dropped_take_their_templates_with_them(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns(template=[[1.0, 2.0], *listed()[1:]]))

    records = read_records(path, ReadSettings(skip_bad_rows=True))

    np.testing.assert_array_equal(records.templates, TEMPLATES[1:])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"template": [*listed()[:5], [1.0, 2.0]]}, "row 5, column template: 2 values, expected 4 as of the vector"),
        ({"template": [[1.0, 2.0]] * 6}, "row 0, column template: 2 values, expected 4 as of the vector"),
        ({"template": [*listed()[:5], [1.0, 2.0, None, 3.0]]}, r"row 5, its template: column template2: missing or"),
        ({"template": [*listed()[:5], [1.0, 9e9, 0, 0]]}, r"row 5, its template: column template1: 9e\+09 leaves"),
        ({"template": [[["a"]]] * 6}, "column template holds list<.*, expected numbers"),
        (dict(list(numbered().items())[:3]), "3 template columns, expected 4 as of the vector"),
        (dict(list(numbered().items())[1:]), r"column template0 is missing \(the last one is template3\)"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = write_table(tmp_path / "a.parquet", columns(**changed), {"value_range": "[0, 255]"})

    with pytest.raises(DataError, match=message):
        read_records(path)


def test_templates_of_another_shape_than_the_vectors_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", vectors=vectors(), labels=np.zeros(6, dtype=int), templates=TEMPLATES[:5])

    with pytest.raises(DataError, match=r"templates of shape \(5, 4\), expected \(6, 4\) as of the vectors"):
        read_records(tmp_path / "a.npz")


def test_many_templates_that_are_all_flat_are_on_another_scale(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "many.npz",
        vectors=np.tile(vectors(), (4, 1)),
        labels=np.zeros(24, dtype=int),
        templates=np.tile(np.array([0.0, 0.5, 1.0, 0.5]), (24, 1)),
        value_range=[0, 255],
    )
    with pytest.raises(DataError, match=r"every template is flat, as that of .*: another scale\?"):
        read_records(tmp_path / "many.npz", ReadSettings(value_range=(0, 255)))


def test_a_lone_column_with_a_number_is_something_else(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns(template1=["golden"] * 6))
    assert read_records(path).templates is None


def test_a_flat_template_is_one_where_nothing_is_to_be(tmp_path: Path) -> None:
    templates = TEMPLATES.copy()
    templates[0] = 0
    path = write_table(tmp_path / "a.parquet", columns(template=listed(templates)), {"value_range": "[0, 255]"})

    np.testing.assert_array_equal(read_records(path).templates, templates)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    records = replace(read_records(as_list_column(tmp_path)), source="")

    write_parquet(records, tmp_path / "again.parquet")

    np.testing.assert_array_equal(read_records(tmp_path / "again.parquet").templates, TEMPLATES)
