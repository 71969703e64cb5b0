"""What came back on a stream, held against what was sent: nothing missing, doubled, reordered, wrong or mixed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FIRST = "g000001"
MOST_DETAILS = 5
HARMS = ("missing", "doubled", "reordered", "wrong", "mixed")


class Told(NamedTuple):
    """What tells one generation's answer to a vector from another's."""

    label: int
    nearest: str


class Observed(NamedTuple):
    """One answer, as it arrived.

    Attributes
    ----------
    sequence, id
        As the answer says.
    state : text
        Which references the provenance beside it names, see ``state``.
    told : Told or None
        None where it is an error.
    """

    sequence: int
    id: str
    state: str
    told: Told | None


def state(generation: str, revision: int) -> str:
    """Return what tells apart the answers of a world's two kinds of generations: its first, and all built later.

    A first generation that is rolled back to answers as of revision 1. Once another is published it may answer as of
    revision 2 for the moment that it takes to open the other.
    """
    return f"{'first' if generation == FIRST else 'later'} as of {revision}"


class Ledger:
    """Counts the harm done to one stream, whose n-th vector is called ``str(n)`` and is the n-th query, over and over.

    Parameters
    ----------
    expected : mapping of state to Q answers
        Of every query.

    Attributes
    ----------
    harm : counter
    details : list of text
        What the first wrong or mixed answers were.
    states : counter
        How many answers were of which.
    """

    def __init__(self, expected: Mapping[str, Sequence[Told]]) -> None:
        self._expected = expected
        self._seen: set[int] = set()
        self._greatest = -1
        self.harm: Counter[str] = Counter()
        self.details: list[str] = []
        self.states: Counter[str] = Counter()

    @property
    def n_answered(self) -> int:
        """Different vectors that were answered."""
        return len(self._seen)

    def take(self, one: Observed) -> None:
        """Count the next answer."""
        if one.sequence in self._seen:
            self.harm["doubled"] += 1
        elif one.sequence < self._greatest:
            self.harm["reordered"] += 1
        self._seen.add(one.sequence)
        self._greatest = max(self._greatest, one.sequence)
        self.states[one.state] += 1
        self._compare(one)

    def close(self, n_due: int) -> None:
        """Count what is missing of the first ``n_due`` vectors, and what was answered beyond them."""
        self.harm["missing"] += sum(sequence not in self._seen for sequence in range(n_due))
        self.harm["wrong"] += sum(sequence >= n_due for sequence in self._seen)

    def _compare(self, one: Observed) -> None:
        answers = {name: told[one.sequence % len(told)] for name, told in self._expected.items()}
        if one.told == answers.get(one.state) and one.id == str(one.sequence):
            return
        self.harm["mixed" if one.told in answers.values() and one.id == str(one.sequence) else "wrong"] += 1
        if len(self.details) < MOST_DETAILS:
            self.details.append(f"{one}, expected one of {answers}")


def _without_one(answers: list[Observed]) -> list[Observed]:
    return answers[:1] + answers[2:]


def _with_one_twice(answers: list[Observed]) -> list[Observed]:
    return [*answers[:2], answers[1], *answers[2:]]


def _with_two_exchanged(answers: list[Observed]) -> list[Observed]:
    return [answers[1], answers[0], *answers[2:]]


def _with_a_neighbours_verdict(answers: list[Observed]) -> list[Observed]:
    return [answers[0]._replace(told=answers[1].told), *answers[1:]]


def _of_another_generation(answers: list[Observed]) -> list[Observed]:
    first, later = state(FIRST, 1), state("", 2)
    return [answers[0]._replace(state=later if answers[0].state == first else first), *answers[1:]]


DOCTORED: Mapping[str, Callable[[list[Observed]], list[Observed]]] = {
    "missing": _without_one,
    "doubled": _with_one_twice,
    "reordered": _with_two_exchanged,
    "wrong": _with_a_neighbours_verdict,
    "mixed": _of_another_generation,
}
"""Harm → what does it to good answers: a ledger that does not see it proves nothing."""


def unseen(answers: list[Observed], expected: Mapping[str, Sequence[Told]]) -> list[str]:
    """Return the harms that a ledger does not see when they are done to good answers."""
    found = []
    for harm, doctored in DOCTORED.items():
        ledger = Ledger(expected)
        for one in doctored(answers):
            ledger.take(one)
        ledger.close(len(answers))
        if not ledger.harm[harm]:
            found.append(harm)
    return found
