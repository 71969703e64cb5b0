"""What residuals against a reference map add to the logit of *reject*, where they cut escapes beyond chance.

The terms are logarithms: what is twice as large speaks as much more wherever it lies. None of their weights is
negative, like those of the votes, so that a larger residual never makes a reject less probable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit, logit

from miwake.indexer.verdict.convex import fit_logistic
from miwake.indexer.verdict.probability import RIDGE
from miwake.indexer.verdict.reasons import EVEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.answers import ResidualBatch
    from miwake.indexer.verdict.probability import Features, ProbabilityModel

SCALE_TERM = "scale"
"""|beta - 1|; the other terms bear the names of the measures."""

TERMS = (
    SCALE_TERM, "eta", "gamma", "l2", "l6", "largest", "standardised_l2", "standardised_l6", "standardised_largest",
)  # fmt: skip

LEAST = 1e-3
"""Added before the logarithm: a hundredth of what noise leaves in any of the terms."""

LEAST_SPREAD = 1e-9
CERTAIN = 1e-12
"""As near to 0 or 1 as a probability is taken where log odds are needed."""


class ResidualTerms(NamedTuple):
    """The terms of Q queries.

    Attributes
    ----------
    values : (Q, 9) float64
    is_there : (Q,) bool
        Which queries have a reference map; the others' values mean nothing.
    """

    values: NDArray[np.float64]
    is_there: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> ResidualTerms:
        """Return the terms of some queries."""
        return ResidualTerms(self.values[rows], self.is_there[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualModel:
    """The log odds of *reject* with residual terms; takes the place of the side model where there is a reference map.

    Attributes
    ----------
    side_weights : three floats
        As of ``ProbabilityModel``, not negative.
    term_weights : mapping
        Of the logarithm of each of ``TERMS``, not negative.
    bias : float
    label_reject_at_least : float or None
        From this probability on the label is that of a reject, below it that of a pass; None: as the method finds it.
    """

    side_weights: tuple[float, float, float]
    term_weights: dict[str, float]
    bias: float
    label_reject_at_least: float | None = None

    def reject_probabilities(self, sides: NDArray[np.float64], terms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability (Q,) that each query is a reject, from (Q, 3) sides and (Q, 9) terms."""
        weights = np.array([self.term_weights[name] for name in TERMS])
        return np.asarray(expit(sides @ np.asarray(self.side_weights) + terms @ weights + self.bias))


def terms_of(residuals: ResidualBatch) -> ResidualTerms:
    """Return the terms of Q queries."""
    columns = [np.abs(residuals.beta - 1), *(getattr(residuals, name) for name in TERMS[1:])]
    is_there = residuals.reference > 0
    # What the loop leaves is not negative but for rounding.
    values = np.log(np.maximum(np.column_stack(columns).astype(np.float64), 0) + LEAST)
    return ResidualTerms(np.where(is_there[:, None], values, 0.0), is_there)


def reject_probabilities(
    probability: ProbabilityModel, model: ResidualModel | None, features: Features, terms: ResidualTerms | None
) -> NDArray[np.float64]:
    """Return the probability (Q,) that each query is a reject, with its terms where there are any."""
    without = probability.reject_probabilities(features)
    if model is None or terms is None:
        return without
    return np.where(terms.is_there, model.reject_probabilities(features.sides, terms.values), without)


def fit_residual_model(
    sides: NDArray[np.float64], terms: NDArray[np.float64], is_reject: NDArray[np.bool_]
) -> ResidualModel:
    """Fit the model by penalised maximum likelihood on Q queries that have a reference map.

    Sides and terms are penalised as if each had unit spread: some say nearly the same, on scales of their own.
    """
    columns = np.hstack([sides, terms])
    centres, spreads = columns.mean(axis=0), np.maximum(columns.std(axis=0), LEAST_SPREAD)
    n_weights = columns.shape[1]
    least = np.append(np.zeros(n_weights), -np.inf)
    found = fit_logistic(((columns - centres) / spreads).T, is_reject, np.zeros(n_weights + 1), least, ridge=RIDGE)
    weights = found[:-1] / spreads
    first, second, third = weights[:3].tolist()
    return ResidualModel(
        side_weights=(first, second, third),
        term_weights=dict(zip(TERMS, weights[3:].tolist(), strict=True)),
        bias=float(found[-1] - weights @ centres),
    )


def label_cut(
    rejects: NDArray[np.float64], is_pass: NDArray[np.bool_], *, n_overkills: int, n_escapes: int
) -> float | None:
    """Return the probability of *reject* from which on a label is that of a reject.

    It is 0.5, what is more probable, where by that no more passes are called rejects and no more rejects passes than
    told; else it is as near to that as may be.

    Parameters
    ----------
    rejects : (Q,) float64
        Probabilities of *reject*.
    is_pass : (Q,) bool
    n_overkills, n_escapes : int
        What is allowed of either error.

    Returns
    -------
    float, or None
        None where no probability keeps both.
    """
    passes, others = np.sort(rejects[is_pass])[::-1], np.sort(rejects[~is_pass])
    above = float(passes[n_overkills]) if n_overkills < len(passes) else -np.inf
    at_most = float(others[n_escapes]) if n_escapes < len(others) else np.inf
    if above < EVEN <= at_most:
        return EVEN
    if above >= at_most:
        return None
    scores = np.unique(rejects)
    place = int(np.searchsorted(scores, above, side="right") if above >= EVEN else np.searchsorted(scores, at_most))
    ends = np.clip(scores[[max(place - 1, 0), place]], CERTAIN, 1 - CERTAIN)
    return float(expit(logit(ends).mean()))


def on_their_side(
    answered: NDArray[np.intp],
    probabilities: NDArray[np.float64],
    rejects: NDArray[np.float64],
    passes: NDArray[np.bool_],
    model: ResidualModel | None,
    terms: ResidualTerms | None,
) -> NDArray[np.intp]:
    """Return the answers (Q,) on the side that the terms call for: another is the most probable class of that side.

    Parameters
    ----------
    answered : (Q,)
        Class columns.
    probabilities : (Q, C) float64
    rejects : (Q,) float64
        Probabilities of *reject*.
    passes : (C,) bool
    model, terms :
        Where there are none, or the model calls no sides, answers stay as they are.
    """
    if model is None or terms is None or model.label_reject_at_least is None:
        return answered
    calls_reject = rejects >= model.label_reject_at_least
    best = np.where(passes != calls_reject[:, None], probabilities, -1.0).argmax(axis=1)
    return np.where(terms.is_there & (passes[answered] == calls_reject), best, answered)
