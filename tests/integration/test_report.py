"""``miwake-train report`` on files, and its page in a real browser that has no network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from typer.testing import CliRunner

from miwake.indexer.sources.parquet_writer import write_parquet
from miwake.indexer.telling.rates import number, percent
from miwake.training.cli import app
from support.blobs import blob_records
from support.browser import laid_out, needs_chromium

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

TINY = ("--set", "widths=8,16", "--set", "batch_size=32", "--set", "threads=1", "--steps", "12")


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data, an embedder that was fitted for a dozen steps, and the report on it."""
    folder = tmp_path_factory.mktemp("report")
    write_parquet(blob_records(150), folder / "blobs.parquet")
    fitted = ask("fit", folder / "blobs.parquet", "--out", folder / "embedder", *TINY)
    assert fitted.exit_code == 0, fitted.stderr
    done = ask("report", folder / "embedder", folder / "blobs.parquet", "--out", folder / "report")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"written to {folder / 'report' / 'report.html'}")
    return folder


def test_the_figures_are_those_that_evaluate_prints(folder: Path) -> None:
    told = json.loads(ask("evaluate", folder / "embedder", folder / "blobs.parquet", "--json").stdout)

    text = (folder / "report" / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    for way in ("nearest_anchor", "nearest_references", "vote", "soart3_vote"):
        assert percent(told[way]["accuracy"]["value"]) in text
        assert number(told[way]["macro_f1"]) in text
        assert percent(told[way]["escape"]["value"]) in text
    for one in told["classes"]:
        assert number(one["verification"]["references"]["euclidean"]["auc"]) in text


def test_the_pictures_of_the_page_lie_beside_it(folder: Path) -> None:
    paths = sorted((folder / "report" / "report-pictures").iterdir())

    assert {"confusion", "roc-verification", "reliability", "embedding-map", "training"} <= {one.stem for one in paths}
    for path in paths:
        with Image.open(path) as picture:
            picture.verify()
            assert picture.format == "PNG"
            assert picture.width > 200


def test_the_page_names_the_command_that_fits_such_an_embedder(folder: Path) -> None:
    text = (folder / "report" / "report.html").read_text(encoding="utf-8")

    assert "miwake-train fit DATA --out OUT --preset best --seed 0" in text
    assert "--set network.widths=8,16" in text


@needs_chromium
def test_a_browser_without_a_network_lays_out_every_figure(folder: Path, tmp_path: Path) -> None:
    found = laid_out(folder / "report" / "report.html", tmp_path)

    assert found.fetched == []
    assert len(found.images) > 15
    assert [one for one in found.images if one.natural_width == 0 or min(one.width, one.height) < 100] == []
    assert found.page_width <= found.window_width


@pytest.mark.parametrize(
    ("embedder", "data", "options", "told"),
    [
        ("embedder", "blobs.parquet", ("--rows", "all"), "the embedder was fitted on"),
        ("embedder", "nothing.parquet", (), "nothing.parquet"),
        ("nothing", "blobs.parquet", (), "embedder.json: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    folder: Path, tmp_path: Path, embedder: str, data: str, options: tuple[str, ...], told: str
) -> None:
    done = ask("report", folder / embedder, folder / data, "--out", tmp_path / "new", *options)

    assert done.exit_code == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()
