from __future__ import annotations

import builtins
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from miwake.client.errors import DataFileError
from miwake.client.files import read_samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAPS = np.arange(12, dtype=np.uint8).reshape(4, 3)
COLUMNS: dict[str, Any] = {
    "id": ["a", "b", "c", "d"],
    "part": ["P1", "P1", "P2", ""],
    "split": ["train", "test", "test", "train"],
    "label": [0, 1, 2, 0],
}


def write_parquet(path: Path, vectors: NDArray[Any], **columns: Any) -> Path:
    values = {f"data{place}": vectors[:, place] for place in reversed(range(vectors.shape[1]))}
    pq.write_table(pa.table({**values, **columns}), path)
    return path


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_parquet_gives_vectors_in_the_order_of_their_columns_numbers(tmp_path: Path) -> None:
    samples = read_samples(write_parquet(tmp_path / "parts.parquet", MAPS, **COLUMNS))

    assert np.stack(samples.vectors).tolist() == MAPS.tolist()
    assert samples.vectors[0].dtype == np.uint8
    assert samples.ids == ("a", "b", "c", "d")
    assert samples.parts == ("P1", "P1", "P2", "")
    assert samples.labels == (0, 1, 2, 0)


def test_eleven_columns_are_ordered_by_number_and_not_by_name(tmp_path: Path) -> None:
    vectors = np.arange(11, dtype=np.float32)[None]

    samples = read_samples(write_parquet(tmp_path / "one.parquet", vectors))

    assert samples.vectors[0].tolist() == list(range(11))


def test_a_split_and_a_limit_choose_rows_that_keep_their_numbers(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "parts.parquet", MAPS, split=COLUMNS["split"])

    assert read_samples(path, split="test").ids == ("parts:1", "parts:2")
    assert read_samples(path, split="test", limit=1).ids == ("parts:1",)
    assert read_samples(path, limit=3).ids == ("parts:0", "parts:1", "parts:2")


def test_what_a_file_does_not_say_is_not_known(tmp_path: Path) -> None:
    samples = read_samples(write_parquet(tmp_path / "parts.parquet", MAPS))

    assert samples.parts == ("", "", "", "")
    assert samples.labels == (None, None, None, None)


def test_a_column_of_vectors_may_be_ragged_for_the_server_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "parts.parquet"
    pq.write_table(pa.table({"vector": [[1.0, 2.0], [3.0]]}), path)

    assert [vector.tolist() for vector in read_samples(path).vectors] == [[1.0, 2.0], [3.0]]


def test_a_missing_value_is_left_to_the_server(tmp_path: Path) -> None:
    path = tmp_path / "parts.parquet"
    pq.write_table(pa.table({"data0": pa.array([1, None], pa.uint8()), "data1": pa.array([2, 3], pa.uint8())}), path)

    vectors = read_samples(path).vectors

    assert vectors[0].tolist() == [1.0, 2.0]
    assert np.isnan(vectors[1]).tolist() == [True, False]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "parts.parquet", MAPS)
    real_import = builtins.__import__

    def base_install(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", base_install)

    with pytest.raises(DataFileError, match=r"Parquet files need pyarrow: pip install 'miwake\[parquet\]'"):
        read_samples(path)


def test_csv_gives_what_parquet_gives(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "parts.csv", "label,data1,data0,part", "2,1.5,-3,P1", "", ",nan,1e3,")

    samples = read_samples(path)

    assert samples.vectors[0].tolist() == [-3.0, 1.5]
    assert samples.vectors[1][0] == 1000.0
    assert np.isnan(samples.vectors[1][1])
    assert samples.vectors[0].dtype == np.float32
    assert samples.labels == (2, None)
    assert samples.parts == ("P1", "")
    assert samples.ids == ("parts:0", "parts:1")


def test_npz_takes_columns_in_the_plural(tmp_path: Path) -> None:
    path = tmp_path / "parts.npz"
    np.savez(path, vectors=MAPS.astype(np.float64), labels=np.array([0, 1, 2, 0]), splits=COLUMNS["split"])

    samples = read_samples(path, split="test")

    assert samples.vectors[0].tolist() == [3.0, 4.0, 5.0]
    assert samples.vectors[0].dtype == np.float32
    assert samples.labels == (1, 2)


@pytest.mark.parametrize("array", [MAPS, MAPS[0]])
def test_npy_holds_vectors_or_a_single_one(array: NDArray[np.uint8], tmp_path: Path) -> None:
    np.save(tmp_path / "parts.npy", array)

    samples = read_samples(tmp_path / "parts.npy")

    assert samples.vectors[0].tolist() == [0, 1, 2]
    assert samples.ids[0] == "parts:0"


def test_heat_maps_are_laid_out_row_by_row(tmp_path: Path) -> None:
    np.save(tmp_path / "maps.npy", np.arange(12, dtype=np.uint8).reshape(2, 2, 3))

    assert np.stack(read_samples(tmp_path / "maps.npy").vectors).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_an_array_that_is_no_vectors_is_named_by_its_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.zeros((1, 1, 1, 1)))

    with pytest.raises(
        DataFileError, match=r"vectors of shape \(1, 1, 1, 1\), expected \(N, V\) or \(N, rows, columns\)"
    ):
        read_samples(tmp_path / "bad.npy")


