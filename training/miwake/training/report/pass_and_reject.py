"""How well passes and rejects are told apart: by the probability of a reject, and in the embeddings themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.assessing.roc import separation
from miwake.indexer.records import is_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.assessing.answering import IndexAnswers
    from miwake.indexer.assessing.roc import Separation

OVERKILL_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Overkill rates at which the escapes are told."""

SHRINKAGE = 0.1
"""Share of the mean variance in the spread of each dimension: with few references it cannot be estimated whole."""


@dataclass(frozen=True, slots=True)
class TradeOff:
    """Escapes against overkills as the bound on the probability of a reject moves.

    Attributes
    ----------
    overkill, escape : (T,) float64
        At every bound, from "everything is a reject" to "everything passes".
    separation : Separation
        The same as a ROC curve: genuine are the rejects, impostors the passes.
    """

    overkill: NDArray[np.float64]
    escape: NDArray[np.float64]
    separation: Separation

    def escape_at(self, overkill: float) -> float:
        """Return the least share of escapes where at most this share of the passes is overkilled."""
        return float(self.escape[self.overkill <= overkill + 1e-12].min())


def reject_probabilities(indexed: IndexAnswers, pass_labels: Sequence[int]) -> NDArray[np.float64]:
    """Return the probability (Q,) that each query is a reject, as an index of the references says it."""
    passes = is_pass(indexed.classes, pass_labels)
    return np.asarray(indexed.probabilities[:, ~passes].sum(axis=1))


def trade_off(probabilities: NDArray[np.float64], is_reject: NDArray[np.bool_]) -> TradeOff | None:
    """Return what every bound on the probabilities (Q,) of a reject costs; None without passes or rejects."""
    n_rejects = int(is_reject.sum())
    n_passes = len(is_reject) - n_rejects
    if not n_rejects or not n_passes:
        return None
    bounds = np.concatenate([[-np.inf], np.unique(probabilities), [np.inf]])
    rejects, passes = np.sort(probabilities[is_reject]), np.sort(probabilities[~is_reject])
    escape = np.searchsorted(rejects, bounds) / n_rejects
    overkill = 1 - np.searchsorted(passes, bounds) / n_passes
    return TradeOff(overkill, escape, separation(-probabilities, is_reject))


@dataclass(frozen=True, slots=True)
class Gap:
    """How far passes and rejects lie apart.

    Attributes
    ----------
    d_prime : float
        Distance of the means of the queries' passes and rejects, in standard deviations, along the direction that
        tells those of the references apart best.
    n_passes, n_rejects : int
        Queries.
    """

    d_prime: float
    n_passes: int
    n_rejects: int


def gap(
    queries: NDArray[np.float32],
    query_rejects: NDArray[np.bool_],
    references: NDArray[np.float32],
    reference_rejects: NDArray[np.bool_],
) -> Gap | None:
    """Return the gap between passes and rejects among (Q, D) embeddings, given (R, D) of references.

    None where there are fewer than two of a kind on either side.

    Notes
    -----
    ``d' = |m1 - m0| / sqrt((s0^2 + s1^2) / 2)`` (Green and Swets, 1966) of the queries on Fisher's discriminant of the
    references, ``(S + lambda I)^-1 (m1 - m0)``: the direction has not seen the queries.
    """
    counts = [int(kind.sum()) for one in (query_rejects, reference_rejects) for kind in (one, ~one)]
    if min(counts) < 2:
        return None
    along = queries.astype(np.float64) @ _fisher_direction(references.astype(np.float64), reference_rejects)
    rejects, passes = along[query_rejects], along[~query_rejects]
    deviation = float(np.sqrt((rejects.var(ddof=1) + passes.var(ddof=1)) / 2))
    apart = abs(float(rejects.mean() - passes.mean()))
    return Gap(apart / max(deviation, np.finfo(np.float64).tiny), len(passes), len(rejects))


def _fisher_direction(embeddings: NDArray[np.float64], is_reject: NDArray[np.bool_]) -> NDArray[np.float64]:
    rejects, passes = embeddings[is_reject], embeddings[~is_reject]
    scatter = (np.cov(rejects, rowvar=False) + np.cov(passes, rowvar=False)) / 2
    scatter = np.atleast_2d(scatter)
    ridge = SHRINKAGE * float(np.trace(scatter)) / len(scatter)
    return np.linalg.solve(
        scatter + max(ridge, 1e-12) * np.eye(len(scatter)), rejects.mean(axis=0) - passes.mean(axis=0)
    )
