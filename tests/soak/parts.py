"""What a part of the soak test has found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soak.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Counts and figures of one part.

    Attributes
    ----------
    n : int
        How often what the part is about was done: reloads, cuts, stops, …
    n_answers : int
        How many answers were looked at.
    harm : counter
        How many of them were missing, doubled, …; of a good run all are 0.
    unseen : list of text
        Harms that were done on purpose and not seen: the negative control. Of a good run there are none.
    figures : mapping
        What else was measured.
    broken : list of text
        Bounds on figures that do not hold.
    details : list of text
        What some of the harm was.
    """

    n: int
    n_answers: int = 0
    harm: Counter[str] = field(default_factory=Counter)
    unseen: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether no harm was done, every harm would have been seen, and all bounds hold."""
        return not (self.harm.total() or self.unseen or self.broken)


def harm_of(ledgers: list[Ledger]) -> Counter[str]:
    """Return what several streams suffered together."""
    together: Counter[str] = Counter()
    for ledger in ledgers:
        together += ledger.harm
    return together


def details_of(ledgers: list[Ledger]) -> list[str]:
    """Return what some of it was."""
    return [detail for ledger in ledgers for detail in ledger.details]
