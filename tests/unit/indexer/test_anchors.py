from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.anchors import ANCHORS_FILE, Anchors, read_anchors
from miwake.indexer.errors import ArtifactCorruptError, ArtifactVersionError
from miwake.indexer.storage.files import to_npz

SEVERAL = Anchors(
    labels=np.array([0, 4, 4], dtype=np.int32),
    vectors=np.array([[1, 1, 1], [0, 0, 0], [4, 4, 4]], dtype=np.float32),
    embeddings=np.array([[0, 0], [3, 4], [0, 5]], dtype=np.float32),
    counts=np.array([7, 3, 1], dtype=np.int64),
    centres=np.array([[0, 0], [3, 3], [0, 6]], dtype=np.float32),
    kind="mean-embedding",
)
QUERIES = np.array([[0, 0], [3, 0], [0, 5]], dtype=np.float32)


def test_distances_are_euclidean_to_every_anchor() -> None:
    distances = SEVERAL.all_distances(QUERIES)

    np.testing.assert_allclose(distances, [[0, 5, 5], [3, 4, 34**0.5], [5, 10**0.5, 0]], rtol=1e-6)


def test_the_nearest_anchor_of_a_class_counts_for_it() -> None:
    distances = SEVERAL.distances(QUERIES)

    np.testing.assert_allclose(distances, [[0, 5], [3, 4], [5, 0]], rtol=1e-6)
    assert SEVERAL.classes.tolist() == [0, 4]


def test_the_mean_of_a_class_weighs_its_anchors_by_their_members() -> None:
    np.testing.assert_array_equal(SEVERAL.class_mean(4), np.ones(3, dtype=np.float32))
    assert SEVERAL.class_vectors(4).tolist() == [[0, 0, 0], [4, 4, 4]]


def test_a_label_without_an_anchor_has_no_mean() -> None:
    with pytest.raises(KeyError):
        SEVERAL.class_mean(3)


def test_anchors_come_back_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / ANCHORS_FILE).write_bytes(SEVERAL.to_npz())

    found = read_anchors(tmp_path)

    for name in ("labels", "vectors", "embeddings", "counts", "centres"):
        np.testing.assert_array_equal(getattr(found, name), getattr(SEVERAL, name))
    assert found.kind == "mean-embedding"


def test_anchors_of_the_first_format_are_read(tmp_path: Path) -> None:
    stored = to_npz(labels=SEVERAL.labels[:2], vectors=SEVERAL.vectors[:2], embeddings=SEVERAL.embeddings[:2])
    (tmp_path / ANCHORS_FILE).write_bytes(stored)

    found = read_anchors(tmp_path)

    assert (found.kind, found.counts, found.centres) == ("class-mean", None, None)
    assert found.class_mean(4).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"format_version": np.int32(3)}, ArtifactVersionError, "format version 3, this release reads 1 and 2"),
        ({"kind": np.array("median")}, ArtifactCorruptError, "anchors of kind 'median'"),
        ({"labels": np.array([4, 0, 4], dtype=np.int32)}, ArtifactCorruptError, "do not ascend"),
        ({"vectors": SEVERAL.vectors[:2]}, ArtifactCorruptError, "different lengths"),
    ],
)
def test_anchors_that_are_none_are_refused(
    tmp_path: Path, changed: dict[str, np.ndarray], error: type[Exception], message: str
) -> None:
    names = ("labels", "vectors", "embeddings", "counts", "centres")
    arrays = {name: getattr(SEVERAL, name) for name in names}
    stored = {"format_version": np.int32(2), "kind": np.array("class-mean"), **arrays, **changed}
    (tmp_path / ANCHORS_FILE).write_bytes(to_npz(**stored))

    with pytest.raises(error, match=message):
        read_anchors(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ANCHORS_FILE).write_bytes(content)

    with pytest.raises(ArtifactCorruptError, match=ANCHORS_FILE):
        read_anchors(tmp_path)
