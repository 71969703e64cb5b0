from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from miwake.indexer.anchors import KINDS, AnchorKind, Anchors
from miwake.indexer.building.anchor_fitting import Members, change_anchors, fit_anchors
from miwake.indexer.embedder import Embedder
from support.blobs import blob_records
from support.embedders import linear_discriminants

N_KNOWN = 120
NOTHING = np.zeros(N_KNOWN, dtype=np.bool_)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return linear_discriminants(tmp_path_factory.mktemp("embedder"), blob_records(200))


@pytest.fixture(scope="module")
def everybody(embedder: Embedder) -> Members:
    records = blob_records(200).take(np.arange(200))
    return Members(records.vectors, embedder.embed(records.vectors), records.labels)


def some(members: Members, rows: np.ndarray | slice) -> Members:
    return Members(members.vectors[rows], members.embeddings[rows], members.labels[rows])


def by_hand(members: Members, centres_of: Anchors, embedder: Embedder) -> Anchors:
    """Return the anchors of members, one row after another: each row belongs to the nearest centre of its class."""
    of_anchor: list[list[int]] = [[] for _ in centres_of.labels]
    for row, label in enumerate(members.labels.tolist()):
        candidates = np.flatnonzero(centres_of.labels == label)
        nearest = candidates[0]
        if centres_of.centres is not None:
            distances = np.linalg.norm(centres_of.centres[candidates] - members.embeddings[row], axis=1)
            nearest = candidates[distances.argmin()]
        of_anchor[nearest].append(row)
    there = [anchor for anchor, rows in enumerate(of_anchor) if rows]
    vectors = np.stack([members.vectors[of_anchor[one]].mean(axis=0, dtype=np.float64) for one in there])
    means = np.stack([members.embeddings[of_anchor[one]].mean(axis=0, dtype=np.float64) for one in there])
    vectors = vectors.astype(np.float32)
    embeddings = embedder.embed(vectors) if centres_of.kind == "class-mean" else means.astype(np.float32)
    counts = np.array([len(of_anchor[one]) for one in there], dtype=np.int64)
    return Anchors(centres_of.labels[there], vectors, embeddings, counts, kind=centres_of.kind)


def assert_same(found: Anchors, expected: Anchors) -> None:
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.counts is not None
    np.testing.assert_array_equal(found.counts, expected.counts)
    # Sums in float64 and means in float32, in another order.
    np.testing.assert_allclose(found.vectors, expected.vectors, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found.embeddings, expected.embeddings, rtol=1e-4, atol=1e-5)


def test_an_anchor_is_the_embedded_mean_of_its_class(everybody: Members, embedder: Embedder) -> None:
    known = some(everybody, slice(N_KNOWN))

    anchors, _ = fit_anchors(known, embedder, held_out=NOTHING)

    mean = known.vectors[known.labels == 2].mean(axis=0, dtype=np.float64).astype(np.float32)
    row = anchors.labels.tolist().index(2)
    np.testing.assert_array_equal(anchors.vectors[row], mean)
    np.testing.assert_allclose(anchors.embeddings[row], embedder.embed(mean[None])[0], rtol=1e-6)


