"""Building batch by batch: against building in memory, killed on the way, on a full disk, and with what is known."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from miwake.indexer.build import build, rebuild
from miwake.indexer.building.build_settings import BuildSettings
from miwake.indexer.building.reuse import KnownEmbeddings
from miwake.indexer.building.streaming import stream_references
from miwake.indexer.embedder import Embedder
from miwake.indexer.opening import open_index
from miwake.indexer.storage.reference_files import ReferenceFiles, write_references
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from support.blobs import blob_records
from support.embedders import linear_discriminants

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.anchors import AnchorKind
    from miwake.indexer.records import Records

REBUILD = """
import os, resource, signal, sys
from pathlib import Path
from miwake.indexer.build import rebuild
from miwake.indexer.errors import StoreError
from miwake.indexer.storage.station import StationFolder

def end(word):
    if word in sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    rebuild(
        StationFolder(Path(sys.argv[1])),
        reuse=False,
        report=lambda what: end(what.split()[0]),
        advance=lambda done, total: end("batch"),
    )
except StoreError as error:
    print(error)
    sys.exit(3)
"""


@pytest.fixture(scope="module")
def records() -> Records:
    return blob_records(350)


@pytest.fixture(scope="module")
def embedder_folder(tmp_path_factory: pytest.TempPathFactory, records: Records) -> Path:
    folder = tmp_path_factory.mktemp("embedder")
    linear_discriminants(folder, records)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, records: Records, embedder_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("store")
    build(folder, "line1", records, embedder_folder)
    return folder


@pytest.fixture
def station(tmp_path: Path, store: Path) -> StationFolder:
    return StationFolder(shutil.copytree(store, tmp_path / "store") / "line1")


def rebuild_elsewhere(station: StationFolder, fate: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", REBUILD, str(station.path), fate]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - our own


@pytest.mark.parametrize("size", [1, 63, 64, 500, 10_000])
def test_batches_of_any_size_make_the_files_of_one_snapshot(
    station: StationFolder, embedder_folder: Path, tmp_path: Path, size: int
) -> None:
    embedder = Embedder.open(embedder_folder)
    whole, streamed = tmp_path / "whole", tmp_path / "streamed"
    whole.mkdir()
    streamed.mkdir()
    with ReferenceStore.open(station.path) as references:
        snapshot = references.snapshot()
        write_references(whole, snapshot)
        found = stream_references(streamed, references.batches(size=size), len(snapshot), embedder)

    for name in ("vectors.npy", "references.arrow"):
        assert (streamed / name).read_bytes() == (whole / name).read_bytes()
    embeddings = np.load(streamed / "embeddings.npy")
    # Bit for bit where a batch holds whole runs of the embedder; the last digit may differ elsewhere.
    np.testing.assert_allclose(embeddings, embedder.embed(snapshot.vectors), rtol=1e-5, atol=1e-6)
    assert found.n_reused == 0


def test_the_references_are_those_of_the_plain_writer(station: StationFolder, tmp_path: Path) -> None:
    with ReferenceStore.open(station.path) as references:
        snapshot = references.snapshot()
    write_references(tmp_path, snapshot)

    opened, everything = ReferenceFiles.open(tmp_path), np.arange(len(snapshot))

    np.save(tmp_path / "plain.npy", snapshot.vectors)
    assert (tmp_path / "vectors.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()
    for column, expected in (("id", snapshot.ids), ("part", snapshot.parts), ("row_hash", snapshot.row_hashes)):
        assert opened.texts(column, everything) == expected


def test_all_references_are_told_as_they_are_embedded(station: StationFolder) -> None:
    told: list[tuple[int, int]] = []

    rebuild(station, advance=lambda done, total: told.append((done, total)))

    assert told == [(512, 700), (700, 700)]


@pytest.mark.parametrize("fate", ["batch", "calibrating,", "opening"])
def test_a_build_that_is_killed_leaves_what_was_current(station: StationFolder, fate: str) -> None:
    done = rebuild_elsewhere(station, fate)

    assert done.returncode == -signal.SIGKILL
    assert open_index(station.path).generation == "g000001"
    assert rebuild(station).generation in ("g000002", "g000003")
    assert not [one.name for one in station.generations_path.iterdir() if one.name.startswith(".")]


def test_a_disk_that_is_full_leaves_what_was_current(station: StationFolder) -> None:
    done = rebuild_elsewhere(station, "full")

    assert done.returncode == 3, done.stderr
    assert "File too large; nothing was published" in done.stdout
    assert [one.name for one in station.generations_path.iterdir()] == ["g000001"]
    assert open_index(station.path).generation == "g000001"


def test_known_embeddings_are_taken_over(station: StationFolder) -> None:
    built = rebuild(station)

    first, second = (station.generation_path(name) / "embeddings.npy" for name in ("g000001", "g000002"))
    assert built.n_reused == 700
    assert second.read_bytes() == first.read_bytes()


def test_only_what_is_new_is_embedded(station: StationFolder, records: Records) -> None:
    more = replace(blob_records(10, seed=3, first_part=900), source="more")

    built = rebuild(station, records=more)

    assert (built.n_references, built.n_added, built.n_reused) == (720, 20, 700)
    index = open_index(station.path)
    embedded = index.contents.embedder.embed(np.concatenate([records.vectors, more.vectors]))
    np.testing.assert_allclose(index.contents.embeddings, embedded, rtol=1e-5, atol=1e-6)


def test_everything_is_embedded_where_that_is_asked(station: StationFolder) -> None:
    assert rebuild(station, reuse=False).n_reused == 0


def test_another_embedder_embeds_everything(station: StationFolder, records: Records, tmp_path: Path) -> None:
    linear_discriminants(tmp_path / "other", records.take(np.arange(600)))

    built = rebuild(station, embedder_folder=tmp_path / "other")

    assert built.n_reused == 0


def test_a_damaged_generation_lends_no_embeddings(station: StationFolder, embedder_folder: Path) -> None:
    path = station.generation_path("g000001") / "embeddings.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    assert rebuild(station, embedder_folder=embedder_folder).n_reused == 0


def test_a_vector_with_the_hash_of_another_is_not_known(station: StationFolder) -> None:
    known = KnownEmbeddings(station.generation_path("g000001"))
    with ReferenceStore.open(station.path) as references:
        batch = next(references.batches(size=8))
    swapped = replace(batch, vectors=batch.vectors[::-1].copy())

    assert known.positions(batch).tolist() == list(range(8))
    assert known.positions(swapped).tolist() == [-1] * 8


def test_old_generations_go_as_new_ones_come(station: StationFolder) -> None:
    told: list[str] = []

    for _ in range(2):
        rebuild(station, keep=2, report=told.append)

    assert station.generations() == ["g000002", "g000003"]
    assert "removed g000001; 2 are kept" in told


@pytest.mark.parametrize(("kind", "per_class"), [("class-mean", 3), ("mean-embedding", 1), ("mean-embedding", 3)])
def test_anchors_of_every_kind_answer_after_changes_as_after_a_rebuild(
    station: StationFolder, records: Records, kind: AnchorKind, per_class: int
) -> None:
    settings = BuildSettings(anchors=kind, anchors_per_class=per_class)
    rebuild(station, settings=settings)
    index = open_index(station.path)
    with ReferenceStore.open(station.path) as references:
        references.add(replace(blob_records(20, seed=5, first_part=950), source="more"), actor="test")
        references.remove(records.ids[:40], actor="test")
        live = index.with_changes(references.changes(index.base_revision))
    verdicts = live.classify(records.vectors[:30])

    n_classes = len(np.unique(records.labels))
    assert verdicts.anchor_distances.shape[1] == len(live.anchor_vectors(0)) * n_classes
    assert (np.diff(verdicts.anchor_distances, axis=1) >= 0).all()
    np.testing.assert_array_equal(verdicts.method_labels[:, 0], verdicts.anchor_labels[:, 0])
    rebuild(station, settings=settings)
    if per_class == 1:
        np.testing.assert_allclose(
            verdicts.anchor_distances,
            open_index(station.path).classify(records.vectors[:30]).anchor_distances,
            rtol=1e-4,
            atol=1e-4,
        )
