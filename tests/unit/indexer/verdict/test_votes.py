import numpy as np
import pytest

from miwake.indexer.verdict.votes import Ballot, Classes, count, distance_weights, with_newcomers

PASS, BURR, CRACK = 0, 1, 2


def classes(sizes: tuple[int, int, int] = (100, 100, 100), pass_labels: tuple[int, ...] = (PASS,)) -> Classes:
    labels = np.repeat(np.array([PASS, BURR, CRACK], dtype=np.int32), sizes)
    return Classes.of(labels, pass_labels)


def vote(neighbours: list[int], weights: list[float], among: Classes) -> int:
    ballot = count(np.array([neighbours]), np.array([weights]), among)
    return int(ballot.winners(among)[0])


def test_the_class_with_most_weight_wins() -> None:
    assert vote([PASS, BURR, BURR], [1.0, 1.0, 1.0], classes()) == BURR


def test_a_tie_of_pass_and_reject_is_a_reject() -> None:
    assert vote([PASS, BURR], [1.0, 1.0], classes()) == BURR


def test_two_reject_classes_together_outvote_a_pass_that_has_more_than_either() -> None:
    assert vote([PASS, PASS, PASS, BURR, BURR, CRACK, CRACK], [1.0] * 7, classes()) == BURR


def test_a_class_with_five_references_wins_against_a_large_one() -> None:
    neighbours = [CRACK] * 5 + [BURR] * 10

    assert vote(neighbours, [1.0] * 15, classes((100, 1000, 5))) == CRACK


def test_without_pass_labels_the_classes_vote_directly() -> None:
    among = classes(pass_labels=())

    assert vote([PASS, PASS, BURR, CRACK], [1.0] * 4, among) == PASS


def test_shares_sum_to_one() -> None:
    ballot: Ballot = count(np.array([[PASS, BURR, CRACK, CRACK]]), np.array([[1.0, 0.5, 0.25, 0.1]]), classes())

    assert ballot.shares.sum() == pytest.approx(1)
    assert ballot.reject_share[0] == pytest.approx(0.85 / 1.85)


def test_weights_of_a_very_far_query_do_not_vanish() -> None:
    weights = distance_weights(np.array([[5000.0, 5001.0]], dtype=np.float32), bandwidth=0.5)

    assert weights[0, 0] == 1
    assert 0 < weights[0, 1] < 1


@pytest.mark.parametrize("seed", range(20))
def test_a_new_reject_class_never_turns_an_answer_into_a_pass(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 60).astype(np.int32)
    distances = rng.random(60).astype(np.float32)
    new_distances = rng.random(rng.integers(1, 30)).astype(np.float32)

    def answer(known: np.ndarray, far: np.ndarray) -> int:
        among = Classes.of(known, [PASS])
        nearest = np.argsort(far)[:15]
        weights = distance_weights(far[nearest][None], bandwidth=0.3)
        ballot = count(among.columns(known)[nearest][None], weights, among)
        return int(among.labels[ballot.winners(among)[0]])

    before = answer(labels, distances)
    grown = np.concatenate([labels, np.full(len(new_distances), CRACK, dtype=np.int32)])
    after = answer(grown, np.concatenate([distances, new_distances]))

    assert not (before != PASS and after == PASS)


class TestNewcomers:
    """A class 44 with two references beside 100 passes (0) and 50 rejects (1)."""

    CLASSES = Classes(np.array([0, 1, 44], dtype=np.int32), np.array([100, 50, 2]), np.array([True, False, False]))
    IS_NEWCOMER = np.array([False, False, True])

    def answered(self, columns: list[int], weights: list[float], found: int) -> int:
        voting = np.array([columns]), np.array([weights])
        return int(with_newcomers(np.array([found]), *voting, self.CLASSES, self.IS_NEWCOMER)[0])

    def test_a_newcomer_wins_by_its_weight_for_each_reference(self) -> None:
        assert self.answered([0, 0, 0, 0, 2], [1.0, 1.0, 1.0, 1.0, 0.3], 0) == 2

    def test_a_newcomer_that_is_far_away_does_not(self) -> None:
        assert self.answered([0, 0, 0, 0, 2], [1.0, 1.0, 1.0, 1.0, 0.05], 0) == 0

    def test_without_one_of_its_references_among_the_nearest_nothing_changes(self) -> None:
        assert self.answered([0, 0, 1], [1.0, 1.0, 1.0], 1) == 1

    def test_an_answer_never_turns_into_a_pass(self) -> None:
        assert self.answered([0, 0, 0, 1, 2], [1.0, 1.0, 1.0, 0.1, 0.0], 1) == 1
