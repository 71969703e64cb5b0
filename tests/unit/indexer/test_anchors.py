from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.anchors import ANCHORS_FILE, Anchors, class_mean_anchors, read_anchors
from miwake.indexer.errors import ArtifactCorruptError
from support.blobs import blob_records
from support.embedders import linear_discriminants


def test_an_anchor_is_the_embedded_mean_of_its_class(tmp_path: Path) -> None:
    records = blob_records(100)
    embedder = linear_discriminants(tmp_path, records)

    anchors = class_mean_anchors(records.vectors, records.labels, embedder)

    mean = records.vectors[records.labels == 2].mean(axis=0, dtype=np.float64).astype(np.float32)
    row = anchors.labels.tolist().index(2)
    np.testing.assert_array_equal(anchors.vectors[row], mean)
    np.testing.assert_array_equal(anchors.embeddings[row], embedder.embed(mean[None])[0])


def test_distances_are_euclidean() -> None:
    anchors = Anchors(
        labels=np.array([0, 4], dtype=np.int32),
        vectors=np.zeros((2, 3), dtype=np.float32),
        embeddings=np.array([[0, 0], [3, 4]], dtype=np.float32),
    )

    distances = anchors.distances(np.array([[0, 0], [3, 0]], dtype=np.float32))

    np.testing.assert_allclose(distances, [[0, 5], [3, 4]], rtol=1e-6)


def test_anchors_come_back_as_they_were_written(tmp_path: Path) -> None:
    records = blob_records(100)
    anchors = class_mean_anchors(records.vectors, records.labels, linear_discriminants(tmp_path / "e", records))
    (tmp_path / ANCHORS_FILE).write_bytes(anchors.to_npz())

    found = read_anchors(tmp_path)

    np.testing.assert_array_equal(found.labels, anchors.labels)
    np.testing.assert_array_equal(found.vectors, anchors.vectors)
    np.testing.assert_array_equal(found.embeddings, anchors.embeddings)


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_another_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ANCHORS_FILE).write_bytes(content)

    with pytest.raises(ArtifactCorruptError, match=ANCHORS_FILE):
        read_anchors(tmp_path)
