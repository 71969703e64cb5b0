from __future__ import annotations

import os
from pathlib import Path

import pytest

from miwake.indexer.errors import ArtifactCorruptError, StationNotFoundError
from miwake.indexer.storage.generation import publish
from miwake.indexer.storage.station import StationFolder
from miwake.server.opener import StoreOpener
from support.references import make_station, writes_references

LONG_AGO = 1_000_000_000


@pytest.fixture
def station(tmp_path: Path) -> StationFolder:
    station = make_station(tmp_path / "line1")
    publish(station, writes_references(station))
    return station


def settle(station: StationFolder) -> None:
    """Make the files look as if nothing had touched them for long."""
    for name in ("CURRENT", "references.db"):
        os.utime(station.path / name, (LONG_AGO, LONG_AGO))


def test_every_change_of_what_is_current_is_seen_however_fast_it_comes(station: StationFolder) -> None:
    opener = StoreOpener()
    first = station.current()
    publish(station, writes_references(station))
    second = station.current()

    seen = []
    for current in (first, second) * 10:
        station.set_current(current)
        seen.append(opener.current_generation(station.path))

    assert seen == ["g000001", "g000002"] * 10


def test_a_change_after_a_long_rest_is_seen(station: StationFolder) -> None:
    opener = StoreOpener()
    settle(station)
    before = opener.current_generation(station.path)
    publish(station, writes_references(station))

    assert (before, opener.current_generation(station.path)) == ("g000001", "g000002")


def test_what_has_not_changed_is_not_read_again(station: StationFolder) -> None:
    opener = StoreOpener()
    settle(station)
    before = opener.current_generation(station.path)
    current = station.path / "CURRENT"
    current.write_bytes(b"x" * len(current.read_bytes()))
    settle(station)

    assert opener.current_generation(station.path) == before


def test_damage_is_told(station: StationFolder) -> None:
    (station.path / "CURRENT").write_text("damaged")

    with pytest.raises(ArtifactCorruptError):
        StoreOpener().current_generation(station.path)


def test_a_station_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StationNotFoundError):
        StoreOpener().current_generation(tmp_path / "line9")
