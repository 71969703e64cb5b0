"""What an audit lists: records that somebody should look at, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is suspected of a record, in the order in which it is worth looking."""

    CONTRADICTION = "contradiction"
    MISLABELLED = "mislabelled"
    TWIN = "twin across the split"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    OUTLYING = "outlying"
    DEAD = "dead"
    CONSTANT = "constant"
    UNUSABLE = "unusable"


MEANINGS = {
    Kind.CONTRADICTION: "the very same vector has another label elsewhere",
    Kind.MISLABELLED: "the other parts say, at odds of 19 to 1 or more, that the label is another",
    Kind.TWIN: "a held-out record whose vector, nearly, or whose part is in training too: figures flatter",
    Kind.DUPLICATE: "the same vector, and the same label, is there before",
    Kind.NEAR_DUPLICATE: "almost the vector of a record of another part, or of its own part under another label",
    Kind.OUTLYING: "far from every record of the other parts",
    Kind.DEAD: "every value is zero",
    Kind.CONSTANT: "every value is the same, or nearly so",
    Kind.UNUSABLE: "a reader refuses the row",
}
"""Each kind in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One record, and one thing that is suspected of it.

    Attributes
    ----------
    kind : Kind
    row : int
        In the source, counted from 0.
    id, part, split, failure_mode : text
    label : int
    what : text
        What was found, in words.
    score : float
        More is worse; compared within a kind only. Mislabelled: odds against the label, as a share in 0.95 … 1.
        Near-duplicates: 1 minus the relative difference. Outlying: robust standard deviations above the median of the
        logarithm of the distance. Else 1.
    other : text
        Id of the record that speaks against it; empty where there is none.
    other_row : int or None
    looks_like : int or None
        The label that it looks like.
    """

    kind: Kind
    row: int
    id: str
    part: str
    split: str
    failure_mode: str
    label: int
    what: str
    score: float = 1.0
    other: str = ""
    other_row: int | None = None
    looks_like: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)
