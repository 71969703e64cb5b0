from __future__ import annotations

import pytest

from soak.ledger import DOCTORED, HARMS, Ledger, Observed, Told, state, unseen

FIRST, LATER = state("g000001", 1), state("g000002", 2)
EXPECTED = {
    FIRST: (Told(0, "a"), Told(1, "b"), Told(2, "c")),
    LATER: (Told(0, "own-0"), Told(0, "own-1"), Told(0, "own-2")),
}
GOOD = [Observed(number, str(number), FIRST, EXPECTED[FIRST][number % 3]) for number in range(6)]


def ledger_of(answers: list[Observed], n_due: int) -> Ledger:
    ledger = Ledger(EXPECTED)
    for one in answers:
        ledger.take(one)
    ledger.close(n_due)
    return ledger


def test_good_answers_of_two_generations_are_no_harm() -> None:
    after = [Observed(number, str(number), LATER, EXPECTED[LATER][number % 3]) for number in range(6, 9)]

    ledger = ledger_of([*GOOD, *after], 9)

    assert (ledger.harm.total(), ledger.n_answered, dict(ledger.states)) == (0, 9, {FIRST: 6, LATER: 3})


@pytest.mark.parametrize("harm", HARMS)
def test_every_harm_is_counted_under_its_name_and_no_other(harm: str) -> None:
    ledger = ledger_of(DOCTORED[harm](GOOD), len(GOOD))

    assert {name for name, count in ledger.harm.items() if count} == {harm}


def test_an_answer_to_what_was_never_accepted_is_wrong() -> None:
    assert ledger_of(GOOD, 5).harm["wrong"] == 1


def test_an_error_instead_of_a_verdict_is_wrong() -> None:
    assert ledger_of([GOOD[0]._replace(told=None)], 1).harm["wrong"] == 1


def test_the_control_sees_every_harm_where_the_answers_differ() -> None:
    assert unseen(GOOD, EXPECTED) == []


def test_the_control_tells_what_cannot_be_seen_where_all_answers_are_alike() -> None:
    alike = [one._replace(told=Told(0, "a")) for one in GOOD]

    assert unseen(alike, {FIRST: (Told(0, "a"),)}) == ["wrong"]
