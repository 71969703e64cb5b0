"""How votes are held, in plain numpy: what the compiled loops of ``weighing`` are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import LabelMethod
from miwake.indexer.verdict.probability import Features
from miwake.indexer.verdict.votes import FLOOR, count, distance_weights, log_share
from miwake.indexer.verdict.weighing import Weighed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.calibration import VoteSettings
    from miwake.indexer.verdict.match import MatchMix
    from miwake.indexer.verdict.votes import Ballot, Classes


def weigh(
    candidates: Candidates,
    anchor_distances: NDArray[np.float32],
    reference_columns: NDArray[np.intp],
    classes: Classes,
    mix: MatchMix,
    vote: VoteSettings,
) -> Weighed:
    """Hold both votes and compare the anchors, as ``weighing.weigh``."""
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


def vote_failure_modes(
    candidates: Candidates,
    weighed: Weighed,
    answered: NDArray[np.intp],
    reference_columns: NDArray[np.intp],
    reference_codes: NDArray[np.int32],
    usual_codes: NDArray[np.intp],
    n_voting: int,
) -> NDArray[np.int64]:
    """Return the failure codes with the most weight, as ``weighing.vote_failure_modes``."""
    best = weighed.ranking[:, :n_voting]
    positions = np.take_along_axis(candidates.positions, best, axis=1)
    weights = 1.0 - np.take_along_axis(weighed.match_distances, best, axis=1)
    weights = np.where(reference_columns[positions] == answered[:, None], weights, 0.0)
    codes = reference_codes[positions]
    totals = np.einsum("qij,qj->qi", codes[:, :, None] == codes[:, None, :], weights)
    totals = np.where(weights > 0, totals, 0.0)
    winners = codes[np.arange(len(codes)), totals.argmax(axis=1)]
    return np.where(totals.max(axis=1) > 0, winners, usual_codes[answered])


def features_of(vote: Ballot, soart3_vote: Ballot, anchor_distances: NDArray[np.float32], classes: Classes) -> Features:
    """Return the features of Q queries from both ballots and the (Q, C) distances to the class anchors."""
    by_class = np.stack([log_share(vote.shares), log_share(soart3_vote.shares), -anchor_distances], axis=2)
    sides = np.zeros((len(anchor_distances), 3))
    if classes.has_sides:
        sides[:, 0] = log_odds(vote.reject_share)
        sides[:, 1] = log_odds(soart3_vote.reject_share)
        nearest_pass = anchor_distances[:, classes.passes].min(axis=1)
        sides[:, 2] = nearest_pass - anchor_distances[:, ~classes.passes].min(axis=1)
    return Features(by_class, sides)


def log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of shares, kept finite by ``FLOOR``."""
    return np.asarray(np.log((share + FLOOR) / (1 - share + FLOOR)))
