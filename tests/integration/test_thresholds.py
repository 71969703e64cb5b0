"""Threshold sets: chosen from promises, stored, served at once, kept by a rebuild, and found again after a way back."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.answers import Decision, DecisionReason
from miwake.indexer.build import Built, build, rebuild
from miwake.indexer.checking import check
from miwake.indexer.errors import ArtifactCorruptError, CalibrationError, PromiseError, StoreError
from miwake.indexer.opening import follow, open_index, open_live, roll_back
from miwake.indexer.storage.backup import backup
from miwake.indexer.storage.files import read_json, to_json
from miwake.indexer.storage.generation import MANIFEST_FILE, MANIFEST_HASH_FILE, Manifest
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.storage.threshold_sets import sets_path
from miwake.indexer.thresholding import change, describe_set, describe_sets, serve
from miwake.indexer.verdict.request import ThresholdRequest
from miwake.indexer.verdict.scores import SCORES_FILE
from support.blobs import blob_records
from support.embedders import linear_discriminants

PROMISE = ThresholdRequest(max_escape=0.2, max_overkill=0.3)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    records = blob_records(400)
    linear_discriminants(folder / "embedder", records)
    build(folder / "store", "line1", records, folder / "embedder")
    return folder


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory, built: Path) -> tuple[Path, Built]:
    """A station with two sets on its first generation, of which the first was served when the second was built."""
    folder = tmp_path_factory.mktemp("rebuilt")
    shutil.copytree(built / "store", folder / "store")
    station = StationFolder(folder / "store" / "line1")
    change(station.path, PROMISE, actor="test")
    change(station.path, ThresholdRequest(max_escape=0.25), actor="test")
    serve(station.path, "t000001")
    return folder, rebuild(station)


@pytest.fixture
def second(tmp_path: Path, rebuilt: tuple[Path, Built]) -> StationFolder:
    shutil.copytree(rebuilt[0] / "store", tmp_path / "store")
    return StationFolder(tmp_path / "store" / "line1")


@pytest.fixture
def station(tmp_path: Path, built: Path) -> StationFolder:
    shutil.copytree(built / "store", tmp_path / "store")
    return StationFolder(tmp_path / "store" / "line1")


def test_a_promise_is_served_at_once_and_named(station: StationFolder) -> None:
    index = open_live(station.path)

    described = change(station.path, PROMISE, actor="test")

    followed = follow(index, station.path)
    assert (index.threshold_set, followed.threshold_set) == ("default", "t000001")
    assert followed.calibration.thresholds == described.chosen.thresholds
    assert open_live(station.path).threshold_set == open_index(station.path).threshold_set == "t000001"


def test_a_set_decides_and_the_way_back_decides_as_before(station: StationFolder) -> None:
    vectors = blob_records(80, seed=1).vectors
    index = open_live(station.path)
    before = index.classify(vectors)

    change(station.path, ThresholdRequest(pass_at_most=0.0, reject_at_least=1.0), actor="test")
    strict = follow(index, station.path).classify(vectors)
    serve(station.path, "default")
    after = follow(follow(index, station.path), station.path).classify(vectors)

    assert set(strict.decisions.tolist()) <= {Decision.REVIEW, Decision.UNKNOWN}
    np.testing.assert_array_equal(strict.labels, before.labels)
    np.testing.assert_array_equal(after.decisions, before.decisions)


def test_health_is_given_no_room_and_any_by_a_set(station: StationFolder) -> None:
    vectors = blob_records(80, seed=1).vectors
    index = open_live(station.path)
    before = index.classify(vectors)

    change(station.path, ThresholdRequest(health_at_most=1e-6), actor="test")
    strict = follow(index, station.path).classify(vectors)
    change(station.path, ThresholdRequest(health_at_most="off"), actor="test")
    lax = open_live(station.path).classify(vectors)

    passed = before.decisions == Decision.PASS
    assert passed.sum() > 5
    assert (strict.decisions[passed] == Decision.REVIEW).all()
    np.testing.assert_array_equal(strict.decisions[~passed], before.decisions[~passed])
    assert (lax.decisions[passed] == Decision.PASS).all()
    assert not (lax.reasons & DecisionReason.FOCUS).any()
    np.testing.assert_array_equal(lax.health, before.health)


def test_following_from_any_set_leads_to_the_one_that_is_served(station: StationFolder) -> None:
    change(station.path, PROMISE, actor="test")
    index = open_live(station.path)
    serve(station.path, "default")

    back = follow(index, station.path)

    assert back.threshold_set == "default"
    assert follow(back, station.path) is back


def test_what_was_asked_before_is_asked_on(station: StationFolder) -> None:
    change(station.path, ThresholdRequest(max_escape=0.2), actor="test")

    described = change(station.path, ThresholdRequest(max_overkill=0.3), actor="test")

    assert described.request == PROMISE
    assert (described.name, described.before) == ("t000002", "t000001")


def test_a_promise_that_cannot_be_shown_changes_nothing(station: StationFolder) -> None:
    change(station.path, PROMISE, actor="test")
    current = (station.path / "CURRENT").read_bytes()

    with pytest.raises(PromiseError, match="not enough rejects"):
        change(station.path, ThresholdRequest(max_escape=0.001), actor="test")

    assert (station.path / "CURRENT").read_bytes() == current
    assert [one.name for one in describe_sets(station.path)] == ["default", "t000001"]


def test_what_is_told_of_a_set_is_what_was_found_when_it_was_chosen(station: StationFolder) -> None:
    described = change(station.path, PROMISE, actor="somebody")

    again = describe_set(station.path, name="t000001")

    assert again == described
    assert (again.actor, again.is_served, again.generation) == ("somebody", True, "g000001")
    assert [one.promised for one in again.chosen.bounds] == [0.2, *[None] * (len(again.chosen.bounds) - 2), 0.3]
    assert all(one.bound <= one.promised for one in again.chosen.bounds if one.promised)


def test_the_generations_own_thresholds_are_told_with_what_they_realised(station: StationFolder) -> None:
    described = describe_set(station.path)

    assert described.name == "default"
    assert len(described.chosen.realised.sides) == 2


class TestRebuild:
    def test_a_promise_is_kept_by_a_rebuild(self, second: StationFolder, rebuilt: tuple[Path, Built]) -> None:
        described = describe_set(second.path)

        assert (described.generation, described.name, described.request) == ("g000002", "t000001", PROMISE)
        assert rebuilt[1].thresholds == described.chosen
        assert open_live(second.path).threshold_set == "t000001"

    def test_a_promise_that_cannot_be_kept_is_told_and_is_never_laxer_than_without(
        self, station: StationFolder
    ) -> None:
        change(station.path, PROMISE, actor="test")
        references = open_index(station.path).contents.references
        rejects = np.flatnonzero(references.labels > 1)
        with ReferenceStore.open(station.path) as store:
            store.remove(references.ids(rejects), actor="test")

        made = rebuild(station)

        assert made.thresholds is not None
        assert "not enough rejects to promise this" in made.thresholds.problems[0]
        assert made.thresholds.thresholds.pass_at_most <= 0.1
        assert describe_set(station.path).chosen == made.thresholds

    def test_a_promise_asked_of_a_rebuild_that_cannot_be_shown_publishes_nothing(self, station: StationFolder) -> None:
        with pytest.raises(PromiseError):
            rebuild(station, request=ThresholdRequest(max_escape=0.001))

        assert station.generations() == ["g000001"]
        assert station.current().generation == "g000001"


def test_a_build_with_a_promise_serves_it_from_the_start(tmp_path: Path, built: Path) -> None:
    made = build(tmp_path, "line1", blob_records(400), built / "embedder", request=PROMISE)

    assert made.thresholds is not None
    assert open_live(tmp_path / "line1").calibration.thresholds == made.thresholds.thresholds


def test_a_build_that_cannot_promise_leaves_no_station(tmp_path: Path, built: Path) -> None:
    with pytest.raises(PromiseError):
        build(tmp_path, "line1", blob_records(400), built / "embedder", request=ThresholdRequest(max_escape=0.001))

    assert not (tmp_path / "line1").exists()


class TestRollBack:
    def test_a_generation_is_served_with_the_set_it_was_last_served_with(self, second: StationFolder) -> None:
        index = roll_back(second.path)

        assert (index.generation, index.threshold_set) == ("g000001", "t000001")
        assert second.current().threshold_set == "t000001"
        assert open_live(second.path).threshold_set == "t000001"

    def test_and_so_is_the_one_it_came_from(self, second: StationFolder) -> None:
        serve(second.path, "default")
        roll_back(second.path)

        roll_back(second.path, "g000002")

        assert open_live(second.path).threshold_set == "default"

    def test_thresholds_can_be_changed_after_it(self, second: StationFolder) -> None:
        roll_back(second.path)

        described = change(second.path, ThresholdRequest(max_overkill=0.4), actor="test")

        assert (described.generation, described.name) == ("g000001", "t000003")
        assert not second.current().follows


class TestDamage:
    def test_a_damaged_set_is_refused_and_named(self, station: StationFolder) -> None:
        change(station.path, PROMISE, actor="test")
        path = sets_path(station, "g000001") / "t000001.json"
        path.write_text(path.read_text().replace("pass_at_most", "pass_at_more"))

        with pytest.raises(ArtifactCorruptError, match=r"t000001\.json"):
            open_live(station.path)

    def test_a_set_that_is_gone_is_refused(self, station: StationFolder) -> None:
        index = open_live(station.path)
        change(station.path, PROMISE, actor="test")
        shutil.rmtree(sets_path(station, "g000001"))

        with pytest.raises(ArtifactCorruptError, match="no threshold set 't000001'"):
            follow(index, station.path)

    def test_damaged_scores_are_refused(self, station: StationFolder) -> None:
        path = station.generation_path("g000001") / SCORES_FILE
        path.write_bytes(path.read_bytes()[:-1] + b"x")

        with pytest.raises(ArtifactCorruptError, match=SCORES_FILE):
            change(station.path, PROMISE, actor="test")

    def test_check_names_a_damaged_set(self, station: StationFolder) -> None:
        change(station.path, PROMISE, actor="test")
        change(station.path, ThresholdRequest(max_escape=0.25), actor="test")
        path = sets_path(station, "g000001") / "t000001.json"
        path.write_bytes(path.read_bytes() + b" ")

        problems = [one.problem for one in check(station.path) if one.problem]

        assert len(problems) == 1
        assert "t000001.json" in problems[0]


def test_a_backup_serves_the_same_set_and_holds_all(second: StationFolder, tmp_path: Path) -> None:
    serve(second.path, "default")

    copy = backup(second, tmp_path / "backup")

    assert copy.current() == second.current()
    assert roll_back(copy.path).threshold_set == "t000001"


def test_a_generation_without_scores_says_that_a_rebuild_is_needed(station: StationFolder) -> None:
    without_scores(station)
    index = open_live(station.path)

    with pytest.raises(CalibrationError, match="miwake-index rebuild"):
        change(station.path, PROMISE, actor="test")

    assert index.threshold_set == "default"


def without_scores(station: StationFolder) -> None:
    """Make the current generation one of the time before scores were kept, and ``CURRENT`` of its first format."""
    folder = station.generation_path("g000001")
    (folder / SCORES_FILE).unlink()
    manifest = read_json(folder / MANIFEST_FILE, Manifest, 1)
    files = {name: sha for name, sha in manifest.files.items() if name != SCORES_FILE}
    (folder / MANIFEST_FILE).write_bytes(to_json(replace(manifest, files=files)))
    sha256 = hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()
    (folder / MANIFEST_HASH_FILE).write_text(f"{sha256}  {MANIFEST_FILE}\n")
    (station.path / "CURRENT").write_text(
        f'{{\n "follows": true,\n "format_version": 1,\n "generation": "g000001",\n "manifest_sha256": "{sha256}"\n}}\n'
    )


def test_a_set_that_does_not_exist_is_not_served(station: StationFolder) -> None:
    with pytest.raises(StoreError, match="there are: default"):
        serve(station.path, "t000007")


def test_a_set_that_is_missing_between_others_is_told(station: StationFolder) -> None:
    change(station.path, PROMISE, actor="test")
    change(station.path, ThresholdRequest(max_escape=0.25), actor="test")
    (sets_path(station, "g000001") / "t000001.json").unlink()

    problems = [one.problem for one in check(station.path) if one.problem]

    assert problems == [f"{sets_path(station, 'g000001')}: t000001 is missing, though there is t000002"]
