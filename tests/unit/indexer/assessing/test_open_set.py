from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.assessing.open_set import novelty, open_set

LABELS = np.array([0, 4, 5], dtype=np.int32)


def distances_of(embeddings: np.ndarray, references: np.ndarray, labels: np.ndarray) -> np.ndarray:
    everything = np.linalg.norm(embeddings[:, None] - references, axis=2)
    return np.stack([np.sort(everything[:, labels == label], axis=1)[:, :20] for label in LABELS], axis=1)


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth, known = (np.repeat(LABELS, n) for n in (30, 40))
    places = rng.normal(0, 1.2, (6, 5))
    queries, references = (places[some] + rng.normal(0, 0.6, (len(some), 5)) for some in (truth, known))
    return queries, references, truth, known


def test_each_class_is_scored_without_its_references(rows: tuple[np.ndarray, ...]) -> None:
    queries, references, truth, known = rows
    found = open_set(distances_of(queries, references, known), truth, LABELS)
    for left_out in found.classes:
        kept = references[known != left_out.label]
        scores = np.sort(np.linalg.norm(queries[:, None] - kept, axis=2), axis=1)[:, :5].mean(axis=1)
        new, old = scores[truth == left_out.label], scores[truth != left_out.label]
        assert left_out.detection.auroc == pytest.approx((new[:, None] > old).mean(), abs=1e-6)
        bound = np.sort(new)[::-1][int(np.ceil(0.95 * len(new))) - 1]
        assert left_out.detection.fpr95 == pytest.approx((old >= bound).mean(), abs=1e-12)
    assert [one.label for one in found.classes] == [0, 4, 5]


def test_the_mean_is_over_reject_classes(rows: tuple[np.ndarray, ...]) -> None:
    queries, references, truth, known = rows
    found = open_set(distances_of(queries, references, known), truth, LABELS, pass_labels=(0,))
    assert [one.is_reject for one in found.classes] == [False, True, True]
    assert found.n_classes == 2
    assert found.auroc == pytest.approx(np.mean([one.detection.auroc for one in found.classes[1:]]), abs=1e-12)


def test_a_class_without_references_is_new_as_it_is(rows: tuple[np.ndarray, ...]) -> None:
    queries, references, truth, known = rows
    some = known != 5
    without = np.stack(
        [np.sort(np.linalg.norm(queries[:, None] - references[known == one], axis=2))[:, :20] for one in (0, 4)], axis=1
    )
    found = open_set(without, truth, LABELS[:2], pass_labels=(0,))
    scores = np.sort(np.linalg.norm(queries[:, None] - references[some], axis=2), axis=1)[:, :5].mean(axis=1)
    expected = (scores[truth == 5][:, None] > scores[truth != 5]).mean()
    assert [(one.label, one.was_left_out) for one in found.classes] == [(0, True), (4, True), (5, False)]
    assert found.classes[2].detection.auroc == pytest.approx(expected, abs=1e-6)
    assert (found.classes[2].detection.n_novel, found.classes[2].detection.n_known) == (30, 60)
    assert (found.n_classes, found.auroc) == (1, found.classes[1].detection.auroc)


def test_without_pass_labels_every_class_counts(rows: tuple[np.ndarray, ...]) -> None:
    queries, references, truth, known = rows
    assert open_set(distances_of(queries, references, known), truth, LABELS).n_classes == 3


def test_a_class_with_few_rows_is_named_and_skipped(rows: tuple[np.ndarray, ...]) -> None:
    queries, references, truth, known = rows
    chosen = np.flatnonzero((truth != 5) | (np.cumsum(truth == 5) <= 9))
    found = open_set(distances_of(queries[chosen], references, known), truth[chosen], LABELS)
    assert [(one.label, one.n_queries) for one in found.skipped] == [(5, 9)]
    assert found.skipped[0].reason == "9 rows of it and 60 of others to ask, expected 10 of each"


def test_what_the_embedder_knew_is_told(rows: tuple[np.ndarray, ...]) -> None:
    queries, references, truth, known = rows
    found = open_set(distances_of(queries, references, known), truth, LABELS, known_to_embedder=(4, 8))
    assert [one.embedder_knew for one in found.classes] == [False, True, False]
    assert found.caveat.startswith("the embedder was trained on rows of 4: ")


def test_an_embedder_that_knew_none_needs_no_caveat(rows: tuple[np.ndarray, ...]) -> None:
    queries, references, truth, known = rows
    assert open_set(distances_of(queries, references, known), truth, LABELS).caveat == ""


def test_one_class_alone_leaves_nothing_to_compare_with() -> None:
    found = open_set(np.ones((30, 1, 5), dtype=np.float32), np.zeros(30, dtype=np.int32), LABELS[:1])
    assert (found.auroc, found.n_classes, len(found.skipped)) == (None, 0, 1)


def test_novelty_is_the_mean_of_the_five_nearest_or_of_all_there_are() -> None:
    distances = np.array([[[1, 9, 9], [2, 3, 4]], [[1, np.inf, np.inf], [3, np.inf, np.inf]]], dtype=np.float32)
    assert novelty(distances).tolist() == pytest.approx([3.8, 2.0], abs=1e-6)
    assert np.isposinf(novelty(np.full((1, 2, 3), np.inf, dtype=np.float32))[0])
