"""Both votes, the anchors, and what probabilities are made of, for whole batches: compiled, as ``plain`` has them.

The loops are in ``vote_loops``, which is imported, and compiled or read from numba's cache, at the first call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.answers import LabelMethod
from miwake.indexer.compiling import compile_loop
from miwake.indexer.verdict.probability import Features

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.calibration import VoteSettings
    from miwake.indexer.verdict.match import MatchMix
    from miwake.indexer.verdict.votes import Classes


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the three methods say of Q queries.

    Attributes
    ----------
    ranking : (Q, M) int64
        Columns of the candidates, best match first, ties by Euclidean distance.
    match_distances : (Q, M) float32
        Of the candidates, in their own order.
    method_columns : (Q, 3) int64
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
    shape, n_classes = candidates.positions.shape, len(classes.labels)
    weighed = Weighed(
        np.empty(shape, dtype=np.int64),
        np.empty(shape, dtype=np.float32),
        np.empty((len(anchor_distances), len(LabelMethod)), dtype=np.int64),
        Features(np.empty((len(anchor_distances), n_classes, 3)), np.empty((len(anchor_distances), 3))),
    )
    _compiled().weigh(
        tuple(map(np.ascontiguousarray, candidates.columns())),
        np.ascontiguousarray(anchor_distances),
        np.ascontiguousarray(reference_columns),
        (np.ascontiguousarray(classes.sizes, dtype=np.int64), classes.passes),
        (mix.weights, vote.n_voting, vote.bandwidth),
        (
            weighed.ranking,
            weighed.match_distances,
            weighed.method_columns,
            weighed.features.by_class,
            weighed.features.sides,
        ),
    )
    return weighed


def vote_failure_modes(
    candidates: Candidates,
    weighed: Weighed,
    answered: NDArray[np.intp],
    reference_columns: NDArray[np.intp],
    reference_codes: NDArray[np.int32],
    usual_codes: NDArray[np.intp],
    n_voting: int,
) -> NDArray[np.int64]:
    """Return the failure code (Q,) with the most weight among the voting neighbours that bear the answered label.

    Parameters
    ----------
    answered : (Q,)
        Class columns.
    reference_columns, reference_codes : (N,), (N,) int32
        Of each reference.
    usual_codes : (C,)
        What is taken where none of them votes.
    n_voting : int
        The best matches that vote.
    """
    winners = np.empty(len(answered), dtype=np.int64)
    _compiled().failure_modes(
        (
            np.ascontiguousarray(candidates.positions),
            np.ascontiguousarray(weighed.ranking[:, :n_voting]),
            weighed.match_distances,
        ),
        np.ascontiguousarray(answered),
        np.ascontiguousarray(reference_columns),
        (np.ascontiguousarray(reference_codes), np.ascontiguousarray(usual_codes)),
        winners,
    )
    return winners


@dataclass(frozen=True, slots=True)
class _Loops:
    weigh: Callable[..., None]
    failure_modes: Callable[..., None]


@cache
def _compiled() -> _Loops:
    import numba  # noqa: PLC0415 - heavy; who only names these functions does not pay for it

    from miwake.indexer.verdict import vote_loops  # noqa: PLC0415 - likewise

    types: Any = numba.types

    def array(kind: Any, n_dimensions: int) -> Any:
        return types.Array(kind, n_dimensions, "C", readonly=True)

    def out(kind: Any, n_dimensions: int) -> Any:
        return types.Array(kind, n_dimensions, "C")

    rows, values = array(types.int64, 2), array(types.float32, 2)
    whole = array(types.int64, 1)
    classes = types.Tuple((whole, array(types.boolean, 1)))
    fitted = types.Tuple((array(types.float64, 1), types.int64, types.float64))
    weighed = types.Tuple(
        (out(types.int64, 2), out(types.float32, 2), out(types.int64, 2), out(types.float64, 3), out(types.float64, 2))
    )
    return _Loops(
        compile_loop(
            vote_loops.weigh,
            types.void(types.Tuple((rows, values, values, values, values)), values, whole, classes, fitted, weighed),
        ),
        compile_loop(
            vote_loops.vote_failure_modes,
            types.void(
                types.Tuple((rows, rows, values)),
                whole,
                whole,
                types.Tuple((array(types.int32, 1), whole)),
                out(types.int64, 1),
            ),
        ),
    )
