from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from miwake.indexer.errors import (
    ArtifactCorruptError,
    ArtifactVersionError,
    StationNotFoundError,
    StoreBusyError,
    StoreError,
)
from miwake.indexer.storage.station import CURRENT_FILE, Current, StationFolder, list_stations, make_folder
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

CURRENT = Current(generation="g000012", manifest_sha256="ab" * 32)
FORMAT_1 = f"""{{
 "follows": false,
 "format_version": 1,
 "generation": "g000012",
 "manifest_sha256": "{"ab" * 32}"
}}
"""


@pytest.fixture
def station(tmp_path: Path) -> StationFolder:
    folder = StationFolder(tmp_path / "line-1")
    make_folder(folder.path)
    return folder


@pytest.mark.parametrize("name", ["a", "Line-1", "9.front_left", "x" * 64])
def test_a_plain_name_is_a_station(tmp_path: Path, name: str) -> None:
    assert StationFolder(tmp_path / name).name == name


@pytest.mark.parametrize("name", [".hidden", "-x", "_x", "two words", "x" * 65, "ä", "a\n", ".."])
def test_any_other_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match=r"station name .*: expected 1 … 64 letters"):
        StationFolder(tmp_path / name)


def test_stations_are_the_folders_with_a_store(tmp_path: Path) -> None:
    for name in ("b", "a"):
        ReferenceStore.create(tmp_path / name, schema=SCHEMA).close()
    (tmp_path / "no station").mkdir()
    (tmp_path / "empty").mkdir()

    assert list_stations(tmp_path) == ["a", "b"]


def test_a_store_that_does_not_exist_has_no_stations(tmp_path: Path) -> None:
    assert list_stations(tmp_path / "nowhere") == []


def test_generations_are_listed_by_number(station: StationFolder) -> None:
    for name in ("g1000000", "g000002", "g000010", ".g000011.part", "other"):
        (station.generations_path / name).mkdir(parents=True)

    assert station.generations() == ["g000002", "g000010", "g1000000"]


def test_a_station_without_generations_has_none(station: StationFolder) -> None:
    assert station.generations() == []


@pytest.mark.parametrize("name", ["", "..", "g1", "g000001/..", "../g000001", "g000001\n", "G000001"])
def test_a_name_that_no_generation_can_have_is_refused(station: StationFolder, name: str) -> None:
    with pytest.raises(StoreError, match=re.escape(repr(name))):
        station.generation_path(name)