def test_one_row_is_chosen_by_number(tmp_path: Path) -> None:
    samples = read_samples(write_parquet(tmp_path / "parts.parquet", MAPS, **COLUMNS))

    assert samples.only(2).ids == ("c",)
    with pytest.raises(DataFileError, match="row 4, expected one of the 4 rows chosen, counted from 0"):
        samples.only(4)


def test_a_replay_is_marked_as_no_production(tmp_path: Path) -> None:
    samples = read_samples(write_parquet(tmp_path / "parts.parquet", MAPS, **COLUMNS))

    inspections = list(samples.inspections())

    assert [inspection.id for inspection in inspections] == ["a", "b", "c", "d"]
    assert inspections[2].context is not None
    assert (inspections[2].context.part_id, inspections[2].context.is_simulated) == ("P2", True)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["data0,data1", "1,2", "1,x"], "row 1, column data1: 'x', expected a number"),
        (["data0,data1", "1,"], "row 0, column data1: '', expected a number"),
        (["data0,data1", "1,2,3"], "row 0: 3 cells, expected 2"),
        (["data0,data2", "1,2"], "column data1 is missing"),
        (["data0,data0", "1,2"], "column data0 is there twice"),
        (["value0", "1"], "no vectors: expected columns data0, data1 …"),
        (["data0"], "no rows"),
        (["data0,label", "1,good"], "row 0, column label: 'good', expected an integer"),
        (["data0,label", "1,1.5"], "row 0, column label: '1.5', expected an integer"),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_named(lines: list[str], expected: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bad.csv", *lines)

    with pytest.raises(DataFileError) as caught:
        read_samples(path)

    assert str(caught.value) == f"{path}: {expected}"


@pytest.mark.parametrize("name", ["bad.parquet", "bad.npz", "bad.npy"])
@pytest.mark.parametrize("content", [b"", b"not what it says", b"PK\x03\x04 and no more"])
def test_a_damaged_file_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataFileError, match=f"{name}: not a readable"):
        read_samples(tmp_path / name)


def test_a_csv_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DataFileError, match=r"bad\.csv: not a readable CSV file"):
        read_samples(tmp_path / "bad.csv")


def test_pickled_arrays_are_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}]), allow_pickle=True)

    with pytest.raises(DataFileError, match=r"bad\.npy: not a readable NPY file"):
        read_samples(tmp_path / "bad.npy")


def test_an_npz_file_without_vectors_says_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", maps=MAPS)

    with pytest.raises(DataFileError, match=r"bad\.npz: no array vectors, but maps"):
        read_samples(tmp_path / "bad.npz")


def test_columns_of_another_length_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", vectors=MAPS, labels=[1])

    with pytest.raises(DataFileError, match=r"1 values in label, expected 4: one for each vector"):
        read_samples(tmp_path / "bad.npz")


def test_text_for_values_is_named_by_its_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"data0": ["a"]}), tmp_path / "bad.parquet")

    with pytest.raises(DataFileError, match=r"data0 holds object, expected numbers"):
        read_samples(tmp_path / "bad.parquet")


