from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.training.cli import app
from miwake.training.presets import PRESETS
from support.blobs import blob_records

TINY = ("--set", "widths=8,16", "--set", "batch_size=32", "--set", "threads=1", "--steps", "12")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "blobs.parquet"
    write_parquet(blob_records(120), path)
    return path


@pytest.fixture(scope="module")
def embedder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    assert CliRunner().invoke(app, ["fit", str(data), "--out", str(folder), *TINY]).exit_code == 0
    return folder


def test_fit_writes_an_embedder_and_shows_the_validation_metric(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["fit", str(data), "--out", str(tmp_path / "new"), *TINY])
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{tmp_path / 'new'}: embedder ")
    assert "step 12/12" in done.stderr
    assert "calibration parts: accuracy" in done.stderr


def test_fit_keeps_a_log_beside_the_embedder_and_no_checkpoint(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["fit", str(data), "--out", str(tmp_path / "new"), *TINY])
    assert done.exit_code == 0
    assert [path.name for path in (tmp_path / "new.run").iterdir()] == ["log.jsonl"]
    last = json.loads((tmp_path / "new.run" / "log.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["steps"]) == (12, 12)
    assert 0 <= last["validation"]["value"] <= 1


def test_a_run_that_diverged_leaves_the_rows_in_its_log(data: Path, tmp_path: Path) -> None:
    wild = ["--preset", "smnrt17", "--set", "lr=1e30"]
    assert CliRunner().invoke(app, ["fit", str(data), "--out", str(tmp_path / "new"), *TINY, *wild]).exit_code == 1
    last = json.loads((tmp_path / "new.run" / "log.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "diverged"
    assert len(last["row_ids"]) == 32


def test_what_was_used_is_written_into_the_embedder(embedder: Path) -> None:
    settings = json.loads((embedder / "embedder.json").read_text())["settings"]
    assert settings["network"]["widths"] == [8, 16]
    assert settings["loss"]["loss"] == "classify-contrast"
    assert settings["sampling"] == {"sampler": "weighted", "per_class": 4}
    assert settings["seed"] == 0


def test_evaluate_prints_a_table_for_each_question(data: Path, embedder: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(embedder), str(data)], env={"COLUMNS": "170"})
    assert done.exit_code == 0
    assert "nearest anchor" in done.stdout
    assert "escapes" in done.stdout
    assert "Classes, by" in done.stdout
    assert "1:1, the same class?" in done.stdout
    assert "1:N, which class?" in done.stdout
    assert "A class the references do not have" in done.stdout
    assert "the embedder was trained on rows of 0, 1, 2" in " ".join(done.stdout.split())


def test_evaluate_writes_the_figures_to_a_file(data: Path, embedder: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    done = CliRunner().invoke(app, ["evaluate", str(embedder), str(data), "--json", "--out", str(out)])
    assert out.read_text() == done.stdout


def test_a_file_that_cannot_be_written_is_named(data: Path, embedder: Path, tmp_path: Path) -> None:
    out = tmp_path / "missing" / "figures.json"
    done = CliRunner().invoke(app, ["evaluate", str(embedder), str(data), "--out", str(out)])
    assert done.exit_code == 1
    assert f"{out}: No such file or directory; no figures were written" in done.stderr


def test_evaluate_prints_json_for_programs(data: Path, embedder: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(embedder), str(data), "--json"])
    found = json.loads(done.stdout)
    assert (found["n_queries"], found["n_references"]) == (48, 192)


def test_evaluating_fitted_rows_is_refused_in_one_line(data: Path, embedder: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(embedder), str(data), "--rows", "all"])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "the embedder was fitted on" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "lr=abc"], "setting optimiser.lr: 'abc' does not fit"),
        (["--preset", "worst"], "unknown preset 'worst', expected one of best, metric-learning"),
        (["--set", "steps"], "setting 'steps', expected name=value"),
        (["--preset", "smnrt17", "--set", "lr=1e30"], "diverged at step"),
        (["--label-column", "kind"], "kind"),
        (["--resume"], "no checkpoint to go on from"),
        (["--set", "device=gpu"], "setting device: 'gpu' does not fit"),
        (["--set", "kind=timm", "--set", "weights=nowhere.pth"], "network.weights: 'nowhere.pth': no such file"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(data: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["fit", str(data), "--out", str(tmp_path / "new"), *TINY, *arguments])
    assert done.exit_code == 1
    assert told in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("miwake-train: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["fit", str(tmp_path / "none.parquet"), "--out", str(tmp_path / "new")])
    assert done.exit_code == 1
    assert "none.parquet: no such file or folder" in done.stderr


def test_a_folder_that_holds_no_embedder_is_named(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path), str(data)])
    assert done.exit_code == 1
    assert str(tmp_path) in done.stderr


def test_wrong_usage_is_status_2(data: Path) -> None:
    assert CliRunner().invoke(app, ["fit", str(data)]).exit_code == 2
    assert CliRunner().invoke(app, ["fit", str(data), "--out", "x", "--steps", "0"]).exit_code == 2


def test_presets_are_listed_with_what_they_are() -> None:
    done = CliRunner().invoke(app, ["presets"], env={"COLUMNS": "150"})
    assert done.exit_code == 0
    assert "best (default)" in done.stdout
    assert all(name in done.stdout for name in PRESETS)