class TestCurrent:
    def test_what_was_set_is_current(self, station: StationFolder) -> None:
        station.set_current(CURRENT)

        assert station.current() == CURRENT

    def test_a_station_that_does_not_exist_is_told(self, station: StationFolder) -> None:
        with pytest.raises(StationNotFoundError, match="no station here"):
            station.current()

    def test_a_station_in_which_nothing_was_published_is_told(self, station: StationFolder) -> None:
        ReferenceStore.create(station.path, schema=SCHEMA).close()

        with pytest.raises(StationNotFoundError, match="nothing has been published"):
            station.current()

    @pytest.mark.parametrize("name", ["../../etc", "g1", "", "/g000001"])
    def test_a_name_that_leads_elsewhere_is_refused(self, station: StationFolder, name: str) -> None:
        station.set_current(Current(generation=name, manifest_sha256="ab" * 32))

        with pytest.raises(ArtifactCorruptError, match="CURRENT: damaged"):
            station.current()

    def test_another_format_version_is_refused_by_name(self, station: StationFolder) -> None:
        station.set_current(Current(generation="g000001", manifest_sha256="ab" * 32, format_version=3))

        with pytest.raises(ArtifactVersionError, match="CURRENT: format version 3"):
            station.current()

    def test_what_format_1_says_is_served_with_the_thresholds_of_its_generation(self, station: StationFolder) -> None:
        (station.path / CURRENT_FILE).write_text(FORMAT_1)

        assert station.current() == Current(generation="g000012", manifest_sha256="ab" * 32, follows=False)

    @pytest.mark.parametrize(
        ("found", "damaged"), [("12", "13 "), ("g000012", "g12"), ("false", "null"), ('1,\n "g', '1, "g')]
    )
    def test_format_1_in_any_other_form_is_refused(self, station: StationFolder, found: str, damaged: str) -> None:
        (station.path / CURRENT_FILE).write_text(FORMAT_1.replace(found, damaged))

        with pytest.raises(ArtifactCorruptError, match="CURRENT: "):
            station.current()

    @pytest.mark.parametrize(
        ("name", "sha256"),
        [("dEfault", ""), ("default", "cd" * 32), ("t000002", ""), ("t2", "cd" * 32), ("../t000002", "cd" * 32)],
    )
    def test_a_threshold_set_that_cannot_be_is_refused(self, station: StationFolder, name: str, sha256: str) -> None:
        station.set_current(replace(CURRENT, threshold_set=name, threshold_sha256=sha256))

        with pytest.raises(ArtifactCorruptError, match="CURRENT: damaged: names threshold set"):
            station.current()

    def test_the_threshold_set_is_part_of_what_is_current(self, station: StationFolder) -> None:
        current = replace(CURRENT, threshold_set="t000002", threshold_sha256="cd" * 32)
        station.set_current(current)

        assert station.current() == current

    @pytest.mark.parametrize(
        "text",
        ["", "g000012", json.dumps({"format_version": 1, "generation": "g000012", "manifest_sha256": "ab" * 32})],
    )
    def test_any_other_text_is_refused(self, station: StationFolder, text: str) -> None:
        (station.path / CURRENT_FILE).write_text(text)

        with pytest.raises(ArtifactCorruptError, match="CURRENT: "):
            station.current()

    def test_a_folder_in_its_place_is_refused(self, station: StationFolder) -> None:
        (station.path / CURRENT_FILE).mkdir()

        with pytest.raises(ArtifactCorruptError, match="CURRENT: cannot be read"):
            station.current()


class TestLock:
    def test_a_lock_that_cannot_be_opened_is_told(self, station: StationFolder) -> None:
        (station.path / "LOCK").mkdir()

        with pytest.raises(StoreError, match="LOCK: cannot be opened: Is a directory"), station.lock():
            pass

    def test_a_station_that_cannot_be_created_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with (
            pytest.raises(StoreError, match="file/line-1: cannot be created: Not a directory"),
            StationFolder(tmp_path / "file" / "line-1").lock(),
        ):
            pass

    def test_a_lock_that_another_holds_names_the_holder(self, station: StationFolder) -> None:
        with (
            station.lock(),
            pytest.raises(StoreBusyError, match=rf"line-1: locked by process {os.getpid()} \("),
            StationFolder(station.path).lock(),
        ):
            pass

    def test_a_lock_can_be_taken_after_it_was_released(self, station: StationFolder) -> None:
        with station.lock():
            pass

        with StationFolder(station.path).lock():
            holder = (station.path / "LOCK").read_text()

        assert holder.startswith(f"process {os.getpid()} (")
        assert holder.count("\n") == 1

    def test_whoever_holds_the_lock_may_take_it_again_and_keeps_it(self, station: StationFolder) -> None:
        with station.lock():
            with station.lock():
                pass

            with pytest.raises(StoreBusyError), StationFolder(station.path).lock():
                pass

    def test_an_error_releases_the_lock(self, station: StationFolder) -> None:
        with pytest.raises(ZeroDivisionError), station.lock():
            raise ZeroDivisionError

        with StationFolder(station.path).lock():
            pass

    def test_stations_have_locks_of_their_own(self, station: StationFolder, tmp_path: Path) -> None:
        with station.lock(), StationFolder(tmp_path / "line-2").lock():
            pass