def test_an_absent_split_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "parts.parquet", MAPS, split=COLUMNS["split"])

    with pytest.raises(DataFileError, match=r"parts\.parquet: no rows of split 'validation'"):
        read_samples(path, split="validation")


def test_a_split_of_a_file_without_splits_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "parts.parquet", MAPS)

    with pytest.raises(DataFileError, match=r"parts\.parquet: no column split, so no rows of split 'test'"):
        read_samples(path, split="test")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"none\.csv: No such file or directory"):
        read_samples(tmp_path / "none.csv")


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataFileError, match=r"parts\.xlsx: expected a file that ends in \.parquet, \.csv, \.npz, \.npy"
    ):
        read_samples(tmp_path / "parts.xlsx")


def golden_of(path: Path) -> list[list[float] | None]:
    return [None if one is None else one.tolist() for one in read_samples(path).templates]


def test_templates_come_from_a_column_of_lists_or_from_numbered_columns(tmp_path: Path) -> None:
    lists = write_parquet(tmp_path / "lists.parquet", MAPS[:3], template=[[1.0, 2.0, 3.0], None, [np.nan] * 3])
    numbered = write_parquet(
        tmp_path / "numbered.parquet", MAPS[:2], template1=[2.0, None], template0=[1.0, None], template2=[3.0, None]
    )

    assert golden_of(lists) == [[1.0, 2.0, 3.0], None, None]
    assert golden_of(numbered) == [[1.0, 2.0, 3.0], None]


def test_templates_come_from_csv_where_their_cells_are_not_all_empty(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "parts.csv", "data0,data1,template0,template1", "1,2,3,4", "5,6,,")

    assert golden_of(path) == [[3.0, 4.0], None]
    assert np.stack(read_samples(path).vectors).tolist() == [[1.0, 2.0], [5.0, 6.0]]


def test_templates_come_from_npz_as_maps_or_vectors(tmp_path: Path) -> None:
    golden = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    golden[1] = np.nan
    np.savez(tmp_path / "parts.npz", vectors=np.zeros((2, 2, 2), dtype=np.float32), templates=golden)

    assert golden_of(tmp_path / "parts.npz") == [[0.0, 1.0, 2.0, 3.0], None]


def test_a_file_without_templates_has_none(tmp_path: Path) -> None:
    assert golden_of(write_parquet(tmp_path / "parts.parquet", MAPS[:2])) == [None, None]


@pytest.mark.parametrize("columns", [{"template": ["top", None]}, {"template1": ["left", "right"]}])
def test_columns_that_are_only_called_like_templates_are_none(columns: dict[str, Any], tmp_path: Path) -> None:
    assert golden_of(write_parquet(tmp_path / "parts.parquet", MAPS[:2], **columns)) == [None, None]


def test_a_lone_numbered_column_in_csv_is_no_template(tmp_path: Path) -> None:
    assert golden_of(write_csv(tmp_path / "parts.csv", "data0,template1", "1,left")) == [None]


def test_a_replay_hands_templates_over_row_by_row(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "parts.parquet", MAPS[:2], template=[None, [1.0, 2.0, 3.0]])

    first, second = read_samples(path).inspections()
    [alone] = read_samples(path).only(1).inspections()

    assert first.template is None
    assert [one.template.tolist() for one in (second, alone) if one.template is not None] == [[1.0, 2.0, 3.0]] * 2


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["data0,template0,template2", "1,2,3"], "column template1 is missing"),
        (["data0,template0", "1,x"], "row 0, column template0: 'x', expected a number"),
        (["data0,template0,template1", "1,2,"], "row 0, column template1: '', expected a number"),
    ],
)
def test_what_is_wrong_with_a_template_is_named(lines: list[str], expected: str, tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=re.escape(expected)):
        read_samples(write_csv(tmp_path / "bad.csv", *lines))


@pytest.mark.parametrize("n_templates", [0, 3])
def test_templates_of_another_number_than_vectors_are_named(n_templates: int, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", vectors=MAPS, templates=MAPS[:n_templates])

    with pytest.raises(DataFileError, match=f"{n_templates} values in templates, expected 4: one for each vector"):
        read_samples(tmp_path / "bad.npz")
