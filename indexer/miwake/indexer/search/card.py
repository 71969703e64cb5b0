"""``search.json``: how the references of a generation are searched, and how well that agrees with exact search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.files import read_json

if TYPE_CHECKING:
    from pathlib import Path

SEARCH_FILE = "search.json"
FORMAT_VERSION = 1
MIN_RECALL = 0.99
"""The least share of the true ten nearest that must be among the candidates, unless a build is told otherwise."""

Kind = Literal["flat", "ivf-flat", "hnsw", "ivf-pq"]
KindOrAuto = Literal["auto", "flat", "ivf-flat", "hnsw", "ivf-pq"]
_EFFORTS: dict[str, tuple[str, ...]] = {
    "flat": (),
    "ivf-flat": ("n_probes",),
    "hnsw": ("ef_search",),
    "ivf-pq": ("n_probes", "n_refined"),
}
"""The parameters of each kind that a search needs; the others are told for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many of the true ten nearest references were among the candidates; a tie counts.

    Attributes
    ----------
    references : float
        With references as queries, themselves left out.
    between : float
        With queries off every reference, a quarter of the way to another: as far off as parts never seen.
    n_queries : int
        Of each.
    """

    references: float
    between: float
    n_queries: int

    @property
    def worst(self) -> float:
        """The lower of the two."""
        return min(self.references, self.between)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCard:
    """How the references of a generation are searched.

    Attributes
    ----------
    kind : text
    parameters : mapping
        Of that kind.
    agreement : Agreement or None
        None for exact search in a generation that was built before it was measured.
    bound : float
        What the lower agreement had to reach for the generation to be published.
    asked : text
        The kind that the builder asked for.
    reason : text
        Why ``auto`` chose this kind, for people; empty where it did not choose.
    """

    kind: Kind
    parameters: Mapping[str, int] = field(default_factory=dict)
    agreement: Agreement | None = None
    bound: float = 0.0
    asked: KindOrAuto = "flat"
    reason: str = ""
    format_version: int = FORMAT_VERSION

    def text(self) -> str:
        """Return it in one line, for people."""
        settings = "".join(f", {name} {value}" for name, value in sorted(self.parameters.items()))
        why = f" ({self.asked}: {self.reason})" if self.reason else ""
        if self.agreement is None:
            return f"search {self.kind}{settings}{why}: not measured against exact search"
        return (
            f"search {self.kind}{settings}{why}: of the ten nearest, {self.agreement.references:.2%} found for "
            f"{self.agreement.n_queries} references, {self.agreement.between:.2%} between them; bound {self.bound:.2%}"
        )


def read_card(folder: Path) -> SearchCard:
    """Return the card of a generation whose files have been verified; without one it is searched exactly.

    Raises
    ------
    ArtifactVersionError
        If its format version is another.
    ArtifactCorruptError
        If it names a kind that this release does not know, or lacks a parameter.
    """
    path = folder / SEARCH_FILE
    if not path.exists():
        return SearchCard(kind="flat")
    card = read_json(path, SearchCard, FORMAT_VERSION)
    for name in _EFFORTS[card.kind]:
        if card.parameters.get(name, 0) < 1:
            message = f"{path}: {card.kind} without {name}, expected at least 1"
            raise ArtifactCorruptError(message)
    return card
