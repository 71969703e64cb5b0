from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from miwake.indexer.embedder import CARD_FILE, MODEL_FILE, read_card
from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError, EmbedderError, StoreBusyError, StoreError
from miwake.indexer.storage.installed_embedder import install_embedder
from miwake.indexer.storage.station import StationFolder, make_folder
from support.references import make_embedder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def station(tmp_path: Path) -> StationFolder:
    return StationFolder(tmp_path / "line-1")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    make_embedder(tmp_path / "embedder")
    return tmp_path / "embedder"


def test_an_installed_embedder_is_the_same_two_files(station: StationFolder, source: Path) -> None:
    (source / "notes.txt").write_text("not part of the artifact")

    embedder_id = install_embedder(station, source)

    folder = station.embedders_path / embedder_id
    assert embedder_id == read_card(source).embedder_id
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == {
        name: (source / name).read_bytes() for name in (MODEL_FILE, CARD_FILE)
    }


def test_installing_again_changes_nothing(station: StationFolder, source: Path) -> None:
    first = install_embedder(station, source)

    assert install_embedder(station, source) == first
    assert [one.name for one in station.embedders_path.iterdir()] == [first]


def test_two_models_are_installed_side_by_side(station: StationFolder, source: Path, tmp_path: Path) -> None:
    make_embedder(tmp_path / "other", model=b"another model")

    ids = {install_embedder(station, source), install_embedder(station, tmp_path / "other")}

    assert {one.name for one in station.embedders_path.iterdir()} == ids


def test_the_same_model_with_another_card_is_refused(station: StationFolder, source: Path, tmp_path: Path) -> None:
    install_embedder(station, source)
    make_embedder(tmp_path / "other", preset="another preset")

    with pytest.raises(
        EmbedderError, match=r"other/embedder\.json: differs from .*line-1/embedders/\w+/embedder\.json"
    ):
        install_embedder(station, tmp_path / "other")


def test_a_damaged_model_is_not_installed(station: StationFolder, source: Path) -> None:
    (source / MODEL_FILE).write_bytes(b"changed")

    with pytest.raises(ArtifactCorruptError, match=r"embedder/embedder\.onnx: damaged"):
        install_embedder(station, source)

    assert not station.embedders_path.exists()


def test_an_installed_model_that_was_damaged_is_told(station: StationFolder, source: Path) -> None:
    embedder_id = install_embedder(station, source)
    (station.embedders_path / embedder_id / MODEL_FILE).write_bytes(b"changed")

    with pytest.raises(ArtifactCorruptError, match=rf"line-1/embedders/{embedder_id}/embedder\.onnx: damaged"):
        install_embedder(station, source)


def test_a_card_of_another_version_is_not_installed(station: StationFolder, source: Path) -> None:
    card = (source / CARD_FILE).read_text()
    (source / CARD_FILE).write_text(card.replace('"format_version": 1', '"format_version": 9'))

    with pytest.raises(ArtifactVersionError, match="format version 9"):
        install_embedder(station, source)


def test_what_a_killed_installation_left_is_removed(station: StationFolder, source: Path) -> None:
    left_over = station.embedders_path / ".0123456789ab.part"
    make_folder(left_over)

    install_embedder(station, source)

    assert not left_over.exists()


def test_a_copy_that_cannot_be_written_leaves_nothing(station: StationFolder, source: Path) -> None:
    make_folder(station.path)
    station.embedders_path.write_text("a file where a folder should be")

    with pytest.raises(StoreError, match="embedders: cannot be created: File exists"):
        install_embedder(station, source)


def test_a_locked_station_is_busy(station: StationFolder, source: Path) -> None:
    with StationFolder(station.path).lock(), pytest.raises(StoreBusyError):
        install_embedder(station, source)
