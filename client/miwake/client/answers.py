"""What the client hands over: verdicts with their evidence, as frozen dataclasses of numpy arrays and plain values.

Classes that hold arrays compare by identity, because arrays have no single truth value.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, overload

from miwake.client.unread import Unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from miwake.client.inspections import InspectionContext


class Decision(IntEnum):
    """What to do with the part."""

    PASS = 1
    REJECT = 2
    REVIEW = 3
    UNKNOWN = 4


class LabelMethod(IntEnum):
    """The ways in which a label is found; ``UNSPECIFIED`` is one that only a newer client knows."""

    UNSPECIFIED = 0
    NEAREST_ANCHOR = 1
    VOTE = 2
    SOART3_VOTE = 3


class DecisionReason(IntEnum):
    """What speaks against a plain PASS or REJECT; ``UNSPECIFIED`` is a reason that only a newer client knows.

    From ``MEAN`` on it is a statistic of the input that is beyond its limit.
    """

    UNSPECIFIED = 0
    BETWEEN_THRESHOLDS = 1
    CONTRADICTION = 2
    LABEL_NOT_SURE = 3
    NOVEL = 4
    MEAN = 5
    SPREAD = 6
    GAIN = 7
    FOCUS = 8
    SATURATION = 9
    DEAD_LINES = 10


class ItemErrorReason(IntEnum):
    """Why a vector has no verdict; ``UNSPECIFIED`` is a reason that only a newer client knows."""

    UNSPECIFIED = 0
    WRONG_LENGTH = 1
    NON_FINITE = 2
    OUT_OF_RANGE = 3
    FLAT = 4
    UNSUPPORTED_DATA_TYPE = 5
    INTERNAL = 6
    EXPIRED = 7
    BAD_TEMPLATE = 8


class ReferenceMap(IntEnum):
    """What a vector was compared with as a map; ``UNSPECIFIED`` is one that only a newer client knows."""

    UNSPECIFIED = 0
    TEMPLATE = 1
    CLASS_MEAN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemError:
    """Why a vector has no verdict: for programs, and for people."""

    reason: ItemErrorReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What answered.

    Attributes
    ----------
    station, embedder, generation, threshold_set : text
    revision : int
        Of the station's references.
    queue_ms, compute_ms : float
        How long the vector waited for the compute thread, and how long its batch was computed, in milliseconds.
    batch_size : int
        Vectors computed together.
    recorded : bool
        Whether the answer was in the server's verdict log when it was sent.
    """

    station: str
    embedder: str
    generation: str
    revision: int
    threshold_set: str
    queue_ms: float
    compute_ms: float
    batch_size: int
    recorded: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """The distance to every anchor, nearest first; a class that has several is named several times.

    Attributes
    ----------
    labels : (C,) int32
        Class codes.
    distances : (C,) float32
        Euclidean distances in embedding space, ascending.
    """

    labels: NDArray[np.int32]
    distances: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One neighbour; what its fields mean is said in ``Neighbours``."""

    id: str
    label: int
    failure_mode: str
    distance: float
    beta: float
    eta: float
    gamma: float
    match_distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours(Unread):
    """The neighbours that survived re-ranking, nearest match first: as arrays, or one by one.

    Attributes
    ----------
    ids, failure_modes : tuples of K texts
        The references' ids, unique in their station, and how each failed.
    labels : (K,) int32
        Class codes.
    distances : (K,) float32
        Euclidean distances in embedding space.
    betas, etas, gammas : (K,) float32
        SOART3 scale, deviation and spread.
    match_distances : (K,) float32
        The fitted mix of the three, in [0, 1): 0 same class, towards 1 different.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.int32]
    failure_modes: tuple[str, ...]
    distances: NDArray[np.float32]
    betas: NDArray[np.float32]
    etas: NDArray[np.float32]
    gammas: NDArray[np.float32]
    match_distances: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, rank: int) -> Neighbour: ...

    @overload
    def __getitem__(self, rank: slice) -> tuple[Neighbour, ...]: ...

    def __getitem__(self, rank: int | slice) -> Neighbour | tuple[Neighbour, ...]:
        """Return the neighbour at a rank from 0, the nearest match, or those of a slice."""
        if isinstance(rank, slice):
            return tuple(map(self._at, range(*rank.indices(len(self)))))
        return self._at(rank)

    def __iter__(self) -> Iterator[Neighbour]:
        return map(self._at, range(len(self)))

    def _at(self, rank: int) -> Neighbour:
        return Neighbour(
            self.ids[rank],
            int(self.labels[rank]),
            self.failure_modes[rank],
            *(
                float(column[rank])
                for column in (self.distances, self.betas, self.etas, self.gammas, self.match_distances)
            ),
        )


