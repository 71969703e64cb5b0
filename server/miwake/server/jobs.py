"""What travels between a caller's threads and the compute thread: items in, deliveries out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from time import perf_counter
from typing import TYPE_CHECKING

from miwake.indexer.search.options import AS_CALIBRATED, SearchOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from miwake.indexer.answers import NeighbourBatch, PairBatch, VerdictBatch
    from miwake.indexer.filters import Filter
    from miwake.server.index import Index


class Task(Enum):
    """What is asked of the index."""

    CLASSIFY = "classify"
    SEARCH = "search"
    VERIFY = "verify"


class Fault(Enum):
    """Why an item has no answer but an error."""

    WRONG_LENGTH = auto()
    NON_FINITE = auto()
    OUT_OF_RANGE = auto()
    FLAT = auto()
    UNSUPPORTED_DATA_TYPE = auto()
    INTERNAL = auto()
    EXPIRED = auto()
    BAD_TEMPLATE = auto()


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """Why an item has no answer but an error, for programs and for people."""

    fault: Fault
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """Some vectors of one request, with what is echoed beside their answers.

    Attributes
    ----------
    first_sequence : int
        The first one's position in its stream or request.
    ids : n texts
        The caller's names.
    contexts : n bytes or None
        What the caller said about each part, serialised: it is only echoed.
    failures : mapping of position to ItemFailure
        Those of the n that cannot be read as a vector of V values, or whose template cannot.
    vectors : (Q, V) float32
        The others, in order.
    templates : (Q, V) float32, or None
        The template of each of them, all of it NaN where it brings none; None where none does.
    as_arrays : bool
        Whether they are answered in arrays over the whole message.
    """

    first_sequence: int
    ids: Sequence[str]
    contexts: Sequence[bytes | None]
    failures: Mapping[int, ItemFailure]
    vectors: NDArray[np.float32]
    templates: NDArray[np.float32] | None = None
    as_arrays: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a caller wants of its evidence, beside a number of neighbours.

    Attributes
    ----------
    where : Filter or None
        Which references may be found; of searches only.
    options : SearchOptions
        How neighbours are found; never how a verdict is.
    omit_neighbours, omit_anchors, omit_residuals : bool
        Of verdicts: what is left out.
    await_record : bool
        Of verdicts: whether they are held back until they are in the verdict log.
    """

    where: Filter | None = None
    options: SearchOptions = AS_CALIBRATED
    omit_neighbours: bool = False
    omit_anchors: bool = False
    omit_residuals: bool = False
    await_record: bool = False

    @property
    def compares_many(self) -> bool:
        """Whether an answer may take a comparison with every reference."""
        return self.options.exhaustive or self.where is not None


AS_USUAL = Wishes()
"""Nothing out of the ordinary."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """Items to be answered by one index, in one computed batch.

    The index is chosen when the job is accepted, so that all jobs of a request ask the same generation. From
    ``expires_at`` on, as ``perf_counter`` tells, it is not computed any more.
    """

    index: Index
    task: Task
    n_neighbours: int
    items: Items
    wishes: Wishes = AS_USUAL
    queued_at: float = field(default_factory=perf_counter)
    expires_at: float = math.inf

    def goes_with(self, other: Job) -> bool:
        """Return whether one call of the index can answer both, soon enough for those who wait behind them."""
        return (
            self.index is other.index
            and self.task is other.task
            and self.n_neighbours == other.n_neighbours
            and (self.wishes is other.wishes or self.wishes == other.wishes)
            and not self.wishes.compares_many
        )


@dataclass(slots=True, eq=False)
class Results:
    """What the index returned for one batch.

    Attributes
    ----------
    batch : VerdictBatch, NeighbourBatch or PairBatch
    columns : object or None
        The same in the form that goes into messages; ``wire.py`` makes it when the first answer is written.
    omits_residuals : bool
        Whether the residuals go into no message.
    """

    batch: VerdictBatch | NeighbourBatch | PairBatch
    columns: object | None = None
    omits_residuals: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows ``start`` to ``stop`` of some results."""

    results: Results
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Answered:
    """The outcome of a job: each item has a failure or, in the order of the others, a row of the slices."""

    items: Items
    failures: Mapping[int, ItemFailure]
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One caller's share of one computed batch.

    Attributes
    ----------
    answered : tuple of Answered
        In the caller's order.
    index : Index
        What answered.
    queue_ms : float
        How long the first of the jobs waited for the compute thread.
    compute_ms : float
        How long the batch was computed.
    batch_size : int
        Items in the batch, other callers' included.
    task : Task
        What was asked.
    awaits_record : bool
        Whether the caller wants the answers only once they are in the verdict log.
    is_recorded : bool
        Whether they are known to be there.
    """

    answered: tuple[Answered, ...]
    index: Index
    queue_ms: float
    compute_ms: float
    batch_size: int
    task: Task = Task.CLASSIFY
    awaits_record: bool = False
    is_recorded: bool = False

    def __len__(self) -> int:
        return sum(len(answered.items) for answered in self.answered)

    def without_vectors(self) -> Delivery:
        """Return the same answers without the vectors that were asked about, which take most of the memory."""
        answered = tuple(
            replace(one, items=replace(one.items, vectors=one.items.vectors[:0].copy())) for one in self.answered
        )
        return replace(self, answered=answered)
