"""What the server asks of an index: the part of ``miwake.indexer.index.InspectionIndex`` that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from miwake.indexer.answers import NeighbourBatch, PairBatch, VerdictBatch
    from miwake.indexer.filters import Filter
    from miwake.indexer.scale import Scale
    from miwake.indexer.search.options import SearchOptions
    from miwake.indexer.verdict.pairs import PairCalibration


class Index(Protocol):
    """One opened generation of one station; immutable, and asked by one thread at a time."""

    @property
    def station(self) -> str:
        """The station's name."""

    @property
    def generation(self) -> str:
        """The generation's id."""

    @property
    def revision(self) -> int:
        """The revision of the references it was built from."""

    @property
    def embedder_id(self) -> str:
        """The embedder's id."""

    @property
    def threshold_set(self) -> str:
        """The name of the threshold set behind the decisions."""

    @property
    def novelty_at_most(self) -> float:
        """The distance beyond which an answer is UNKNOWN."""

    @property
    def scale(self) -> Scale:
        """Which vectors can be judged at all."""

    def classify(
        self,
        vectors: NDArray[np.float32],
        *,
        templates: NDArray[np.float32] | None = ...,
        n_neighbours: int,
        options: SearchOptions = ...,
    ) -> VerdictBatch:
        """Return the verdicts on (Q, V) vectors that ``scale`` does not refuse, with K neighbours each, 0 or more.

        A row of the templates is all NaN where its vector brings none. The options say how those neighbours are found,
        and never change a verdict.
        """

    def refuse_templates(self, templates: NDArray[np.float32]) -> tuple[str, ...]:
        """Return for each of (Q, V) templates why it cannot be used; empty where it can, or is all NaN."""

    @property
    def reference_map(self) -> Literal["none", "template", "class-mean"]:
        """What verdicts regard a vector's residuals against, if anything."""

    def n_matching(self, where: Filter | None) -> int:
        """Return how many references a filter lets through; any thread may ask."""

    def search(
        self,
        vectors: NDArray[np.float32],
        *,
        n_neighbours: int,
        where: Filter | None = ...,
        options: SearchOptions = ...,
    ) -> NeighbourBatch:
        """Return the K nearest references of (Q, V) vectors that ``scale`` does not refuse, where a filter holds."""

    @property
    def pairs(self) -> PairCalibration:
        """What pairs are verified with; raises where the generation was built without."""

    def verify(self, queries: NDArray[np.float32], references: NDArray[np.float32]) -> PairBatch:
        """Return how (Q, V) vectors compare with the (Q, V) references in the same rows; ``scale`` refuses none."""


class Opener(Protocol):
    """How a store's stations are found and opened."""

    def list_stations(self, store: Path) -> Sequence[str]:
        """Return the names of the stations in a store."""

    def current_generation(self, station_folder: Path) -> str:
        """Return the id of the generation that is current; cheap."""

    def open(self, station_folder: Path, generation: str) -> Index:
        """Verify and load a generation."""

    def follow(self, station_folder: Path, index: Index) -> Index:
        """Return the index with the latest changes of its references; the same one where there are none. Cheap."""
