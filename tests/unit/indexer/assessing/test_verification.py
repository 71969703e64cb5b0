from __future__ import annotations

from dataclasses import replace

import numpy as np

from miwake.indexer.assessing.trial import NO_PART
from miwake.indexer.assessing.verification import anchor_pairs, reference_pairs
from support.trials import random_trial

EVERYONE = np.ones(40, dtype=np.bool_)


def test_few_references_are_all_paired_except_those_of_the_own_part() -> None:
    trial = random_trial()
    pairs = reference_pairs(trial, n_pairs=90)
    labels, known = trial.queries.labels[:, None], trial.references.labels
    others = (trial.query_parts[:, None] == NO_PART) | (trial.query_parts[:, None] != trial.reference_parts)
    found = pairs.separations(EVERYONE)["euclidean"]
    assert found.n_genuine == int(((labels == known) & others).sum())
    assert found.n_impostor == int(((labels != known) & others).sum())


def test_the_area_agrees_with_comparing_every_two_pairs() -> None:
    trial = replace(random_trial(), query_parts=np.full(40, NO_PART))
    distances = np.linalg.norm(trial.queries.embeddings[:, None] - trial.references.embeddings, axis=2)
    is_same = trial.queries.labels[:, None] == trial.references.labels
    genuine, impostor = distances[is_same], distances[~is_same]
    expected = (genuine[:, None] < impostor).mean()
    found = reference_pairs(trial, n_pairs=90).separations(EVERYONE)["euclidean"].auc
    assert found is not None
    assert abs(found - expected) < 1e-4  # two distances in a million change order when they are rounded


def test_many_references_are_drawn_so_that_each_query_counts_alike() -> None:
    trial = replace(random_trial(), query_parts=np.full(40, NO_PART))
    pairs = reference_pairs(trial, n_pairs=10, seed=1)
    assert pairs.is_there.all()
    assert pairs.is_genuine.sum(axis=1).tolist() == [10] * 40


def test_the_same_seed_draws_the_same_pairs() -> None:
    first, again, other = (reference_pairs(random_trial(), n_pairs=10, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.distances["euclidean"], again.distances["euclidean"])
    assert not np.array_equal(first.distances["euclidean"], other.distances["euclidean"])


def test_every_anchor_is_paired_with_every_query() -> None:
    pairs = anchor_pairs(random_trial(space="embedding"))
    found = pairs.separations(EVERYONE)
    assert list(found) == ["cosine", "euclidean", "soart3"]
    assert (found["soart3"].n_genuine, found["soart3"].n_impostor) == (40, 80)


def test_some_queries_can_be_asked_alone() -> None:
    pairs = anchor_pairs(random_trial())
    assert pairs.separations(np.arange(40) < 7)["cosine"].n_genuine == 7


def test_a_class_without_references_has_no_genuine_pairs() -> None:
    trial = random_trial()
    unknown = replace(trial, queries=replace(trial.queries, labels=np.full(40, 9, dtype=np.int32)))
    found = reference_pairs(unknown).separations(EVERYONE)["euclidean"]
    assert found.n_genuine == 0
    assert found.auc is None
