from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records
from support.parts_table import columns, vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_progress_bars() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def data_set(**changed: Any) -> Any:
    return datasets.Dataset.from_dict(columns(**changed))


def test_a_saved_data_set_is_read(tmp_path: Path) -> None:
    data_set(id=list("abcdef")).save_to_disk(str(tmp_path / "parts"))

    records = read_records(tmp_path / "parts")

    np.testing.assert_array_equal(records.vectors, vectors())
    assert records.failure_modes == ("pass", "open", "pass", "open", "short", "short")
    assert records.ids == tuple("abcdef")
    assert records.splits == ("",) * 6


def test_rows_are_read_in_the_order_that_was_selected(tmp_path: Path) -> None:
    data_set().select([4, 0, 2]).save_to_disk(str(tmp_path / "parts"))

    np.testing.assert_array_equal(read_records(tmp_path / "parts").vectors, vectors()[[4, 0, 2]])


def test_saved_splits_are_kept(tmp_path: Path) -> None:
    whole = data_set()
    saved = datasets.DatasetDict(train=whole.select(range(4)), test=whole.select([4, 5]))
    saved.save_to_disk(str(tmp_path / "parts"))

    records = read_records(tmp_path / "parts")

    assert records.splits == ("train",) * 4 + ("test",) * 2
    np.testing.assert_array_equal(records.vectors, vectors())


@pytest.mark.parametrize("name", ["validation", "val", "valid", "dev", "test"])
def test_rows_of_any_held_out_split_are_for_testing(tmp_path: Path, name: str) -> None:
    whole = data_set()
    saved = datasets.DatasetDict({"train": whole.select(range(4)), name: whole.select([4, 5])})
    saved.save_to_disk(str(tmp_path / "parts"))

    assert read_records(tmp_path / "parts").splits == ("train",) * 4 + ("test",) * 2


def test_a_split_column_goes_before_the_names_of_the_splits(tmp_path: Path) -> None:
    told = ["test", "train", "train", "train", "train", "train"]
    datasets.DatasetDict(train=data_set(split=told)).save_to_disk(str(tmp_path / "parts"))

    assert read_records(tmp_path / "parts").splits == tuple(told)


def test_a_split_with_a_name_of_its_own_is_refused(tmp_path: Path) -> None:
    whole = data_set()
    saved = datasets.DatasetDict(train=whole.select(range(4)), line_7=whole.select([4, 5]))
    saved.save_to_disk(str(tmp_path / "parts"))

    with pytest.raises(DataError, match="split 'line_7', expected train, test"):
        read_records(tmp_path / "parts")


def test_a_bad_row_is_named_within_its_split(tmp_path: Path) -> None:
    whole = data_set(data1=[1.0, 2.0, 3.0, 4.0, 5.0, float("nan")])
    saved = datasets.DatasetDict(train=whole.select(range(4)), test=whole.select([4, 5]))
    saved.save_to_disk(str(tmp_path / "parts"))

    with pytest.raises(DataError, match="row 1 of test, column data1: missing or not a number"):
        read_records(tmp_path / "parts")


def test_names_of_classes_are_failure_modes_where_there_are_no_others(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "vector": datasets.Sequence(datasets.Value("float32"), length=4),
            "label": datasets.ClassLabel(names=["pass", "open", "short"]),
        }
    )
    content = {"vector": vectors().tolist(), "label": [0, 1, 0, 1, 2, 2]}
    datasets.Dataset.from_dict(content, features=features).save_to_disk(str(tmp_path / "parts"))

    records = read_records(tmp_path / "parts")

    np.testing.assert_array_equal(records.vectors, vectors())
    assert records.failure_modes == ("pass", "open", "pass", "open", "short", "short")


@pytest.mark.parametrize("content", [b"", b"{", b'{"features": 7}', b'{"features": {"label": {"dtype": "int64"}}}'])
def test_a_damaged_description_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    data_set().save_to_disk(str(tmp_path / "parts"))
    (tmp_path / "parts" / "dataset_info.json").write_bytes(content)

    with pytest.raises(DataError, match=r"parts: .*"):
        read_records(tmp_path / "parts")


def test_a_cut_off_arrow_file_is_one_clear_error(tmp_path: Path) -> None:
    data_set().save_to_disk(str(tmp_path / "parts"))
    (arrow,) = (tmp_path / "parts").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:200])

    with pytest.raises(DataError, match="parts: not a readable saved data set"):
        read_records(tmp_path / "parts")


@pytest.mark.parametrize("source", ["hf:nobody/no-such-data", "nobody/no-such-data"])
def test_a_data_set_that_the_hub_does_not_give_is_one_clear_error(tmp_path: Path, source: str) -> None:
    # In a process of its own: whether there is a hub is settled when the library is imported.
    code = "import sys; from miwake.indexer.sources import read_records; read_records(sys.argv[1])"
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}

    found = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", code, source], env=offline, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "miwake.indexer.errors.DataError: nobody/no-such-data: no such file or folder here, "
        "and it cannot be loaded from the Hugging Face hub: "
    )


def test_settings_hold_for_saved_data_sets_too(tmp_path: Path) -> None:
    data_set(label=None, code=[3] * 6).save_to_disk(str(tmp_path / "parts"))

    assert read_records(tmp_path / "parts", ReadSettings(label_column="code")).labels.tolist() == [3] * 6
