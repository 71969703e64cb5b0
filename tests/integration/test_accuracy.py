"""The measurement behind ``make accuracy``, on small data: what it writes, and what it does not compute again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from miwake.indexer.sources.parquet_writer import write_parquet
from support.blobs import blob_records

TESTS = Path(__file__).resolve().parents[1]
QUICK = ("widths=8,16", "batch_size=32", "threads=1")


def run(data: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    overrides = [part for one in (*QUICK, "epochs=2", "least_steps=20") for part in ("--set", one)]
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "accuracy", *arguments, "--out", str(out), "--seeds", "1", *overrides],
        env={**os.environ, "PYTHONPATH": str(TESTS), "MIWAKE_TEST_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_parquet(blob_records(100, labels=(0, 1, 2)), folder / "blobs_12x13.parquet")
    return folder


def test_figures_are_written_and_finished_cells_are_not_computed_again(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "accuracy.json"
    first = run(data, out)
    assert first.returncode == 0, first.stderr
    assert "0 of 3 cells are there, 3 to compute" in first.stderr
    figures = json.loads(out.read_text())["blobs_12x13"]
    assert 0 <= figures["escape_rate"] <= 1
    assert 0 <= figures["open_set_auroc"] <= 1
    assert (figures["n_seeds"], figures["n_left_out"], figures["steps_train"]) == (1, 2, 20)

    again = run(data, out)
    assert "3 of 3 cells are there, 0 to compute" in again.stderr
    assert json.loads(out.read_text())["blobs_12x13"] == figures


def test_data_that_is_not_there_is_named_with_what_is(data: Path, tmp_path: Path) -> None:
    found = run(data, tmp_path / "accuracy.json", "boards")
    assert found.returncode == 2
    assert "no data set boards" in found.stderr
