from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer import sources
from miwake.indexer.errors import DataError
from miwake.indexer.sources import ReadSettings, read_records
from miwake.indexer.synthetic.generator import generate
from support.parts_table import columns, write_table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("source", ["parts.parquet", "parts.csv", "missing/parts.npz", "a", "hf:"])
def test_a_source_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataError, match=rf"^{source}: no such file or folder$"):
        read_records(source)


def test_a_misspelt_name_in_a_folder_that_is_there_is_not_looked_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    with pytest.raises(DataError, match=r"^data/prats: no such file or folder$"):
        read_records("data/prats")


@pytest.mark.parametrize(
    ("source", "words"), [("", "no source was named"), ("x" * 300, "File name too long"), ("a\0b", "no such file")]
)
def test_a_source_that_is_no_path_is_an_error(source: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_records(source)


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parts.xlsx").write_bytes(b"PK")

    with pytest.raises(DataError, match=r"parts\.xlsx: unknown kind of file, expected \.parquet, \.csv, \.npz or a"):
        read_records(tmp_path / "parts.xlsx")


def test_the_end_of_a_name_may_be_in_capitals(tmp_path: Path) -> None:
    assert len(read_records(write_table(tmp_path / "PARTS.PARQUET", columns()))) == 6


def test_the_built_in_data_pass_the_checks_of_the_reader() -> None:
    found, generated = read_records("synthetic:seed=3,parts=60"), generate(seed=3, n_parts=60)

    np.testing.assert_array_equal(found.vectors, generated.vectors)
    np.testing.assert_array_equal(found.labels, generated.labels)
    assert (found.ids, found.parts, found.splits) == (generated.ids, generated.parts, generated.splits)
    assert found.source == generated.source
    assert found.warnings == ()


def test_built_in_data_may_bring_templates() -> None:
    found, generated = read_records("synthetic:parts=60,templates=1"), generate(n_parts=60, with_templates=True)

    np.testing.assert_array_equal(found.vectors, generated.vectors)
    np.testing.assert_array_equal(found.templates, generated.templates)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("synthetic:parts=x", "'parts=x', expected synthetic:seed=NUMBER,parts=NUMBER"),
        ("synthetic:colour=1", "'colour=1', expected"),
        ("synthetic:seed=-1", "'seed=-1', expected"),
        ("synthetic:parts=59", "expected at least 60 parts"),
    ],
)
def test_a_wish_that_the_generator_cannot_fulfil_is_refused(source: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_records(source)


def test_settings_hold_for_the_built_in_data_too() -> None:
    settings = ReadSettings(heat_map_shape=(18, 20), pass_labels=(0, 61), split_column="")

    records = read_records("synthetic:parts=60", settings)

    assert records.vectors.shape[1] == 360
    assert records.pass_labels == (0, 61)
    assert set(records.splits) == {""}


def test_parquet_is_read_without_the_slow_imports(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", columns())
    code = (
        "import sys; from miwake.indexer.sources import read_records; early = 'numpy' in sys.modules; "
        "read_records(sys.argv[1]); print(early, 'datasets' in sys.modules, 'PIL' in sys.modules)"
    )

    found = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )

    assert found.stdout.split() == ["False", "False", "False"]


def test_the_public_names_are_those_that_are_promised() -> None:
    assert sources.__all__ == ["ReadSettings", "read_records"]
    assert all(hasattr(sources, name) for name in sources.__all__)