def test_a_mean_embedding_is_the_mean_of_its_class(everybody: Members, embedder: Embedder) -> None:
    anchors, _ = fit_anchors(everybody, embedder, held_out=np.zeros(200, dtype=np.bool_), kind="mean-embedding")

    row = anchors.labels.tolist().index(2)
    expected = everybody.embeddings[everybody.labels == 2].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(anchors.embeddings[row], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_class", [1, 3])
def test_anchors_are_those_found_row_by_row(
    everybody: Members, embedder: Embedder, kind: AnchorKind, per_class: int
) -> None:
    anchors, _ = fit_anchors(
        everybody, embedder, held_out=np.zeros(200, dtype=np.bool_), kind=kind, per_class=per_class
    )

    assert_same(anchors, by_hand(everybody, anchors, embedder))


@pytest.mark.parametrize("per_class", [1, 3])
def test_held_out_rows_have_no_part_in_the_second_anchors(
    everybody: Members, embedder: Embedder, per_class: int
) -> None:
    held_out = np.arange(200) % 5 == 0

    _, found = fit_anchors(everybody, embedder, held_out=held_out, per_class=per_class)

    expected, _ = fit_anchors(
        some(everybody, ~held_out), embedder, held_out=np.zeros(160, dtype=np.bool_), per_class=per_class
    )
    assert_same(found, expected)


def test_several_anchors_are_nearer_than_one(everybody: Members, embedder: Embedder) -> None:
    held_out = np.zeros(200, dtype=np.bool_)
    one, _ = fit_anchors(everybody, embedder, held_out=held_out, kind="mean-embedding")
    several, _ = fit_anchors(everybody, embedder, held_out=held_out, kind="mean-embedding", per_class=3)

    of_one, of_several = (
        anchors.distances(everybody.embeddings)[np.arange(200), np.searchsorted(anchors.classes, everybody.labels)]
        for anchors in (one, several)
    )

    assert len(several.labels) == 3 * len(one.labels)
    assert of_several.mean() < 0.9 * of_one.mean()


def test_a_class_of_equal_rows_has_one_anchor(everybody: Members, embedder: Embedder) -> None:
    same = some(everybody, np.zeros(6, dtype=np.intp))

    anchors, _ = fit_anchors(same, embedder, held_out=np.zeros(6, dtype=np.bool_), per_class=4)

    assert len(anchors.labels) == 1


def test_the_same_seed_finds_the_same_anchors(everybody: Members, embedder: Embedder) -> None:
    first, second = (
        fit_anchors(everybody, embedder, held_out=np.zeros(200, dtype=np.bool_), per_class=3, seed=5)[0]
        for _ in range(2)
    )

    assert first.to_npz() == second.to_npz()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_class", [1, 3])
def test_changed_anchors_are_those_found_row_by_row(
    everybody: Members, embedder: Embedder, kind: AnchorKind, per_class: int
) -> None:
    known = some(everybody, slice(N_KNOWN))
    anchors, _ = fit_anchors(known, embedder, held_out=NOTHING, kind=kind, per_class=per_class)
    lost = int(anchors.labels[-1])
    gone = np.flatnonzero((np.arange(N_KNOWN) % 4 == 0) | (known.labels == lost))
    come = some(everybody, N_KNOWN + np.flatnonzero(everybody.labels[N_KNOWN:] != lost))
    come = replace(come, labels=np.where(np.arange(len(come.labels)) < 10, np.int32(90), come.labels))

    changed = change_anchors(anchors, some(known, gone), come, embedder)

    after = Members(
        *(
            np.concatenate([np.delete(getattr(known, name), gone, axis=0), getattr(come, name)])
            for name in ("vectors", "embeddings", "labels")
        )
    )
    assert_same(changed, by_hand(after, changed, embedder))
    assert (lost in changed.labels, 90 in changed.labels) == (False, True)


def test_anchors_that_nothing_changed_stay_as_they_are(everybody: Members, embedder: Embedder) -> None:
    known = some(everybody, slice(N_KNOWN))
    anchors, _ = fit_anchors(known, embedder, held_out=NOTHING, per_class=2)
    nobody = some(known, slice(0))

    assert change_anchors(anchors, nobody, nobody, embedder) is anchors


def test_only_touched_anchors_are_computed_again(everybody: Members, embedder: Embedder) -> None:
    known = some(everybody, slice(N_KNOWN))
    anchors, _ = fit_anchors(known, embedder, held_out=NOTHING)
    marked = replace(anchors, embeddings=anchors.embeddings + 100)

    changed = change_anchors(marked, some(known, slice(1)), some(known, slice(0)), embedder)

    assert ((changed.embeddings < 50).all(axis=1)).sum() == 1
