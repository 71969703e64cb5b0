"""From candidates and anchor distances to labels, probabilities and decisions; the same in calibration and service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import Decision, LabelMethod
from miwake.indexer.verdict.probability import features_of
from miwake.indexer.verdict.votes import count, distance_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.calibration import ThresholdSet, VoteSettings
    from miwake.indexer.verdict.match import MatchMix
    from miwake.indexer.verdict.probability import Features
    from miwake.indexer.verdict.votes import Classes


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the three methods say of Q queries.

    Attributes
    ----------
    ranking : (Q, M)
        Columns of the candidates, best match first, ties by Euclidean distance.
    match_distances : (Q, M) float32
        Of the candidates, in their own order.
    method_columns : (Q, 3)
        The class column each ``LabelMethod`` finds.
    features : Features
        What probabilities are made of.
    """

    ranking: NDArray[np.intp]
    match_distances: NDArray[np.float32]
    method_columns: NDArray[np.intp]
    features: Features


def weigh(
    candidates: Candidates,
    anchor_distances: NDArray[np.float32],
    reference_columns: NDArray[np.intp],
    classes: Classes,
    mix: MatchMix,
    vote: VoteSettings,
) -> Weighed:
    """Hold both votes and compare the anchors.

    Parameters
    ----------
    candidates : Candidates
        M for each of Q queries; what is infinitely far does not vote.
    anchor_distances : (Q, C) float32
    reference_columns : (N,)
        The class column of each reference.
    classes, mix, vote
        The classes among the references, and what calibration found.
    """
    scores = mix.scores(candidates.beta, candidates.eta, candidates.gamma)
    scores = np.where(np.isfinite(candidates.distances), scores, np.inf)
    match_distances = mix.distances(scores)
    ranking = np.argsort(scores, axis=1, kind="stable")
    columns = reference_columns[candidates.positions]
    nearest = slice(None, vote.n_voting)
    by_distance = count(
        columns[:, nearest], distance_weights(candidates.distances[:, nearest], vote.bandwidth), classes
    )
    best = ranking[:, nearest]
    by_match = count(
        np.take_along_axis(columns, best, axis=1),
        1.0 - np.take_along_axis(match_distances, best, axis=1).astype(np.float64),
        classes,
    )
    methods = np.empty((len(columns), len(LabelMethod)), dtype=np.intp)
    methods[:, LabelMethod.NEAREST_ANCHOR - 1] = anchor_distances.argmin(axis=1)
    methods[:, LabelMethod.VOTE - 1] = by_distance.winners(classes)
    methods[:, LabelMethod.SOART3_VOTE - 1] = by_match.winners(classes)
    return Weighed(ranking, match_distances, methods, features_of(by_distance, by_match, anchor_distances, classes))


def decide(
    is_pass: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    reject_probabilities: NDArray[np.float64] | None,
    novelty: NDArray[np.float32],
    thresholds: ThresholdSet,
) -> NDArray[np.int8]:
    """Return ``Decision`` codes (Q,).

    PASS needs a pass label and REJECT a reject label; what lies between the bounds is REVIEW, and what is far from
    every reference UNKNOWN. Without pass labels nothing passes, and a label that is not sure enough is REVIEW.

    Parameters
    ----------
    is_pass : (Q,) bool
        Whether the answered label is a pass label.
    probabilities : (Q,) float64
        That the label is right.
    reject_probabilities : (Q,) float64, or None
        None where all classes are on one side: a pass label, never told from a reject, is then REVIEW.
    novelty : (Q,) float32
    thresholds : ThresholdSet
    """
    decisions = np.full(len(is_pass), Decision.REVIEW, dtype=np.int8)
    if reject_probabilities is None:
        decisions[~is_pass & (probabilities >= thresholds.sure_at_least)] = Decision.REJECT
    else:
        decisions[is_pass & (reject_probabilities <= thresholds.pass_at_most)] = Decision.PASS
        decisions[~is_pass & (reject_probabilities >= thresholds.reject_at_least)] = Decision.REJECT
    decisions[~(novelty <= thresholds.novelty_at_most)] = Decision.UNKNOWN
    return decisions
