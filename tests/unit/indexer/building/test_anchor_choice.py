from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.indexer.building.anchor_choice import choose_anchors
from miwake.indexer.building.anchor_fitting import Members, fit_anchors
from miwake.indexer.embedder import Embedder
from support.blobs import blob_records
from support.embedders import linear_discriminants

N_ROWS = 200


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return linear_discriminants(tmp_path_factory.mktemp("embedder"), blob_records(N_ROWS))


@pytest.fixture(scope="module")
def honest(embedder: Embedder) -> Members:
    records = blob_records(N_ROWS)
    return Members(records.vectors, embedder.embed(records.vectors), records.labels)


def elsewhere(members: Members) -> Members:
    """Return members whose embeddings lie far from what the embedder makes of a mean, as those of a network may."""
    return Members(members.vectors, -5 * members.embeddings, members.labels)


def every_fourth(members: Members) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(members.labels)) % 4 == 0)


def test_of_two_kinds_that_are_alike_the_usual_is_taken(embedder: Embedder, honest: Members) -> None:
    chosen = choose_anchors(honest, embedder, held_out=every_fourth(honest))

    assert chosen.anchors.kind == "class-mean"
    # The embedder is linear: the mean of embeddings is the embedding of the mean.
    assert chosen.accuracy["class-mean"] == chosen.accuracy["mean-embedding"]


def test_means_of_embeddings_are_taken_where_they_are_right_more_often(embedder: Embedder, honest: Members) -> None:
    chosen = choose_anchors(elsewhere(honest), embedder, held_out=every_fourth(honest))

    assert chosen.anchors.kind == chosen.without_calibration.kind == "mean-embedding"
    assert chosen.accuracy["mean-embedding"] > chosen.accuracy["class-mean"] + 0.2


def test_a_kind_that_is_asked_for_is_not_chosen(embedder: Embedder, honest: Members) -> None:
    chosen = choose_anchors(elsewhere(honest), embedder, held_out=every_fourth(honest), kind="class-mean")
    expected, _ = fit_anchors(elsewhere(honest), embedder, held_out=every_fourth(honest))

    assert chosen.accuracy == {}
    np.testing.assert_array_equal(chosen.anchors.embeddings, expected.embeddings)


def test_without_calibration_rows_the_usual_is_taken(embedder: Embedder, honest: Members) -> None:
    chosen = choose_anchors(elsewhere(honest), embedder, held_out=np.zeros(len(honest.labels), dtype=np.bool_))

    assert (chosen.anchors.kind, chosen.accuracy) == ("class-mean", {})
