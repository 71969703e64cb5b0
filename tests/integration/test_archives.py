"""Stores as earlier releases wrote them open in this one, answer as they did, and go on; later ones are refused."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from archives.make import N_NEIGHBOURS, made_records
from miwake.indexer.answers import Decision
from miwake.indexer.build import rebuild
from miwake.indexer.checking import check
from miwake.indexer.errors import ArtifactVersionError, CalibrationError
from miwake.indexer.index import InspectionIndex
from miwake.indexer.opening import open_index, open_live, roll_back
from miwake.indexer.storage.backup import backup
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.telling.describe import describe
from miwake.indexer.thresholding import change
from miwake.indexer.verdict.request import ThresholdRequest
from miwake.indexer.verdict.scores import read_scores
from support.archived import ARCHIVES, unpack

TOLERANCE = 1e-4
"""Of distances and probabilities; another processor rounds differently, by about 1e-6."""

ABSURD_VERSION = 999


NAMES = sorted(path.name.removesuffix(".tar.xz") for path in ARCHIVES.glob("*.tar.xz"))


def told_of(name: str) -> dict[str, Any]:
    """Return by station what the release that wrote an archive answered."""
    told: dict[str, Any] = json.loads((ARCHIVES / f"{name}.json").read_text(encoding="utf-8"))
    return told


@pytest.fixture(params=NAMES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Return an unpacked store and, by station, what the release that wrote it answered."""
    return unpack(tmp_path, request.param), told_of(request.param)


