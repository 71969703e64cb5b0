"""``miwake-train ablate`` as people run it: the whole grid, parts of it again, and after kill -9."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.training.ablation.cells import read_cell
from miwake.training.cli import app
from support.blobs import blob_records

SMALL = ("--set", "widths=8", "--set", "batch_size=32", "--set", "keep=last", "--steps", "8")
TINY = ("--arm", "smnrt17", "--arm", "fast=smnrt17,lr=1e-2", *SMALL)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "blobs.parquet"
    write_parquet(blob_records(120), path)
    return path


def cells(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "cells").glob("*.json")}


def answers(folder: Path) -> dict[str, object]:
    return {path.name: read_cell(path).answers for path in (folder / "cells").glob("*.json")}


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "ablation"
    done = CliRunner().invoke(
        app, ["ablate", str(data), *TINY, "--seeds", "2", "--out", str(folder)], env={"COLUMNS": "120"}
    )
    assert done.exit_code == 0, done.stderr
    assert "blobs: 48 held-out rows of 24 parts, 2 seeds" in done.stdout
    assert "cell 4/4: fast on" in done.stderr
    return folder


def test_a_grid_is_told_as_csv_json_and_markdown(unbroken: Path) -> None:
    found = json.loads((unbroken / "ablation.json").read_text())
    assert (found["baseline"], found["n_seeds"], list(found["arms"])) == ("smnrt17", 2, ["smnrt17", "fast"])
    with (unbroken / "ablation.csv").open() as file:
        rows = list(csv.DictReader(file))
    better = [row for row in rows if (row["arm"], row["way"], row["metric"]) == ("fast", "nearest anchor", "accuracy")]
    assert float(better[0]["difference"]) > 0
    assert "| fast | nearest anchor |" in (unbroken / "ablation.md").read_text()


def test_what_is_there_is_not_measured_again(data: Path, unbroken: Path) -> None:
    before = cells(unbroken)
    again = [
        "ablate",
        str(data),
        *TINY,
        "--arm",
        "third=smnrt17,lr=1e-3",
        "--seeds",
        "1",
        "--out",
        str(unbroken),
        "--json",
    ]
    done = CliRunner().invoke(app, again)
    assert done.exit_code == 0
    assert done.stderr.splitlines()[0] == "2 of 3 cells are there already"
    assert done.stderr.count("cell ") == 1
    assert {one["arm"] for one in json.loads(done.stdout)["figures"]} == {"smnrt17", "fast", "third"}
    after = cells(unbroken)
    assert {name: after[name] for name in before} == before
    assert len(after) == 5


def test_an_ablation_that_was_killed_goes_on_to_the_same_answers(data: Path, unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    arguments = ["ablate", str(data), *TINY, "--seeds", "2", "--out", str(out)]
    command = [sys.executable, "-c", "from miwake.training.cli import app; app()", *arguments, "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:  # noqa: S603 - our own command
        assert run.stderr is not None
        while not run.stderr.readline().startswith("cell 1/4"):
            assert run.poll() is None
        os.kill(run.pid, signal.SIGKILL)
        run.stderr.read()  # ends when the processes it started are gone, too
    assert run.returncode == -signal.SIGKILL
    kept = cells(out)
    assert 1 <= len(kept) < 4
    assert not (out / "ablation.json").exists()

    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[0] == f"{len(kept)} of 4 cells are there already"
    assert {name: cells(out)[name] for name in kept} == kept
    expected = answers(unbroken)
    assert answers(out) == {name: expected[name] for name in cells(out)}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--arm", "best"], "1 arms, expected two or more"),
        (["--arm", "best", "--arm", "x=worst"], "arm 'x=worst': unknown preset 'worst'"),
        (["--arm", "best", "--arm", "smnrt17", "--set", "lr=fast"], "setting optimiser.lr: 'fast' does not fit"),
        (["--arm", "smnrt17,lr=1e30", "--arm", "best", "--steps", "4"], "lr=1e30 on"),
        (["{data}", "--arm", "best", "--arm", "smnrt17"], "named twice, expected each data set once"),
        (["none.parquet", "--arm", "best", "--arm", "smnrt17"], "none.parquet: no such file or folder"),
        (["--arm", "best", "--arm", "smnrt17", "--out", "{data}"], "cannot be written: Not a directory"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(data: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    given = [one.format(data=data) for one in arguments]
    done = CliRunner().invoke(app, ["ablate", str(data), "--out", str(tmp_path / "out"), *given])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("miwake-train: ")
