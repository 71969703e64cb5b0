"""The loops that numba compiles for ``weighing``; nothing is compiled when this is imported.

It is one module because numba's cache notices a change only in the file of the function that it has compiled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np

from miwake.indexer.verdict.votes import FLOOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Values = NDArray[np.float32]
    Rows = NDArray[np.int64]
    Function = TypeVar("Function", bound=Callable[..., Any])

BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))
MOST_COUNTED = 256
"""Candidates that are ranked by counting: of more, sorting is sooner done."""

HALF = 0.5


def _part(function: Function) -> Function:
    compiled: Any = numba.njit(error_model="numpy")(function)
    return cast("Function", compiled)


@_part
def _score(distances: Values, measures: tuple[Values, Values, Values], mix: Floats, scores: Floats) -> None:
    """Write the scores of one query's candidates; what is infinitely far, or has none, scores infinity."""
    beta, eta, gamma = measures
    for k in range(len(scores)):
        score = mix[0] * abs(np.float64(beta[k]) - 1.0) + mix[1] * eta[k] + mix[2] * gamma[k] + mix[3]
        scores[k] = score if math.isfinite(distances[k]) and not math.isnan(score) else math.inf


@_part
def _rank(scores: Floats, ranking: Rows) -> None:
    """Write the places of the scores, ascending, the first of equal ones first."""
    n_scores = len(scores)
    if n_scores > MOST_COUNTED:
        ranking[:] = np.argsort(scores, kind="mergesort")
        return
    for k in range(n_scores):
        score, n_before = scores[k], np.int64(0)
        for j in range(k):
            n_before += np.int64(scores[j] <= score)
        for j in range(k + 1, n_scores):
            n_before += np.int64(scores[j] < score)
        ranking[n_before] = k


@_part
def _count(columns: Rows, weights: Floats, sizes: Rows, passes: NDArray[np.bool_], shares: Floats) -> tuple[float, int]:
    """Write the class-balanced shares of one vote; return the share of the rejects, and the class that wins."""
    shares[:] = 0.0
    for k in range(len(columns)):
        shares[columns[k]] += weights[k]
    whole = rejects = total = 0.0
    for c in range(len(shares)):
        whole += shares[c]
        if not passes[c]:
            rejects += shares[c]
        shares[c] /= min(sizes[c], len(columns))
        total += shares[c]
    reject_share = rejects / whole
    has_sides = passes.any() and not passes.all()
    wins_pass = reject_share < HALF
    winner, best = 0, -math.inf
    for c in range(len(shares)):
        shares[c] /= total
        share = -1.0 if has_sides and passes[c] != wins_pass else shares[c]
        if share > best:
            winner, best = c, share
    return reject_share, winner


@_part
def _log_odds(share: float) -> float:
    return math.log((share + FLOOR) / (1 - share + FLOOR))


@_part
def _compare_anchors(anchors: Values, passes: NDArray[np.bool_]) -> Any:
    """Return the nearest anchor's column, and by how much the nearest reject's is nearer than the nearest pass's."""
    nearest, nearest_pass, nearest_reject = 0, np.float32(np.inf), np.float32(np.inf)
    for c in range(len(anchors)):
        if anchors[c] < anchors[nearest]:
            nearest = c
        if passes[c]:
            nearest_pass = min(nearest_pass, anchors[c])
        else:
            nearest_reject = min(nearest_reject, anchors[c])
    return nearest, np.float64(nearest_pass - nearest_reject)


def weigh(
    candidates: tuple[Rows, Values, Values, Values, Values],
    anchors: Values,
    reference_columns: Rows,
    classes: tuple[Rows, NDArray[np.bool_]],
    fitted: tuple[Floats, int, float],
    weighed: tuple[Rows, Values, Rows, Floats, Floats],
) -> None:
    """Fill a ranking (Q, M), match distances (Q, M), method columns (Q, 3), and features (Q, C, 3) and (Q, 3)."""
    positions, distances, beta, eta, gamma = candidates
    sizes, passes = classes
    mix, n_voting, bandwidth = fitted
    ranking, match_distances, methods, by_class, sides = weighed
    n_candidates = positions.shape[1]
    n_voting = min(n_voting, n_candidates)
    has_sides = passes.any() and not passes.all()
    scores, shares = np.empty(n_candidates), np.empty(len(sizes))
    columns, weights = np.empty(n_voting, np.int64), np.empty(n_voting)
    for q in range(len(positions)):
        _score(distances[q], (beta[q], eta[q], gamma[q]), mix, scores)
        _rank(scores, ranking[q])
        for k in range(n_candidates):
            match_distances[q, k] = min(np.float32(1.0 / (1.0 + math.exp(-scores[k]))), BELOW_ONE)
        for k in range(n_voting):
            columns[k] = reference_columns[positions[q, k]]
            weights[k] = math.exp((np.float64(distances[q, 0]) - np.float64(distances[q, k])) / bandwidth)
        reject_share, methods[q, 1] = _count(columns, weights, sizes, passes, shares)
        for c in range(len(shares)):
            by_class[q, c, 0] = math.log(shares[c] + FLOOR)
        for k in range(n_voting):
            columns[k] = reference_columns[positions[q, ranking[q, k]]]
            weights[k] = 1.0 - np.float64(match_distances[q, ranking[q, k]])
        soart3_share, methods[q, 2] = _count(columns, weights, sizes, passes, shares)
        for c in range(len(shares)):
            by_class[q, c, 1] = math.log(shares[c] + FLOOR)
            by_class[q, c, 2] = -anchors[q, c]
        methods[q, 0], nearer = _compare_anchors(anchors[q], passes)
        if has_sides:
            sides[q, 0], sides[q, 1], sides[q, 2] = _log_odds(reject_share), _log_odds(soart3_share), nearer
        else:
            sides[q, :] = 0.0


def vote_failure_modes(
    chosen: tuple[Rows, Rows, Values], answered: Rows, reference_columns: Rows, codes: tuple[Any, Rows], winners: Rows
) -> None:
    """Fill ``winners``, (Q,), with the failure codes that have most weight among the voters of the answered class."""
    positions, ranking, match_distances = chosen
    reference_codes, usual_codes = codes
    n_voting = ranking.shape[1]
    voting, weights = np.empty(n_voting, np.int64), np.empty(n_voting)
    for q in range(len(ranking)):
        for k in range(n_voting):
            place = ranking[q, k]
            position = positions[q, place]
            voting[k] = reference_codes[position]
            is_of_class = reference_columns[position] == answered[q]
            weights[k] = np.float64(np.float32(1) - match_distances[q, place]) if is_of_class else 0.0
        winners[q] = usual_codes[answered[q]]
        most = 0.0
        for k in range(n_voting):
            total = 0.0
            for j in range(n_voting):
                if voting[j] == voting[k]:
                    total += weights[j]
            if weights[k] > 0 and total > most:
                winners[q], most = voting[k], total
