from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records
from miwake.indexer.sources.checks import to_records
from miwake.indexer.sources.raw import RawTable
from support.parts_table import columns, write_table

if TYPE_CHECKING:
    from pathlib import Path


def table_of(n_values: int) -> RawTable:
    return RawTable(
        source="here",
        stem="here",
        vectors=np.arange(2 * n_values, dtype=np.float32).reshape(2, n_values),
        value_name="data{}",
        labels=np.array([0, 1], dtype=np.int32),
        texts={"part": ("a", "b")},
    )


@pytest.mark.parametrize(("n_values", "shape"), [(1404, (36, 39)), (16, (4, 4)), (10_000, (100, 100))])
def test_a_heat_map_shape_nobody_says_is_the_default_or_square(n_values: int, shape: tuple[int, int]) -> None:
    assert to_records(table_of(n_values), ReadSettings()).heat_map_shape == shape


@pytest.mark.parametrize("n_values", [2, 12, 1403, 1405])
def test_a_heat_map_shape_that_cannot_be_guessed_is_asked_for(n_values: int) -> None:
    with pytest.raises(DataError, match=rf"vectors of {n_values:,} values.* --heat-map-shape"):
        to_records(table_of(n_values), ReadSettings())


def test_a_told_shape_is_taken() -> None:
    assert to_records(table_of(12), ReadSettings(heat_map_shape=(3, 4))).heat_map_shape == (3, 4)


@pytest.mark.parametrize("shape", [(36, 40), (0, 1404), (-36, -39)])
def test_a_told_shape_that_does_not_fit_is_an_error(shape: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"--heat-map-shape is .* but the vectors have 1,404"):
        to_records(table_of(1404), ReadSettings(heat_map_shape=shape))


def test_a_told_shape_wins_over_what_the_data_say_with_a_warning(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns(), {"heat_map_shape": "[2, 2]"})

    records = read_records(path, ReadSettings(heat_map_shape=(1, 4)))

    assert records.heat_map_shape == (1, 4)
    assert records.warnings == (f"{path}: heat-map shape 1x4 as told, the data say 2x2",)


@pytest.mark.parametrize(
    ("metadata", "told", "labels", "expected"),
    [
        ({}, None, [0, 1, 0, 1, 2, 2], (0,)),
        ({}, None, [3, 1, 3, 1, 2, 2], ()),
        ({}, (3,), [3, 1, 3, 1, 2, 2], (3,)),
        ({}, (), [0, 1, 0, 1, 2, 2], ()),
        ({"pass_labels": "[]"}, None, [0, 1, 0, 1, 2, 2], ()),
        ({"pass_labels": "[2, 1, 2]"}, None, [0, 1, 0, 1, 2, 2], (1, 2)),
        ({"pass_labels": "[1, 2]"}, (2, 1), [0, 1, 0, 1, 2, 2], (1, 2)),
    ],
)
def test_pass_labels_are_told_or_found_or_zero(
    tmp_path: Path, metadata: dict[str, str], told: tuple[int, ...] | None, labels: list[int], expected: tuple[int, ...]
) -> None:
    path = write_table(tmp_path / "a.parquet", columns(label=labels), metadata)

    records = read_records(path, ReadSettings(pass_labels=told))

    assert records.pass_labels == expected
    assert records.warnings == ()


def test_told_pass_labels_win_with_a_warning(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns(), {"pass_labels": "[0]"})

    records = read_records(path, ReadSettings(pass_labels=(1,)))

    assert records.pass_labels == (1,)
    assert records.warnings == (f"{path}: pass labels [1] as told, the data say [0]",)


def test_a_label_of_a_dropped_row_is_no_reason_for_a_pass_label(tmp_path: Path) -> None:
    table = columns(label=[0, 1, 1, 1, 2, 2], data0=[None, 1, 2, 3, 4, 5])

    assert read_records(write_table(tmp_path / "a.parquet", table), ReadSettings(skip_bad_rows=True)).pass_labels == ()


def test_a_told_value_range_wins_with_a_warning(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns(), {"value_range": "[0, 255]"})

    records = read_records(path, ReadSettings(value_range=(0, 4095)))

    assert records.value_range == (0, 4095)
    assert records.warnings == (f"{path}: value range 0 … 4095 as told, the data say 0 … 255",)


@pytest.mark.parametrize("value_range", [(255.0, 0.0), (1.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_a_value_range_without_width_is_an_error(value_range: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="expected two finite numbers, the lower one first"):
        to_records(table_of(4), ReadSettings(value_range=value_range))
