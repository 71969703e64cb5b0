from __future__ import annotations

import json
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
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    records = blob_records(300)
    np.savez(
        path,
        vectors=records.vectors,
        labels=records.labels,
        failure_modes=np.array(records.failure_modes),
        parts=np.array(records.parts),
        splits=np.array(records.splits),
        heat_map_shape=np.array(records.heat_map_shape),
    )
    return path


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    linear_discriminants(folder, held_out_split(blob_records(300))[0])
    return folder


@pytest.fixture
def store(tmp_path: Path, data: Path, embedder: Path) -> Path:
    result = run("build", data, "--store", tmp_path, "--station", "line1", "--embedder", embedder, "--pass-labels", "0")
    assert result.exit_code == 0, result.output
    return tmp_path


def test_build_takes_the_training_rows_and_says_what_it_measured(store: Path) -> None:
    described = json.loads(run("describe", "--store", store, "--json").stdout)

    assert described["n_references"] == 480
    assert described["calibration"]["evidence"]["methods"]["vote"]["accuracy"] > 0.8
    assert sorted(described["health"]["limits"]) == ["dead_lines", "focus", "gain", "mean", "saturation", "spread"]
    assert {one["label"]: one["is_pass"] for one in described["classes"]} == {
        0: True,
        1: False,
        2: False,
        3: False,
        7: False,
    }


def test_rebuild_adds_records_once(store: Path, data: Path) -> None:
    first = json.loads(run("rebuild", "--store", store, "--add", data, "--rows", "all", "--json").stdout)
    again = json.loads(run("rebuild", "--store", store, "--add", data, "--rows", "all", "--json").stdout)

    assert (first["generation"], first["n_added"], first["n_references"]) == ("g000002", 120, 600)
    assert (again["generation"], again["n_added"], again["n_references"]) == ("g000003", 0, 600)


def test_the_kind_of_index_is_an_option_and_told(store: Path) -> None:
    rebuilt = run("rebuild", "--store", store, "--index-kind", "ivf-flat", "--min-recall", "0.98")
    assert rebuilt.exit_code == 0, rebuilt.output

    search = json.loads(run("describe", "--store", store, "--json").stdout)["search"]
    assert (search["kind"], search["bound"]) == ("ivf-flat", 0.98)
    assert search["agreement"]["references"] >= 0.98
    assert "search ivf-flat, n_lists" in run("describe", "--store", store).stdout


def test_a_rebuild_keeps_what_the_station_was_built_with(store: Path) -> None:
    first = run("rebuild", "--store", store, "--index-kind", "ivf-flat", "--min-recall", "0.9", "--candidates", "40")
    second = run("rebuild", "--store", store, "--voting", "9")
    assert (first.exit_code, second.exit_code) == (0, 0), second.output

    manifest = json.loads((store / "line1" / "generations" / "g000003" / "manifest.json").read_text())
    kept = {name: manifest["settings"][name] for name in ("index_kind", "min_recall", "n_candidates", "n_voting")}
    assert kept == {"index_kind": "ivf-flat", "min_recall": 0.9, "n_candidates": 40, "n_voting": 9}


def test_a_rebuild_refuses_what_does_not_fit_what_it_keeps(store: Path) -> None:
    assert run("rebuild", "--store", store, "--candidates", "10").exit_code == 2


def test_a_kind_that_nobody_knows_is_wrong_usage(store: Path) -> None:
    assert run("rebuild", "--store", store, "--index-kind", "scann").exit_code == 2


def burrs(folder: Path) -> Path:
    """Write records whose class the station does not know."""
    path = folder / "burrs.npz"
    vectors = blob_records(30, seed=9, labels=(1,)).vectors[:12]
    np.savez(path, vectors=vectors, labels=np.ones(12, dtype=np.int32), heat_map_shape=np.array([12, 13]))
    return path


def test_added_records_are_found_before_a_rebuild(store: Path, tmp_path: Path) -> None:
    path = burrs(tmp_path)

    added = run("add", path, "--store", store, "--label", "44", "--failure-mode", "edge burr", "--json")
    found = json.loads(run("search", path, "--store", store, "--row", "3", "--neighbours", "1", "--json").stdout)

    described = run("describe", "--store", store).stdout.splitlines()[0]
    assert "1 later revisions are searched beside it" in described
    assert json.loads(added.stdout)["n_added"] == 12
    assert (found["revision"], found["generation"]) == (2, "g000001")
    assert [(one["id"], one["label"], one["failure_mode"]) for one in found["neighbours"]] == [
        ("burrs:3", 44, "edge burr")
    ]


def test_adding_the_same_records_again_changes_nothing(store: Path, tmp_path: Path) -> None:
    arguments = ("add", burrs(tmp_path), "--store", store, "--label", "44")
    run(*arguments)

    again = run(*arguments)

    assert again.stdout.splitlines()[0] == "revision 2: 12 unchanged"


def test_a_relabelled_reference_answers_with_its_new_label(store: Path, data: Path) -> None:
    changed = run("relabel", "blobs:12", "--label", "3", "--failure-mode", "dent", "--store", store)
    found = run("search", data, "--store", store, "--row", "12", "--neighbours", "1", "--json")

    assert changed.stdout == "revision 2: 1 relabelled\n"
    assert json.loads(found.stdout)["neighbours"][0]["failure_mode"] == "dent"


