from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from miwake.indexer.errors import ArtifactCorruptError, StationNotFoundError, StoreBusyError
from miwake.indexer.storage.generation import MANIFEST_FILE, activate, open_generation, publish
from miwake.indexer.storage.installed_embedder import install_embedder
from miwake.indexer.storage.retention import prune
from miwake.indexer.storage.station import CURRENT_FILE, StationFolder
from support.references import make_embedder, make_station, writes_references

if TYPE_CHECKING:
    from pathlib import Path

N_PUBLISHED = 6


@pytest.fixture
def station(tmp_path: Path) -> StationFolder:
    station = make_station(tmp_path / "line-1")
    for _ in range(N_PUBLISHED):
        publish(station, writes_references(station))
    return station


def hidden(station: StationFolder) -> list[str]:
    folders = (station.generations_path, station.embedders_path)
    return [one.name for folder in folders for one in folder.iterdir() if one.name.startswith(".")]


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (1, ["g000005", "g000006"]),  # the one before the current is what a roll back goes to
        (2, ["g000005", "g000006"]),
        (3, ["g000004", "g000005", "g000006"]),
        (6, ["g000001", "g000002", "g000003", "g000004", "g000005", "g000006"]),
        (9, ["g000001", "g000002", "g000003", "g000004", "g000005", "g000006"]),
    ],
)
def test_the_newest_generations_are_kept(station: StationFolder, keep: int, left: list[str]) -> None:
    everything = station.generations()

    pruned = prune(station, keep)

    assert station.generations() == left
    assert list(pruned.generations) == [one for one in everything if one not in left]
    assert hidden(station) == []
    assert open_generation(station)[1].generation == "g000006"


def test_what_is_served_after_a_roll_back_is_kept_with_the_one_before(station: StationFolder) -> None:
    activate(station, "g000003", follows=False)

    prune(station, 1)

    assert station.generations() == ["g000002", "g000003", "g000006"]
    assert open_generation(station)[1].generation == "g000003"


def test_the_generation_that_the_current_one_was_built_after_is_kept(station: StationFolder) -> None:
    activate(station, "g000002", follows=False)
    publish(station, writes_references(station))

    prune(station, 1)

    assert station.generations() == ["g000002", "g000006", "g000007"]


def test_the_next_generation_takes_no_number_again(station: StationFolder) -> None:
    prune(station, 1)

    assert publish(station, writes_references(station)).generation == "g000007"


def test_embedders_that_nothing_needs_are_removed(station: StationFolder, tmp_path: Path) -> None:
    used = [one.name for one in station.embedders_path.iterdir()]
    make_embedder(tmp_path / "other", model=b"another model")
    unused = install_embedder(station, tmp_path / "other")

    pruned = prune(station)

    assert pruned.embedders == (unused,)
    assert [one.name for one in station.embedders_path.iterdir()] == used


def test_no_embedder_is_removed_where_a_generation_cannot_say_which_it_needs(
    station: StationFolder, tmp_path: Path
) -> None:
    make_embedder(tmp_path / "other", model=b"another model")
    install_embedder(station, tmp_path / "other")
    (station.generation_path("g000005") / MANIFEST_FILE).write_bytes(b"{")

    assert prune(station).embedders == ()


@pytest.mark.parametrize("name", [".g000001.removed", ".g000009.removed"])
def test_what_a_killed_removal_left_is_removed(station: StationFolder, name: str) -> None:
    (station.generations_path / name).mkdir()
    (station.generations_path / name / "vectors.npy").write_bytes(b"half of it")
    (station.embedders_path / ".0123456789ab.removed").mkdir()

    prune(station, 9)

    assert hidden(station) == []
    assert len(station.generations()) == N_PUBLISHED


def test_a_build_clears_what_a_killed_removal_left(station: StationFolder) -> None:
    (station.generations_path / ".g000001.removed").mkdir()

    publish(station, writes_references(station))

    assert hidden(station) == []


def test_nothing_is_removed_while_it_cannot_be_told_what_is_current(station: StationFolder) -> None:
    (station.path / CURRENT_FILE).write_bytes(b"damaged")

    with pytest.raises(ArtifactCorruptError):
        prune(station, 1)

    assert len(station.generations()) == N_PUBLISHED


def test_nothing_is_removed_from_a_station_that_published_nothing(tmp_path: Path) -> None:
    with pytest.raises(StationNotFoundError):
        prune(make_station(tmp_path / "line-2"), 1)


def test_nothing_is_removed_beside_a_build(station: StationFolder) -> None:
    with StationFolder(station.path).lock(), pytest.raises(StoreBusyError):
        prune(station, 1)

    assert len(station.generations()) == N_PUBLISHED


def test_keeping_none_is_refused(station: StationFolder) -> None:
    with pytest.raises(ValueError, match="keep 0"):
        prune(station, 0)
