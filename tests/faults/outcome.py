"""What a campaign counts."""

from __future__ import annotations

import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from miwake.indexer.errors import IndexerError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_DETAILS = 20


@dataclass(slots=True)
class Outcome:
    """Counts of one campaign.

    Attributes
    ----------
    n : int
        How many faults were injected.
    lost : int
        After how many something acknowledged was not there, or something was wrong.
    failed_opens : int
        After how many a station could not be opened.
    by_kind : counter
        How many of which.
    details : list of text
        What the first of the bad ones were.
    """

    n: int = 0
    lost: int = 0
    failed_opens: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """How many faults did harm."""
        return self.lost + self.failed_opens

    @contextmanager
    def judging(self, what: str, kind: str) -> Iterator[None]:
        """Count a fault, and what is raised inside as its harm."""
        self.n += 1
        self.by_kind[kind] += 1
        try:
            yield
        except AssertionError:
            self.lost += 1
            self._tell(what)
        except IndexerError:
            self.failed_opens += 1
            self._tell(what)

    def _tell(self, what: str) -> None:
        if len(self.details) < MOST_DETAILS:
            self.details.append(f"{what}: {traceback.format_exc(limit=-3)}")