def test_the_history_of_a_reference_says_who_when_from_what_and_to_what(store: Path) -> None:
    run("relabel", "blobs:0", "--label", "7", "--failure-mode", "stain", "--by", "anna", "--store", store)
    run("remove", "blobs:0", "--store", store)

    shown = run("history", "blobs:0", "--store", store).stdout.splitlines()
    told = json.loads(run("history", "blobs:0", "--store", store, "--json").stdout)

    assert [(one["revision"], one["verb"], one["to_label"]) for one in told["history"]] == [
        (1, "add", told["history"][0]["to_label"]),
        (2, "relabel", 7),
        (3, "remove", None),
    ]
    assert shown[1].startswith("revision 2  ")
    assert "  anna  relabel  " in shown[1]
    assert shown[1].endswith("→ 7 (stain)")
    assert shown[2].endswith("7 (stain) → not there")


def test_a_removed_reference_is_found_no_more(store: Path, data: Path) -> None:
    run("remove", "blobs:12", "blobs:13", "--store", store)

    found = run("search", data, "--store", store, "--row", "12", "--neighbours", "480", "--json")

    ids = [one["id"] for one in json.loads(found.stdout)["neighbours"]]
    assert len(ids) == 478
    assert not {"blobs:12", "blobs:13"} & set(ids)


def test_a_rolled_back_station_leaves_later_changes_waiting(store: Path, data: Path, tmp_path: Path) -> None:
    run("rebuild", "--store", store, "--add", burrs(tmp_path))
    rolled = run("rollback", "--store", store)

    found = run("search", data, "--store", store, "--neighbours", "480", "--json")
    described = json.loads(run("describe", "--store", store, "--json").stdout)
    told = run("describe", "--store", store).stdout.splitlines()[0]
    rebuilt = json.loads(run("rebuild", "--store", store, "--json").stdout)

    assert "1 later revisions are not searched with it" in told
    assert rolled.stdout == "line1: g000001 at revision 1\n"
    assert len(json.loads(found.stdout)["neighbours"]) == 480
    assert (described["generation"], described["revision"], described["latest_revision"]) == ("g000001", 1, 2)
    assert (rebuilt["generation"], rebuilt["n_references"]) == ("g000003", 492)


def test_search_gives_neighbours_nearest_first(store: Path, data: Path) -> None:
    result = run("search", data, "--store", store, "--row", "12", "--neighbours", "4", "--json")

    neighbours = json.loads(result.stdout)["neighbours"]
    matches = [one["match_distance"] for one in neighbours]
    assert len(neighbours) == 4
    assert matches == sorted(matches)
    assert neighbours[0]["id"] == "blobs:12"


def test_search_shows_a_table(store: Path, data: Path) -> None:
    result = run("search", data, "--store", store)

    assert result.exit_code == 0
    assert "blobs:0" in result.stdout


def test_check_finds_nothing_wrong_in_a_sound_station(store: Path) -> None:
    result = run("check", "--store", store)

    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ok", "ok", "ok"]


@pytest.mark.parametrize(
    "name",
    [
        "index.faiss",
        "embeddings.npy",
        "vectors.npy",
        "references.arrow",
        "anchors.npz",
        "calibration.json",
        "canaries.npz",
        "manifest.json",
    ],
)
def test_check_names_a_damaged_file(store: Path, name: str) -> None:
    path = store / "line1" / "generations" / "g000001" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    result = run("check", "--store", store)

    assert result.exit_code == 1
    assert name in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("describe", "--station", "line2"), "no station 'line2', it has line1"),
        (("describe", "--generation", "g000009"), "g000009"),
        (("search", "DATA", "--row", "900"), "row 900 of 600"),
        (("remove", "blobs:12", "nobody"), "nobody"),
        (("relabel", "nobody", "--label", "1", "--failure-mode", "burr"), "nobody"),
        (("history", "nobody"), "there never was a reference 'nobody'"),
        (("rollback",), "no generation before g000001"),
        (("rollback", "--to", "g000007"), "g000007"),
        (("search", "missing.parquet"), "missing.parquet: no such file"),
        (("build", "DATA", "--station", "line1", "--embedder", "EMBEDDER"), "exists already"),
        (("build", "DATA", "--station", "../out", "--embedder", "EMBEDDER"), "station name '../out'"),
        (("build", "DATA", "--station", "line2", "--embedder", "nowhere"), "embedder.json: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_item(
    store: Path, data: Path, embedder: Path, arguments: tuple[str, ...], message: str
) -> None:
    named = {"DATA": str(data), "EMBEDDER": str(embedder)}

    result = run(*(named.get(one, one) for one in arguments), "--store", store)

    assert result.exit_code == 1
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output
    assert not (store.parent / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "DATA", "--station", "s", "--embedder", "e", "--heat-map-shape", "36"),
        ("build", "DATA", "--station", "s", "--embedder", "e", "--value-range", "9:1"),
        ("build", "DATA", "--station", "s", "--embedder", "e", "--pass-labels", "good"),
        ("build", "DATA", "--station", "s", "--embedder", "e", "--voting", "200"),
    ],
)
def test_wrong_usage_is_status_two(store: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments, "--store", store).exit_code == 2
