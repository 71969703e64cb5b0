"""Which answers are right, and in which way the others are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_RIGHT = 6
N_OF_EACH_WRONG = 4


class Kind(StrEnum):
    """How an answer stands to the truth, judged by its label; the words are those of the pictures."""

    RIGHT = "right"
    ESCAPE = "escape"
    OVERKILL = "overkill"
    WRONG_REJECT = "wrong kind of reject"
    WRONG_PASS = "wrong kind of pass"  # noqa: S105 - no password
    WRONG_LABEL = "wrong label"
    UNKNOWN_RECOGNISED = "unknown kind recognised"
    UNKNOWN_ANSWERED = "unknown kind taken for a known one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The verdicts on the held-out vectors that got one, by column; everything has length A.

    Attributes
    ----------
    rows : (A,) int64
        Rows of the held-out records.
    true_labels, labels : (A,) int32
        What each was, and what was answered.
    decisions : tuple of A texts
        ``PASS``, ``REJECT``, ``REVIEW`` or ``UNKNOWN``.
    probabilities : (A,) float64
        Of the answered label.
    known_labels, pass_labels : tuples of int
        What the index was built from, and which of that means *pass*.
    """

    rows: NDArray[np.int64]
    true_labels: NDArray[np.int32]
    labels: NDArray[np.int32]
    decisions: tuple[str, ...]
    probabilities: NDArray[np.float64]
    known_labels: tuple[int, ...]
    pass_labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def is_known(self) -> NDArray[np.bool_]:
        """Return which rows bear a label that the index was built from, (A,) bool."""
        return np.isin(self.true_labels, self.known_labels)


def kinds(answered: Answered) -> tuple[Kind, ...]:
    """Return how each answer stands to the truth."""
    columns = zip(answered.true_labels.tolist(), answered.labels.tolist(), answered.decisions, strict=True)
    known, passes = set(answered.known_labels), set(answered.pass_labels)
    return tuple(_kind(true, label, decision, known, passes) for true, label, decision in columns)


def _kind(true: int, label: int, decision: str, known: set[int], passes: set[int]) -> Kind:
    if true == label:
        return Kind.RIGHT
    if label in passes and true not in passes:
        return Kind.ESCAPE
    if true not in known:
        return Kind.UNKNOWN_RECOGNISED if decision == "UNKNOWN" else Kind.UNKNOWN_ANSWERED
    if not passes:
        return Kind.WRONG_LABEL
    if true in passes:
        return Kind.WRONG_PASS if label in passes else Kind.OVERKILL
    return Kind.WRONG_REJECT


def choose(answered: Answered, *, seed: int = 0) -> list[tuple[Kind, int]]:
    """Return the answers worth a picture, as positions in ``answered``, kind by kind.

    Right answers are drawn by lot; of each kind of wrong answer come the surest ones. Either way a pair of true and
    answered label that has no picture yet goes first.
    """
    by_kind: dict[Kind, list[int]] = {kind: [] for kind in Kind}
    for position, kind in enumerate(kinds(answered)):
        by_kind[kind].append(position)
    lots = np.random.default_rng(seed).random(len(answered))
    chosen: list[tuple[Kind, int]] = []
    for kind, positions in by_kind.items():
        order = lots if kind is Kind.RIGHT else -answered.probabilities
        ranked = sorted(positions, key=lambda position, order=order: float(order[position]))  # type: ignore[misc]
        n_wanted = N_RIGHT if kind is Kind.RIGHT else N_OF_EACH_WRONG
        chosen += [(kind, position) for position in _varied(ranked, answered)[:n_wanted]]
    return chosen


def _varied(ranked: Sequence[int], answered: Answered) -> list[int]:
    seen: set[tuple[int, int]] = set()
    first: list[int] = []
    rest: list[int] = []
    for position in ranked:
        pair = int(answered.true_labels[position]), int(answered.labels[position])
        (rest if pair in seen else first).append(position)
        seen.add(pair)
    return first + rest