@pytest.fixture(params=[f"{name}/{station}" for name in NAMES for station in told_of(name)])
def station(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    name, one = request.param.split("/")
    return unpack(tmp_path, name) / one, told_of(name)[one]


def answers(index: InspectionIndex, expected: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what an index answers to the archived queries: what must be equal, and what is measured."""
    queries, told = np.array(expected["queries"], dtype=np.float32), expected.get("templates")
    templates = None if told is None else np.array(told, dtype=np.float32)
    verdicts = index.classify(queries, templates=templates, n_neighbours=N_NEIGHBOURS)
    equal = {
        "labels": verdicts.labels.tolist(),
        "failure_modes": list(verdicts.failure_modes),
        "decisions": [Decision(one).name for one in verdicts.decisions.tolist()],
        "method_labels": verdicts.method_labels.tolist(),
        "anchor_labels": verdicts.anchor_labels.tolist(),
        "neighbour_ids": [list(ids) for ids in verdicts.neighbours.ids],
    }
    measured = {
        "probabilities": verdicts.probabilities,
        "novelty": verdicts.novelty,
        "anchor_distances": verdicts.anchor_distances,
        **{
            name: getattr(verdicts.neighbours, name)
            for name in ("distances", "beta", "eta", "gamma", "match_distances")
        },
    }
    return equal, measured


def test_an_archived_station_is_what_it_was(station: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = station

    index = open_live(folder)

    found = (index.generation, index.revision, index.n_references, index.embedder_id, index.calibration.rerank.space)
    assert found == tuple(expected[name] for name in ("generation", "revision", "n_references", "embedder_id", "space"))


def test_an_archived_station_answers_as_it_did(station: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = station

    equal, measured = answers(open_live(folder), expected)

    assert equal == {name: expected[name] for name in equal}
    assert {
        name: float(np.abs(np.array(expected["numbers"][name]) - values).max()) < TOLERANCE
        for name, values in measured.items()
    } == dict.fromkeys(measured, True)


def test_the_references_of_an_archived_station_are_all_there(station: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = station

    with ReferenceStore.open(folder) as references:
        counts = {str(one): len(references.snapshot(one)) for one in range(references.revision + 1)}
        row_hashes = references.snapshot().row_hashes
        history = {one: [asdict(entry) for entry in references.history(one)] for one in expected["history"]}

    assert counts == expected["references_of_revisions"]
    assert list(row_hashes) == expected["row_hashes"]
    assert {one: [entry | {"at": ""} for entry in entries] for one, entries in history.items()} == {
        one: [entry | {"at": ""} for entry in entries] for one, entries in expected["history"].items()
    }


def test_an_archived_station_passes_the_check(station: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = station

    assert [finding for finding in check(folder) if finding.problem] == []


def test_an_archived_station_is_described_and_backed_up(station: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, expected = station

    described = describe(folder)
    copy = backup(StationFolder(folder), tmp_path / "backup")

    assert (described.generation, described.n_references) == (expected["generation"], n_stored(folder))
    assert answers(open_live(copy.path), expected)[0] == answers(open_live(folder), expected)[0]


def n_stored(folder: Path) -> int:
    """Return N of the current generation, without what was changed since."""
    return open_index(folder).n_references


def test_what_the_first_format_lacks_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    folder = unpack(tmp_path, "store-format-1") / "changed"

    with pytest.raises(CalibrationError, match=r"built before calibration scores were kept.*`miwake-index rebuild`"):
        change(folder, ThresholdRequest(pass_at_most=0.01), actor="test")


def test_an_archived_station_goes_on(station: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = station
    known = len(expected["row_hashes"])
    before = answers(open_index(folder, "g000001"), expected)[0]

    with ReferenceStore.open(folder) as references:
        references.add(made_records(5, seed=7, name="new"), actor="test")
    rebuilt = rebuild(StationFolder(folder))
    n_rebuilt = open_live(folder).n_references
    rolled_back = roll_back(folder, "g000001")

    assert (rebuilt.generation, rebuilt.n_references, n_rebuilt) == ("g000003", known + 10, known + 10)
    assert answers(rolled_back, expected)[0] == before


def reseal(folder: Path) -> None:
    """Write the hashes of a changed station anew, as the release that changed it would have."""
    current = json.loads((folder / "CURRENT").read_text())
    generation = folder / "generations" / current["generation"]
    manifest = json.loads((generation / "manifest.json").read_text())
    manifest["files"] = {name: sha256(generation / name) for name in manifest["files"]}
    embedder = folder / "embedders" / manifest["embedder_id"]
    manifest["embedder_files"] = {name: sha256(embedder / name) for name in manifest["embedder_files"]}
    write_json(generation / "manifest.json", manifest)
    digest = sha256(generation / "manifest.json")
    (generation / "manifest.sha256").write_text(f"{digest}  manifest.json\n")
    write_json(folder / "CURRENT", current | {"manifest_sha256": digest})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def version_json(path: Path) -> None:
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"format_version": ABSURD_VERSION})


def has_version(path: Path) -> bool:
    with np.load(path) as stored:
        return "format_version" in stored


def version_npz(path: Path) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays | {"format_version": np.int32(ABSURD_VERSION)})


def version_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {ABSURD_VERSION}")


def version_arrow(path: Path) -> None:
    with pa.OSFile(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    table = table.replace_schema_metadata({"format_version": str(ABSURD_VERSION)})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("references.db", version_database),
        ("CURRENT", version_json),
        ("generations/g000002/manifest.json", version_json),
        ("generations/g000002/calibration.json", version_json),
        ("generations/g000002/references.arrow", version_arrow),
        ("embedders/257417d0fcbb/embedder.json", version_json),
    ],
)
def test_a_later_format_is_refused_by_name(
    archive: tuple[Path, dict[str, Any]], name: str, change: Callable[[Path], None]
) -> None:
    folder = archive[0] / "changed"
    change(folder / name)
    if name not in {"references.db", "CURRENT"}:
        reseal(folder)

    with pytest.raises(ArtifactVersionError) as caught:
        open_live(folder)

    assert str(folder / name) in str(caught.value)
    assert f"format version {ABSURD_VERSION}, this release reads" in str(caught.value)


def test_a_threshold_set_of_a_later_format_is_refused_by_name(archive: tuple[Path, dict[str, Any]]) -> None:
    folder = archive[0] / "changed"
    generation = rebuild(StationFolder(folder)).generation
    change(folder, ThresholdRequest(pass_at_most=0.01), actor="test")
    path = folder / "thresholds" / generation / "t000001.json"
    version_json(path)
    current = json.loads((folder / "CURRENT").read_text())
    write_json(folder / "CURRENT", current | {"threshold_sha256": sha256(path)})

    with pytest.raises(ArtifactVersionError, match=r"t000001.json: format version 999, this release reads 1"):
        open_live(folder)


def test_every_version_in_a_new_generation_is_looked_at(archive: tuple[Path, dict[str, Any]]) -> None:
    folder = archive[0] / "changed"
    generation = folder / "generations" / rebuild(StationFolder(folder)).generation
    changes: list[tuple[Path, Callable[[Path], None]]] = [
        *((path, version_json) for path in (*generation.glob("*.json"), *folder.glob("embedders/*/*.json"))),
        *((path, version_npz) for path in generation.glob("*.npz") if has_version(path)),
    ]

    def is_refused(path: Path, change: Callable[[Path], None]) -> bool:
        as_written = path.read_bytes()
        change(path)
        reseal(folder)
        try:
            open_live(folder)
            describe(folder)
            read_scores(generation)
        except ArtifactVersionError as error:
            return str(path) in str(error)
        finally:
            path.write_bytes(as_written)
            reseal(folder)
        return False

    assert len(changes) >= 5
    assert [path.name for path, change in changes if not is_refused(path, change)] == []
