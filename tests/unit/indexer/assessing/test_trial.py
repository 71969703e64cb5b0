from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from miwake.indexer.assessing.trial import NO_PART, Distance, Trial, part_codes
from miwake.indexer.soart3 import plain
from miwake.indexer.verdict.calibration import Space
from support.trials import MIX, random_trial

EVERYONE = np.arange(90)


def slow_nearest(trial: Trial, n_nearest: int, by: Distance) -> list[list[int]]:
    found = []
    for query, part in zip(trial.queries.embeddings.astype(np.float64), trial.query_parts, strict=True):
        distances = []
        for position, reference in enumerate(trial.references.embeddings.astype(np.float64)):
            own = part != NO_PART and trial.reference_parts[position] == part
            angle = 1 - query @ reference / np.linalg.norm(query) / np.linalg.norm(reference)
            distance = angle if by == "cosine" else np.linalg.norm(query - reference)
            distances.append((distance, position) if not own else (np.inf, -1))
        found.append([position for _, position in sorted(distances)[:n_nearest]])
    return found


@pytest.mark.parametrize("by", ["euclidean", "cosine"])
def test_the_nearest_are_those_of_other_parts(by: Distance) -> None:
    trial = random_trial()
    assert trial.nearest(EVERYONE, 7, by=by).tolist() == slow_nearest(trial, 7, by)


def test_where_there_are_fewer_none_fills_up() -> None:
    trial = replace(random_trial(), query_parts=np.full(40, 3), reference_parts=np.full(90, 3))
    some = np.array([2, 5])
    trial.reference_parts[5] = 4
    assert trial.nearest(some, 3)[0].tolist() == [5, -1, -1]


def test_rows_without_a_part_are_compared_with_everything() -> None:
    trial = replace(random_trial(), query_parts=np.full(40, NO_PART), reference_parts=np.full(90, NO_PART))
    assert (trial.nearest(EVERYONE, 90) >= 0).all()


def test_plain_distances_are_those_of_the_formulas() -> None:
    trial = random_trial()
    positions = np.tile(np.array([0, 8, -1]), (40, 1))
    queries, references = trial.queries.embeddings[:, None], trial.references.embeddings[[0, 8]]
    euclidean = np.linalg.norm(queries - references, axis=2)
    lengths = np.linalg.norm(queries, axis=2) * np.linalg.norm(references, axis=1)
    cosine = 1 - (queries * references).sum(axis=2) / lengths
    # float32 on vectors of length about 1
    assert trial.to_references(positions, "euclidean")[:, :2] == pytest.approx(euclidean, abs=1e-6)
    assert trial.to_references(positions, "cosine")[:, :2] == pytest.approx(cosine, abs=1e-6)
    assert np.isposinf(trial.to_references(positions, "cosine")[:, 2]).all()


@pytest.mark.parametrize("space", ["embedding", "raw"])
def test_match_distances_are_those_of_each_querys_own_fit(space: Space) -> None:
    trial = random_trial(space=space)
    positions = np.tile(np.array([3, -1, 70]), (40, 1))
    found = trial.to_references(positions, "soart3")
    both = trial.queries, trial.references
    queries, references = [one.embeddings if space == "embedding" else one.vectors / 10 for one in both]
    for query, p_gamma in ((4, 6), (5, 4)):
        expected = plain.measures(queries[query : query + 1], references[None, [3, 70]], p_eta=2, p_gamma=p_gamma)
        scores = MIX.scores(expected.beta, expected.eta, expected.gamma)
        assert found[query, [0, 2]] == pytest.approx(MIX.distances(scores)[0], abs=1e-5)
    assert np.isposinf(found[:, 1]).all()


@pytest.mark.parametrize("space", ["embedding", "raw"])
def test_match_distances_to_anchors_are_in_the_same_space(space: Space) -> None:
    trial = random_trial(space=space)
    queries = trial.queries.embeddings if space == "embedding" else trial.queries.vectors / 10
    of_kind = trial.anchors["mean-embedding"]
    anchors = of_kind.embeddings if space == "embedding" else of_kind.vectors / 10
    expected = plain.measures(queries[:1], anchors[None], p_eta=2, p_gamma=6)
    scores = MIX.scores(expected.beta, expected.eta, expected.gamma)
    assert trial.to_anchors("soart3", "mean-embedding")[0] == pytest.approx(MIX.distances(scores)[0], abs=1e-5)


def test_without_a_fit_there_is_no_match_distance() -> None:
    assert random_trial().distances == ("cosine", "euclidean")
    assert random_trial(space="raw").distances == ("cosine", "euclidean", "soart3")


def test_unit_embeddings_are_recognised() -> None:
    assert random_trial(is_unit=True).is_unit
    assert not random_trial().is_unit


def test_the_same_part_has_the_same_code_everywhere_and_none_has_none() -> None:
    first, second = part_codes(["a", "", "b"], ["b", "c", ""])
    assert first.tolist() == [0, NO_PART, 1]
    assert second.tolist() == [1, 2, NO_PART]
