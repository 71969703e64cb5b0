"""What an index knows about itself: mix, vote, probabilities and thresholds, as stored in ``calibration.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from miwake.indexer.answers import LabelMethod
from miwake.indexer.verdict.match import MatchHistogram, MatchMix
from miwake.indexer.verdict.matched import MatchedEscapes
from miwake.indexer.verdict.pairs import PairCalibration
from miwake.indexer.verdict.probability import ProbabilityModel
from miwake.indexer.verdict.reference_maps import OfferedMap, ReferenceMapName
from miwake.indexer.verdict.residual_terms import ResidualModel

CALIBRATION_FILE = "calibration.json"
FORMAT_VERSION = 1

Space = Literal["embedding", "raw"]
MethodName = Literal["nearest_anchor", "vote", "soart3_vote"]

METHODS: dict[LabelMethod, MethodName] = {
    LabelMethod.NEAREST_ANCHOR: "nearest_anchor",
    LabelMethod.VOTE: "vote",
    LabelMethod.SOART3_VOTE: "soart3_vote",
}
"""What each method is called in the artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankSettings:
    """How SOART3 re-ranks.

    Attributes
    ----------
    space : 'embedding' or 'raw'
        Raw maps are compared on a scale of 0 … 1.
    p_eta, p_gamma : int
        Powers of the norms behind eta and gamma, 1 … 8.
    n_candidates : int
        M, how many references FAISS proposes.
    """

    space: Space = "embedding"
    p_eta: int = 2
    p_gamma: int = 6
    n_candidates: int = 100

    def __post_init__(self) -> None:
        if not (1 <= self.p_eta <= 8 and 1 <= self.p_gamma <= 8):
            message = f"p_eta {self.p_eta}, p_gamma {self.p_gamma}: expected 1 … 8"
            raise ValueError(message)
        if self.n_candidates < 1:
            message = f"n_candidates {self.n_candidates}: expected at least 1"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteSettings:
    """Who votes.

    Attributes
    ----------
    n_voting : int
        How many references vote, whatever number is returned.
    bandwidth : float
        Euclidean distance over which the weight of a vote falls by a factor of e.
    """

    n_voting: int = 15
    bandwidth: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdSet:
    """The bounds behind a decision.

    Attributes
    ----------
    name : text
        Told with every verdict.
    pass_at_most : float
        A part passes if its label is a pass label and its reject probability is at most this.
    reject_at_least : float
        A part is rejected if its label is not a pass label and its reject probability is at least this.
    sure_at_least : float
        Where all classes are on one side: the probability of the label below which the answer is REVIEW.
    novelty_at_most : float
        Mean distance to the nearest references beyond which the answer is UNKNOWN.
    novelty_false_alarms : float
        Share of calibration rows beyond ``novelty_at_most``.
    health_at_most : float or None
        Deviation of a health statistic, in units of its limit, beyond which a part does not pass; None: any may.
    """

    name: str
    pass_at_most: float
    reject_at_least: float
    sure_at_least: float
    novelty_at_most: float
    novelty_false_alarms: float
    health_at_most: float | None = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one way to a label reached on calibration parts, cross-fitted.

    Attributes
    ----------
    accuracy, balanced_accuracy : float
    escape_rate, overkill_rate : float or None
        None without pass labels, or without rejects or passes among the rows.
    """

    accuracy: float
    balanced_accuracy: float
    escape_rate: float | None
    overkill_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """On what a calibration rests.

    Attributes
    ----------
    n_rows, n_parts : int
        Of the calibration queries.
    n_references : int
        Fit references they were compared with.
    n_not_covered : int
        Calibration rows left out because no fit reference bears their label.
    methods : mapping of method name to Measured
        ``vote`` is without SOART3, ``soart3_vote`` with it.
    rerank_accuracy : mapping
        Accuracy of the SOART3 vote in each space and with each pair of powers tried, such as ``embedding 2/6``.
    calibration_error : float
        Expected calibration error of the label's probability, cross-fitted, 15 bins.
    histogram : MatchHistogram
        Match distances of the pairs the mix was fitted on.
    anchor_accuracy : mapping
        Accuracy of the nearest anchor of each kind, where the kind was chosen by it.
    """

    n_rows: int
    n_parts: int
    n_references: int
    n_not_covered: int
    methods: dict[MethodName, Measured]
    rerank_accuracy: dict[str, float]
    calibration_error: float
    histogram: MatchHistogram
    anchor_accuracy: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualCalibration:
    """What residuals against a reference map were offered to the probability of *reject*, and whether it takes them.

    Attributes
    ----------
    reference_map : text
        ``template``: that of the very place, beside the vector; ``class-mean``: the mean map of the passes.
    n_rows, n_parts, n_rejects : int
        Calibration rows that have such a map.
    escapes : MatchedEscapes
        Theirs, with the terms and without.
    model : ResidualModel or None
        None where the terms do not cut escapes beyond chance: they are not taken.
    labels : Measured or None
        What labels reached that follow them, on all calibration rows; None where they are not taken.
    """

    reference_map: OfferedMap
    n_rows: int
    n_parts: int
    n_rejects: int
    escapes: MatchedEscapes
    model: ResidualModel | None = None
    labels: Measured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Everything fitted on calibration parts.

    ``pairs`` is None where a generation was built without, ``residuals`` where there was nothing to offer.
    """

    rerank: RerankSettings
    mix: MatchMix
    vote: VoteSettings
    probability: ProbabilityModel
    method: MethodName
    n_novelty: int
    thresholds: ThresholdSet
    evidence: Evidence
    pairs: PairCalibration | None = None
    residuals: ResidualCalibration | None = None
    format_version: int = FORMAT_VERSION

    @property
    def reference_map(self) -> ReferenceMapName:
        """What the probabilities of *reject* weigh residuals against, if anything."""
        residuals = self.residuals
        return "none" if residuals is None or residuals.model is None else residuals.reference_map
