from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from demonstration.cases import N_OF_EACH_WRONG, N_RIGHT, Answered, Kind, choose, kinds


def answered(
    truth: list[int],
    found: list[int],
    *,
    decisions: tuple[str, ...] | None = None,
    probabilities: list[float] | None = None,
    known: tuple[int, ...] = (0, 1, 2, 3),
    passes: tuple[int, ...] = (0, 1),
) -> Answered:
    n = len(truth)
    return Answered(
        rows=np.arange(n),
        true_labels=np.array(truth, dtype=np.int32),
        labels=np.array(found, dtype=np.int32),
        decisions=decisions or ("REVIEW",) * n,
        probabilities=np.array(probabilities or [0.5] * n),
        known_labels=known,
        pass_labels=passes,
    )


@pytest.mark.parametrize(
    ("true", "found", "decision", "kind"),
    [
        (2, 2, "REJECT", Kind.RIGHT),
        (2, 0, "PASS", Kind.ESCAPE),
        (0, 2, "REJECT", Kind.OVERKILL),
        (2, 3, "REJECT", Kind.WRONG_REJECT),
        (0, 1, "PASS", Kind.WRONG_PASS),
        (9, 2, "UNKNOWN", Kind.UNKNOWN_RECOGNISED),
        (9, 2, "REJECT", Kind.UNKNOWN_ANSWERED),
        (9, 0, "REVIEW", Kind.ESCAPE),
    ],
)
def test_every_answer_has_its_kind(true: int, found: int, decision: str, kind: Kind) -> None:
    assert kinds(answered([true], [found], decisions=(decision,))) == (kind,)


def test_an_escape_is_counted_from_the_label_whatever_the_decision() -> None:
    decisions = ("PASS", "REVIEW", "UNKNOWN")

    found = kinds(answered([2, 2, 9], [0, 0, 0], decisions=decisions))

    assert found == (Kind.ESCAPE, Kind.ESCAPE, Kind.ESCAPE)


def test_without_pass_labels_there_are_no_escapes_and_no_overkills() -> None:
    assert kinds(answered([0, 2], [2, 0], passes=())) == (Kind.WRONG_LABEL, Kind.WRONG_LABEL)


def test_every_kind_that_occurs_gets_pictures() -> None:
    batch = answered([2] * 9 + [2] * 9 + [0] * 9, [2] * 9 + [0] * 9 + [3] * 9)

    chosen = Counter(kind for kind, _ in choose(batch))

    assert chosen == {Kind.RIGHT: N_RIGHT, Kind.ESCAPE: N_OF_EACH_WRONG, Kind.OVERKILL: N_OF_EACH_WRONG}


def test_the_surest_wrong_answers_come_first_and_each_pair_of_labels_before_any_twice() -> None:
    batch = answered([2, 2, 3, 2], [0, 0, 0, 0], probabilities=[0.6, 0.9, 0.3, 0.8])

    assert choose(batch) == [(Kind.ESCAPE, 1), (Kind.ESCAPE, 2), (Kind.ESCAPE, 3), (Kind.ESCAPE, 0)]


def test_right_answers_are_drawn_by_lot_and_the_same_seed_draws_the_same() -> None:
    batch = answered([2] * 50, [2] * 50)

    assert choose(batch, seed=1) == choose(batch, seed=1)
    assert choose(batch, seed=1) != choose(batch, seed=2)
