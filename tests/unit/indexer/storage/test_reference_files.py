from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError
from miwake.indexer.storage.reference_files import (
    REFERENCES_FILE,
    VECTORS_FILE,
    ReferenceFiles,
    map_array,
    write_references,
)
from miwake.indexer.storage.store import ReferenceStore
from support.references import SCHEMA, make_records

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.storage.reading import Snapshot


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    records = replace(
        make_records(["a", "b\u00e4", "c"], labels=[4, 0, 4]),
        failure_modes=("burr", "", "burr"),
        parts=("p1", "p1", ""),
        groups=("lot 7", "", "lot 7"),
        times=("2026-11-22T08:00:00Z", "", ""),
    )
    with ReferenceStore.create(tmp_path / "line-1", schema=SCHEMA) as store:
        store.add(records, actor="anna")
        return store.snapshot()


def test_every_column_comes_back(snapshot: Snapshot, tmp_path: Path) -> None:
    write_references(tmp_path, snapshot)

    opened = ReferenceFiles.open(tmp_path)

    everything = np.arange(3)
    assert len(opened) == 3
    assert opened.labels.tolist() == [4, 0, 4]
    assert opened.labels.dtype == np.int32
    assert np.array_equal(opened.vectors, snapshot.vectors)
    assert opened.ids(everything) == snapshot.ids
    assert opened.failure_modes(everything) == snapshot.failure_modes
    assert opened.texts("part", everything) == snapshot.parts
    assert opened.texts("group", everything) == snapshot.groups
    assert opened.texts("split", everything) == snapshot.splits
    assert opened.texts("source", everything) == snapshot.sources
    assert opened.texts("time", everything) == snapshot.times
    assert opened.texts("row_hash", everything) == snapshot.row_hashes


def test_texts_are_given_in_the_order_asked_for(snapshot: Snapshot, tmp_path: Path) -> None:
    write_references(tmp_path, snapshot)

    assert ReferenceFiles.open(tmp_path).ids(np.array([[2, 0], [0, 1]])) == ("c", "a", "a", "b\u00e4")


@pytest.mark.parametrize("position", [-1, 3])
def test_a_position_that_no_reference_has_is_refused(snapshot: Snapshot, tmp_path: Path, position: int) -> None:
    write_references(tmp_path, snapshot)

    with pytest.raises(IndexError):
        ReferenceFiles.open(tmp_path).ids(np.array([position]))


def test_equal_texts_have_equal_codes(snapshot: Snapshot, tmp_path: Path) -> None:
    write_references(tmp_path, snapshot)

    codes, texts = ReferenceFiles.open(tmp_path).codes("failure_mode")

    assert codes.dtype == np.int32
    assert codes[0] == codes[2] != codes[1]
    assert [texts[code] for code in codes] == ["burr", "", "burr"]


def test_what_is_mapped_cannot_be_written_to(snapshot: Snapshot, tmp_path: Path) -> None:
    write_references(tmp_path, snapshot)

    opened = ReferenceFiles.open(tmp_path)

    assert not opened.labels.flags.writeable
    assert not opened.vectors.flags.writeable


def test_no_references_are_references_too(tmp_path: Path) -> None:
    with ReferenceStore.create(tmp_path / "line-1", schema=SCHEMA) as store:
        write_references(tmp_path, store.snapshot())

    opened = ReferenceFiles.open(tmp_path)

    assert (len(opened), opened.vectors.shape, opened.ids(np.array([], dtype=np.int64))) == (0, (0, 4), ())


def test_another_format_version_is_refused_by_name(snapshot: Snapshot, tmp_path: Path) -> None:
    write_references(tmp_path, snapshot)
    path = tmp_path / REFERENCES_FILE
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).replace_schema_metadata({"format_version": "2"})
    other = tmp_path / "other"
    with pa.OSFile(str(other), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    other.replace(path)

    with pytest.raises(ArtifactVersionError, match=r"references\.arrow: format version 2, this release reads 1"):
        ReferenceFiles.open(tmp_path)


def test_references_and_vectors_of_different_numbers_are_refused(snapshot: Snapshot, tmp_path: Path) -> None:
    write_references(tmp_path, snapshot)
    np.save(tmp_path / VECTORS_FILE, snapshot.vectors[:2])

    with pytest.raises(ArtifactCorruptError, match=r"references\.arrow: 3 references, vectors\.npy has 2"):
        ReferenceFiles.open(tmp_path)


@pytest.mark.parametrize("data", [b"", b"not Arrow at all"])
def test_what_is_no_arrow_file_is_refused_by_name(snapshot: Snapshot, tmp_path: Path, data: bytes) -> None:
    write_references(tmp_path, snapshot)
    (tmp_path / REFERENCES_FILE).write_bytes(data)

    with pytest.raises(ArtifactCorruptError, match=r"references\.arrow: cannot be read"):
        ReferenceFiles.open(tmp_path)


@pytest.mark.parametrize("data", [b"", b"not NPY at all"])
def test_what_is_no_array_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "array.npy"
    path.write_bytes(data)

    with pytest.raises(ArtifactCorruptError, match=r"array\.npy: cannot be read"):
        map_array(path, np.float32, 2)


@pytest.mark.parametrize("array", [np.zeros((2, 3)), np.zeros(3, dtype=np.float32)])
def test_an_array_of_another_kind_is_refused_by_name(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "array.npy"
    np.save(path, array)

    with pytest.raises(ArtifactCorruptError, match=r"array\.npy: float.* expected float32 with 2"):
        map_array(path, np.float32, 2)


def test_an_array_of_python_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(ArtifactCorruptError, match=r"array\.npy: cannot be read"):
        map_array(path, np.float32, 2)
