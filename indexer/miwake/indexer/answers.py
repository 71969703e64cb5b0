"""What the index answers for a batch: neighbours and verdicts, held column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Decision(IntEnum):
    """What to do with a part."""

    PASS = 1
    REJECT = 2
    REVIEW = 3
    UNKNOWN = 4


class LabelMethod(IntEnum):
    """The ways in which a label is found."""

    NEAREST_ANCHOR = 1
    VOTE = 2
    SOART3_VOTE = 3


class ReferenceMap(IntEnum):
    """What map a query was compared with, cell by cell."""

    NONE = 0
    TEMPLATE = 1
    CLASS_MEAN = 2


class HealthStatistic(IntEnum):
    """What the health of an input is told by, as ``miwake.indexer.health`` computes it; the order of the columns."""

    MEAN = 0
    SPREAD = 1
    GAIN = 2
    FOCUS = 3
    SATURATION = 4
    DEAD_LINES = 5


class DecisionReason(IntFlag):
    """What speaks against a plain PASS or REJECT; none of it is set where nothing does.

    The health statistics are the last ones, in the order of ``HealthStatistic``.
    """

    BETWEEN_THRESHOLDS = 1
    CONTRADICTION = 2
    LABEL_NOT_SURE = 4
    NOVEL = 8
    MEAN = 16
    SPREAD = 32
    GAIN = 64
    FOCUS = 128
    SATURATION = 256
    DEAD_LINES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourBatch:
    """The K nearest references of each of Q queries, nearest match first.

    Attributes
    ----------
    positions : (Q, K) int64
        Rows of the generation's references; from N on, of those added since.
    labels : (Q, K) int32
    ids, failure_modes : Q tuples of K texts
    distances : (Q, K) float32
        Euclidean, in embedding space.
    beta, eta, gamma : (Q, K) float32
        SOART3 scale, deviation and spread.
    match_distances : (Q, K) float32
        In [0, 1).
    """

    positions: NDArray[np.int64]
    labels: NDArray[np.int32]
    ids: tuple[tuple[str, ...], ...]
    failure_modes: tuple[tuple[str, ...], ...]
    distances: NDArray[np.float32]
    beta: NDArray[np.float32]
    eta: NDArray[np.float32]
    gamma: NDArray[np.float32]
    match_distances: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualBatch:
    """How Q queries differ from their reference maps, each moved by up to two cells to where it fits best.

    On a scale of 0 … 1, over the cells in which both lie. NaN, and 0 where there is no NaN, where a query has none.

    Attributes
    ----------
    reference : (Q,) uint8
        ``ReferenceMap`` codes.
    shift_rows, shift_columns : (Q,) int8
        By how many cells the reference map was moved down and to the right.
    beta, eta, gamma : (Q,) float32
        SOART3 scale, deviation and spread: how well the reference map explains the query.
    l2, l6, largest : (Q,) float32
        Norms of the differences of the cells, of powers 2, 6 and infinity.
    standardised_l2, standardised_l6, standardised_largest : (Q,) float32
        The same of both maps with zero mean and unit spread.
    """

    reference: NDArray[np.uint8]
    shift_rows: NDArray[np.int8]
    shift_columns: NDArray[np.int8]
    beta: NDArray[np.float32]
    eta: NDArray[np.float32]
    gamma: NDArray[np.float32]
    l2: NDArray[np.float32]
    l6: NDArray[np.float32]
    largest: NDArray[np.float32]
    standardised_l2: NDArray[np.float32]
    standardised_l6: NDArray[np.float32]
    standardised_largest: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictBatch:
    """The verdicts on Q queries.

    Attributes
    ----------
    labels : (Q,) int32
    failure_modes : Q texts
        The weighted vote among the neighbours that bear the label.
    decisions : (Q,) int8
        ``Decision`` codes.
    reasons : (Q,) int16
        ``DecisionReason`` flags.
    probabilities : (Q,) float32
        Calibrated, that the label is right.
    reject_probabilities : (Q,) float32, or None
        Calibrated, that the part is a reject; None where the station has no pass labels.
    margins : (Q,) float32
        Probability of the label minus that of the most probable other class.
    novelty : (Q,) float32
        Mean Euclidean distance to the nearest references.
    health : (Q, 6) float32, or (Q, 0)
        How far each ``HealthStatistic`` lies from what is ordinary, in units of its limit: beyond -1 … 1 is out of it.
        Without columns where the embedder has not learnt what is ordinary.
    method : LabelMethod
        Whose label is answered.
    method_labels : (Q, 3) int32
        What each ``LabelMethod`` found, in its order.
    anchor_labels : (Q, A) int32, anchor_distances : (Q, A) float32
        Every anchor, nearest first; a class that has several is named several times.
    neighbours : NeighbourBatch
    residuals : ResidualBatch, or None
        None where no template was given and the generation compares with none of its own.
    stage_seconds : mapping of stage to float
        How long each of ``laps``' stages took; empty where nobody looked at the clock.
    """

    labels: NDArray[np.int32]
    failure_modes: tuple[str, ...]
    decisions: NDArray[np.int8]
    reasons: NDArray[np.int16]
    probabilities: NDArray[np.float32]
    reject_probabilities: NDArray[np.float32] | None
    margins: NDArray[np.float32]
    novelty: NDArray[np.float32]
    health: NDArray[np.float32]
    method: LabelMethod
    method_labels: NDArray[np.int32]
    anchor_labels: NDArray[np.int32]
    anchor_distances: NDArray[np.float32]
    neighbours: NeighbourBatch
    residuals: ResidualBatch | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBatch:
    """Q pairs of a query and a reference, compared.

    Attributes
    ----------
    beta, eta, gamma : (Q,) float32
        SOART3 scale, deviation and spread: how well the reference explains the query.
    match_distances : (Q,) float32
        In [0, 1).
    distances, cosine_distances : (Q,) float32
        Euclidean, and one minus the cosine in [0, 2]; in embedding space.
    deciding : (Q,) float32
        Of the three distances the one that decides.
    probabilities : (Q,) float32
        Calibrated, that both are of one class where that is as likely as not beforehand.
    """

    beta: NDArray[np.float32]
    eta: NDArray[np.float32]
    gamma: NDArray[np.float32]
    match_distances: NDArray[np.float32]
    distances: NDArray[np.float32]
    cosine_distances: NDArray[np.float32]
    deciding: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.beta)
