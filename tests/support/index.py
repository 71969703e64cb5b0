"""A small index that obeys what the server asks of one, and a store of such indexes; no files, no FAISS."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

import numpy as np

from miwake.indexer.answers import (
    Decision,
    HealthStatistic,
    LabelMethod,
    NeighbourBatch,
    PairBatch,
    ReferenceMap,
    ResidualBatch,
    VerdictBatch,
)
from miwake.indexer.errors import ArtifactCorruptError, StationNotFoundError
from miwake.indexer.scale import Scale, template_refusals
from miwake.indexer.search.options import AS_CALIBRATED, SearchOptions
from miwake.indexer.verdict.pairs import PairCalibration, PairThreshold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.filters import Filter
    from miwake.server.index import Index

N_VALUES = 4
POISON = 0.9375
"""A first value that the index fails on."""


PAIRS = PairCalibration(
    distance="euclidean",
    equal_error_rates={"match": 0.3, "euclidean": 0.2, "cosine": 0.25},
    weight=10.0,
    bias=2.5,
    balanced=PairThreshold(at_most=0.25, max_false_accept_rate=None, false_accept_rate=0.2, false_reject_rate=0.2),
    promised=(PairThreshold(at_most=0.125, max_false_accept_rate=0.01, false_accept_rate=0.0, false_reject_rate=0.5),),
    n_genuine=100,
    n_impostor=200,
    n_parts=400,
)
"""What the fake index verifies pairs with."""


def vector_of(first: float) -> NDArray[np.float32]:
    """Return a vector (V,) that the index can judge, and knows again by its first value in 0 … 1."""
    return np.array([first, 0.0, 1.0, 0.5], dtype=np.float32)


def residuals_of(vectors: NDArray[np.float32], templates: NDArray[np.float32]) -> ResidualBatch:
    """Return residuals that tell the two first values: beta the vector's, eta the template's, the others their sums."""
    first, other = vectors[:, 0], templates[:, 0]
    is_given = ~np.isnan(other)
    return ResidualBatch(
        reference=np.where(is_given, ReferenceMap.TEMPLATE, ReferenceMap.NONE).astype(np.uint8),
        shift_rows=np.where(is_given, -2, 0).astype(np.int8),
        shift_columns=np.where(is_given, 1, 0).astype(np.int8),
        beta=np.where(is_given, first, np.float32(np.nan)),
        eta=other.copy(),
        gamma=first + other,
        l2=first + other * 2,
        l6=first + other * 3,
        largest=first + other * 4,
        standardised_l2=first + other * 5,
        standardised_l6=first + other * 6,
        standardised_largest=first + other * 7,
    )


class FakeIndex:
    """Answers every vector by its first value: novelty and the nearest distance are that value, the label its tenths.

    Attributes
    ----------
    batches : list of int
        The sizes of the batches it was asked, those it failed on included.
    asked : list of (Filter or None, SearchOptions)
        What those batches asked for.
    entered : threading.Event
        Set when a batch is asked.
    gate : threading.Event
        No batch is answered before it is set; it is, unless the index is made ``held``.
    """

    def __init__(
        self,
        *,
        station: str = "line1",
        generation: str = "g000001",
        n_references: int = 20,
        has_pass_labels: bool = True,
        held: bool = False,
    ) -> None:
        self.station = station
        self.generation = generation
        self.revision = 7
        self.embedder_id = "0123456789ab"
        self.threshold_set = "t1"
        self.novelty_at_most = 0.5
        self.scale = Scale(n_values=N_VALUES, low=0.0, high=1.0)
        self.n_references = n_references
        self.has_pass_labels = has_pass_labels
        self.reference_map: Literal["none", "template", "class-mean"] = "none"
        self.batches: list[int] = []
        self.asked: list[tuple[Filter | None, SearchOptions]] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        if not held:
            self.gate.set()

    def refuse_templates(self, templates: NDArray[np.float32]) -> tuple[str, ...]:
        codes = template_refusals(templates, self.scale).tolist()
        return tuple(self.scale.explain(code, templates[row]) if code else "" for row, code in enumerate(codes))

    def classify(
        self,
        vectors: NDArray[np.float32],
        *,
        templates: NDArray[np.float32] | None = None,
        n_neighbours: int,
        options: SearchOptions = AS_CALIBRATED,
    ) -> VerdictBatch:
        neighbours = self.search(vectors, n_neighbours=n_neighbours, options=options)
        firsts = vectors[:, 0]
        n_queries = len(vectors)
        labels = (firsts * 10).astype(np.int32)
        return VerdictBatch(
            labels=labels,
            failure_modes=tuple(f"mode {label}" for label in labels),
            decisions=np.where(labels == 0, Decision.PASS, Decision.REJECT).astype(np.int8),
            reasons=(labels & 0x3FF).astype(np.int16),
            probabilities=np.full(n_queries, 0.75, dtype=np.float32),
            reject_probabilities=np.full(n_queries, 0.25, dtype=np.float32) if self.has_pass_labels else None,
            margins=np.full(n_queries, 0.5, dtype=np.float32),
            novelty=firsts.copy(),
            health=np.repeat(firsts[:, None], len(HealthStatistic), axis=1),
            method=LabelMethod.VOTE,
            method_labels=np.stack([labels, labels, labels + 1], axis=1),
            anchor_labels=np.tile(np.array([0, 200, -3], dtype=np.int32), (n_queries, 1)),
            anchor_distances=np.stack([firsts, firsts + 1, firsts + 2], axis=1),
            neighbours=neighbours,
            residuals=None if templates is None else residuals_of(vectors, templates),
        )

    @property
    def pairs(self) -> PairCalibration:
        return PAIRS

    def verify(self, queries: NDArray[np.float32], references: NDArray[np.float32]) -> PairBatch:
        """Return pairs whose distance is the difference of their first values."""
        self.batches.append(len(queries))
        if (queries[:, 0] == np.float32(POISON)).any():
            message = "the fake index fails on this vector"
            raise ArithmeticError(message)
        apart = np.abs(queries[:, 0] - references[:, 0])
        return PairBatch(
            beta=queries[:, 0] / references[:, 0],
            eta=apart / 2,
            gamma=apart / 4,
            match_distances=apart / 8,
            distances=apart,
            cosine_distances=apart * 2,
            deciding=apart,
            probabilities=PAIRS.probabilities(apart),
        )

    def n_matching(self, where: Filter | None) -> int:
        return self.n_references if where is None else self.n_references // 2

    def search(
        self,
        vectors: NDArray[np.float32],
        *,
        n_neighbours: int,
        where: Filter | None = None,
        options: SearchOptions = AS_CALIBRATED,
    ) -> NeighbourBatch:
        self.batches.append(len(vectors))
        self.asked.append((where, options))
        self.entered.set()
        self.gate.wait()
        if (vectors[:, 0] == np.float32(POISON)).any():
            message = "the fake index fails on this vector"
            raise ArithmeticError(message)
        k = min(n_neighbours, self.n_references)
        ranks = np.arange(k, dtype=np.float32)
        columns: NDArray[np.float32] = vectors[:, :1] + ranks
        row = tuple(range(k))
        return NeighbourBatch(
            positions=np.tile(np.arange(k), (len(vectors), 1)),
            labels=np.tile(np.arange(k, dtype=np.int32) * 40 - 40, (len(vectors), 1)),
            ids=tuple(tuple(f"reference-{rank}" for rank in row) for _ in vectors),
            failure_modes=tuple(tuple(f"mode {rank}" for rank in row) for _ in vectors),
            distances=columns,
            beta=1 - columns,
            eta=columns * np.float32(0.5),
            gamma=columns * np.float32(0.25),
            match_distances=columns / (1 + columns),
        )


class FakeStore:
    """Stations in memory.

    ``publish`` makes a generation current, ``damage`` one that cannot be opened, and ``withdraw`` none.
    """

    def __init__(self, *indexes: FakeIndex) -> None:
        self._current: dict[str, FakeIndex | str] = {}
        self._changed: dict[str, FakeIndex] = {}
        self.n_opened = 0
        for index in indexes:
            self.publish(index)

    def publish(self, index: FakeIndex) -> None:
        self._current[index.station] = index

    def damage(self, station: str, generation: str) -> None:
        self._current[station] = generation

    def withdraw(self, station: str) -> None:
        del self._current[station]

    def list_stations(self, store: Path) -> Sequence[str]:
        del store
        return sorted(self._current)

    def current_generation(self, station_folder: Path) -> str:
        if station_folder.name not in self._current:
            message = f"{station_folder}: no station here"
            raise StationNotFoundError(message)
        current = self._current[station_folder.name]
        return current if isinstance(current, str) else current.generation

    def open(self, station_folder: Path, generation: str) -> FakeIndex:
        self.n_opened += 1
        current = self._current[station_folder.name]
        if isinstance(current, str):
            message = f"{station_folder / 'generations' / generation / 'index.faiss'}: sha256 differs"
            raise ArtifactCorruptError(message)
        return current

    def follow(self, station_folder: Path, index: Index) -> Index:
        """Return what ``change`` put there, else the index itself."""
        return self._changed.get(station_folder.name, index)

    def change(self, index: FakeIndex) -> None:
        """Put an index of the same generation with other references in the place of the one that is opened."""
        self._changed[index.station] = index
