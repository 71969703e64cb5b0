from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.build import build, rebuild
from miwake.indexer.checking import check
from miwake.indexer.errors import ArtifactCorruptError, StationNotFoundError, StoreError
from miwake.indexer.opening import open_live
from miwake.indexer.records import Records
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.backup import backup
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from support.blobs import blob_records
from support.embedders import linear_discriminants


@pytest.fixture(scope="module")
def data() -> tuple[Records, Records]:
    return held_out_split(blob_records(200))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, data: tuple[Records, Records]) -> Path:
    folder = tmp_path_factory.mktemp("built")
    linear_discriminants(folder / "embedder", data[0])
    build(folder / "store", "line1", data[0], folder / "embedder")
    rebuild(StationFolder(folder / "store" / "line1"))
    with ReferenceStore.open(folder / "store" / "line1") as references:
        references.relabel([data[0].ids[0]], 3, "dent", actor="test")
    return folder / "store" / "line1"


@pytest.fixture
def station(tmp_path: Path, built: Path) -> StationFolder:
    return StationFolder(Path(shutil.copytree(built, tmp_path / "store" / "line1")))


def test_a_backup_answers_like_the_station(
    station: StationFolder, data: tuple[Records, Records], tmp_path: Path
) -> None:
    copy = backup(station, tmp_path / "backup")

    now, then = open_live(station.path), open_live(copy.path)
    assert (then.generation, then.revision) == (now.generation, now.revision) == ("g000002", 2)
    np.testing.assert_array_equal(
        then.classify(data[1].vectors).probabilities, now.classify(data[1].vectors).probabilities
    )


def test_a_backup_has_the_history_and_every_generation(
    station: StationFolder, data: tuple[Records, Records], tmp_path: Path
) -> None:
    copy = backup(station, tmp_path / "backup")

    with ReferenceStore.open(copy.path) as references:
        verbs = [entry.verb for entry in references.history(data[0].ids[0])]
    assert verbs == ["add", "relabel"]
    assert copy.generations() == ["g000001", "g000002"]
    assert [finding.problem for finding in check(copy.path)] == ["", "", "", ""]


def test_a_backup_does_not_overwrite(station: StationFolder, tmp_path: Path) -> None:
    backup(station, tmp_path / "backup")

    with pytest.raises(StoreError, match="exists already"):
        backup(station, tmp_path / "backup")


def test_a_damaged_station_is_not_backed_up_in_silence(station: StationFolder, tmp_path: Path) -> None:
    path = station.generation_path("g000001") / "embeddings.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    with pytest.raises(ArtifactCorruptError, match=r"embeddings\.npy"):
        backup(station, tmp_path / "backup")

    assert list((tmp_path / "backup").iterdir()) == []


def test_a_station_in_which_nothing_is_published_has_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StationNotFoundError):
        backup(StationFolder(tmp_path / "line9"), tmp_path / "backup")


def test_a_backup_of_a_station_that_is_being_written_to_is_of_one_moment(
    station: StationFolder, data: tuple[Records, Records], tmp_path: Path
) -> None:
    stop = threading.Event()

    def write() -> None:
        with ReferenceStore.open(station.path) as references:
            for number in range(200):
                if stop.is_set():
                    return
                ids = tuple(f"{number}-{row}" for row in range(5))
                references.add(replace(data[1].take(np.arange(5)), ids=ids), actor="test")

    writer = threading.Thread(target=write)
    writer.start()
    copy = backup(station, tmp_path / "backup")
    stop.set()
    writer.join()

    with ReferenceStore.open(copy.path) as references:
        references.check()
        assert (references.n_references - len(data[0])) % 5 == 0
    assert open_live(copy.path).n_references >= len(data[0])