@dataclass(frozen=True, slots=True)
class InputHealth:
    """How far an input lies from what is ordinary, in units of its limits: beyond -1 … 1 is out of them.

    Attributes
    ----------
    mean : float
        Below 0 darker, above 0 brighter.
    spread : float
        Standard deviation: less or more contrast.
    gain : float
        Scale against the mean map of passes.
    focus : float
        High-pass energy as a share of the edges': below 0 blurred, above 0 noisy.
    saturation : float
        Share of cells at the ends of the value range.
    dead_lines : float
        Share of rows and columns without any change.
    """

    mean: float
    spread: float
    gain: float
    focus: float
    saturation: float
    dead_lines: float


@dataclass(frozen=True, slots=True, eq=False)
class Residuals(Unread):
    """What is left of a vector when its reference map, moved by up to two cells to where it fits best, is taken away.

    On a scale of 0 … 1, the trained value range, over the cells in which both maps lie.

    Attributes
    ----------
    reference : ReferenceMap
        The vector's own template, or the mean map of a class.
    shift_rows, shift_columns : int
        By how many cells the reference map was moved down and to the right.
    beta, eta, gamma : float
        SOART3 scale (1 where the gains agree), deviation (not negative, 0 where beta times the reference map explains
        the vector fully) and spread (0 where the deviation sits in one cell).
    l2, l6, largest : float
        Norms of the differences of the cells, of powers 2, 6 and infinity; not negative.
    standardised_l2, standardised_l6, standardised_largest : float
        The same of both maps with zero mean and unit spread.
    """

    reference: ReferenceMap
    shift_rows: int
    shift_columns: int
    beta: float
    eta: float
    gamma: float
    l2: float
    l6: float
    largest: float
    standardised_l2: float
    standardised_l6: float
    standardised_largest: float


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The answer for one vector, with its evidence.

    Attributes
    ----------
    label : int
        Class code.
    failure_mode : text
        The weighted vote among the neighbours that bear the label.
    decision : Decision
    probability : float
        Calibrated, in [0, 1], that the label is right.
    reject_probability : float or None
        Calibrated, in [0, 1], that the part is a reject; None where the station has no pass labels.
    margin : float
        Probability of the label minus that of the most probable other class, in [-1, 1].
    novelty : float
        Mean Euclidean distance to the nearest references.
    method : LabelMethod
        The one whose label is answered.
    method_labels : mapping of LabelMethod to int
        What each method found.
    anchors : Anchors
    neighbours : Neighbours
    reasons : tuple of DecisionReason
        What speaks against a plain PASS or REJECT; empty where nothing does.
    health : InputHealth or None
        None where the station's embedder has not learnt what is ordinary.
    residuals : Residuals or None
        None where the vector was compared with no map: it brought no template, and the station has none of its own.
    """

    label: int
    failure_mode: str
    decision: Decision
    probability: float
    reject_probability: float | None
    margin: float
    novelty: float
    method: LabelMethod
    method_labels: Mapping[LabelMethod, int]
    anchors: Anchors
    neighbours: Neighbours
    reasons: tuple[DecisionReason, ...] = ()
    health: InputHealth | None = None
    residuals: Residuals | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The answer to one vector: exactly one of ``verdict`` and ``error`` is set.

    Attributes
    ----------
    id : text
        The caller's id of the vector.
    sequence : int
        The vector's position in the stream or batch, from 0.
    context : InspectionContext or None
        What the caller said about the part.
    verdict : Verdict or None
    error : ItemError or None
    provenance : Provenance
    """

    id: str
    sequence: int
    context: InspectionContext | None
    verdict: Verdict | None
    error: ItemError | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, eq=False)
class NeighboursAnswer:
    """The neighbours of one vector: exactly one of ``neighbours`` and ``error`` is set.

    Attributes
    ----------
    id : text
        The caller's id of the vector.
    sequence : int
        The vector's position in the batch, from 0.
    context : InspectionContext or None
        What the caller said about the part.
    neighbours : Neighbours or None
    error : ItemError or None
    provenance : Provenance
    """

    id: str
    sequence: int
    context: InspectionContext | None
    neighbours: Neighbours | None
    error: ItemError | None
    provenance: Provenance
