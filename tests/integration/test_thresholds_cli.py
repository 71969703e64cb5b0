"""``miwake-index thresholds``, and promises on ``build`` and ``rebuild``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from miwake.indexer.cli import app
from miwake.indexer.splits import held_out_split
from support.blobs import blob_records
from support.embedders import linear_discriminants


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, an embedder and a store that was built with a promise."""
    folder = tmp_path_factory.mktemp("built")
    records = blob_records(300)
    np.savez(
        folder / "blobs.npz",
        vectors=records.vectors,
        labels=records.labels,
        failure_modes=np.array(records.failure_modes),
        parts=np.array(records.parts),
        splits=np.array(records.splits),
        heat_map_shape=np.array(records.heat_map_shape),
    )
    linear_discriminants(folder / "embedder", held_out_split(records)[0])
    result = build_with(folder, folder / "store", "--max-escape", "25%", "--max-overkill", "0.3")
    assert result.exit_code == 0, result.output
    assert "rejects decided PASS: promised 25 %, shown" in result.stdout
    return folder


def build_with(folder: Path, store: Path, *options: str) -> Result:
    where = "--store", store, "--station", "line1", "--embedder", folder / "embedder", "--pass-labels", "0"
    return run("build", folder / "blobs.npz", *where, *options)


@pytest.fixture
def store(tmp_path: Path, built: Path) -> Path:
    return Path(shutil.copytree(built / "store", tmp_path / "store"))


def thresholds(store: Path, *options: str) -> Result:
    return run("thresholds", "--store", store, *options)


def test_without_options_it_shows_what_is_served(store: Path) -> None:
    shown = json.loads(thresholds(store, "--json").stdout)

    assert (shown["name"], shown["generation"], shown["is_served"]) == ("t000001", "g000001", True)
    assert shown["request"]["max_escape"] == 0.25
    assert {one["is_pass"] for one in shown["chosen"]["realised"]["sides"]} == {True, False}


def test_promised_and_realised_stand_side_by_side(store: Path) -> None:
    text = thresholds(store).stdout

    assert "passes decided REJECT: promised 30 %, shown" in text
    assert "realised 0 of" in text
    assert "UNKNOWN: no promise, realised" in text


def test_a_promise_that_cannot_be_shown_ends_with_status_1_and_what_it_would_take(store: Path) -> None:
    result = thresholds(store, "--max-escape", "0.1%")

    assert result.exit_code == 1
    assert "not enough rejects to promise this" in result.stderr
    assert "0.1 % takes 2,995 parts without one" in result.stderr
    assert json.loads(thresholds(store, "--json").stdout)["name"] == "t000001"


def test_sets_are_chosen_listed_shown_and_served(store: Path) -> None:
    chosen = json.loads(thresholds(store, "--cost", "escape=20,overkill=1,review=0.1", "--json").stdout)
    listed = json.loads(thresholds(store, "--list", "--json").stdout)
    shown = json.loads(thresholds(store, "--show", "t000001", "--json").stdout)
    served = json.loads(thresholds(store, "--set", "default", "--json").stdout)

    assert (chosen["name"], chosen["before"]) == ("t000002", "t000001")
    assert [one["name"] for one in listed["sets"]] == ["default", "t000001", "t000002"]
    assert [one["is_served"] for one in listed["sets"]] == [False, False, True]
    assert (shown["name"], shown["is_served"]) == ("t000001", False)
    assert (served["name"], served["is_served"]) == ("default", True)


def test_the_list_is_readable(store: Path) -> None:
    text = thresholds(store, "--list").stdout

    assert "g000001 default: as built" in text
    assert "g000001 t000001: escapes at most 25 %, overkill at most 30 %, by " in text
    assert text.count("<- served") == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--max-escape", "lots"), 2),
        (("--max-escape", "5"), 2),
        (("--max-escape", "1%", "--max-escape", "2%"), 2),
        (("--max-escape", "x=1%"), 2),
        (("--pass-at-most", "0.1", "--max-escape", "1%"), 2),
        (("--cost", "escape=1"), 2),
        (("--set", "t000009"), 1),
        (("--set", "default", "--max-escape", "20%"), 2),
        (("--list", "--show", "default"), 2),
        (("--generation", "g000001", "--max-escape", "20%"), 2),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    store: Path, options: tuple[str, ...], expected: int
) -> None:
    before = (store / "line1" / "CURRENT").read_bytes()

    result = thresholds(store, *options)

    assert result.exit_code == expected
    assert "Traceback" not in result.output
    assert (store / "line1" / "CURRENT").read_bytes() == before


def test_the_promise_of_one_class_names_it(store: Path) -> None:
    result = thresholds(store, "--max-escape", "7=1%")

    assert result.exit_code == 1
    assert "label 7" in result.stderr


def test_a_build_whose_promise_cannot_be_shown_publishes_nothing(built: Path, tmp_path: Path) -> None:
    result = build_with(built, tmp_path / "store", "--max-escape", "0.1%")

    assert result.exit_code == 1
    assert "not enough rejects to promise this" in result.stderr
    assert not (tmp_path / "store" / "line1").exists()


def test_a_new_class_is_told_to_be_known_and_not_promised(store: Path, built: Path, tmp_path: Path) -> None:
    with np.load(built / "blobs.npz") as data:
        rows = np.flatnonzero(data["labels"] == 7)[:6]
        np.savez(
            tmp_path / "new.npz",
            vectors=255 - data["vectors"][rows],
            labels=data["labels"][rows],
            heat_map_shape=data["heat_map_shape"],
        )
    where = "--store", store, "--label", "44", "--failure-mode", "burr"

    added = run("add", tmp_path / "new.npz", *where)
    again = run("add", tmp_path / "new.npz", *where, "--json")
    described = run("describe", "--store", store)

    told = "label 44: 6 references, recognised by its votes and its anchor; not calibrated: no promise covers it until"
    assert told in added.stdout
    assert told in described.stdout
    assert json.loads(again.stdout)["not_calibrated"][0]["label"] == 44


def test_a_known_class_is_not_told_to_be_new(store: Path, built: Path) -> None:
    added = run("add", built / "blobs.npz", "--store", store, "--rows", "training")

    assert "not calibrated" not in added.stdout
