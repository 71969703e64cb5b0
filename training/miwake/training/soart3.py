"""SOART3 in torch: batched and differentiable, the twin of ``miwake.indexer.soart3.plain`` for losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from miwake.indexer.soart3.plain import P_ETA, P_GAMMA, REGULARISER, check_powers

if TYPE_CHECKING:
    from miwake.indexer.verdict.match import MatchMix


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorMeasures:
    """How well each of M references explains each of Q queries, as ``miwake.indexer.soart3.plain.Measures`` says it.

    Attributes
    ----------
    beta, eta, gamma : (Q, M), in the type of the vectors
    """

    beta: Tensor
    eta: Tensor
    gamma: Tensor


def measures(queries: Tensor, references: Tensor, *, p_eta: int = P_ETA, p_gamma: int = P_GAMMA) -> TensorMeasures:
    """Compute beta, eta and gamma of every query with each of its own references.

    Parameters
    ----------
    queries : (Q, D) float32 or float64
    references : (Q, M, D), or (1, M, D) where all queries share them
    p_eta, p_gamma : int
        Which norms of the residuals make eta and gamma, 1 … 8.

    Returns
    -------
    TensorMeasures
        Each (Q, M). All gradients are finite for finite vectors; those of eta and gamma are 0 where there is no
        residual, which is where a norm has none.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a p is no integer in 1 … 8.

    Notes
    -----
    Computed in float64 whatever comes in: in float32 the residuals of near-duplicates, and the difference of two
    logarithms that gamma is, would lose their last digits. Beside a network this costs next to nothing.
    """
    check_powers(p_eta, p_gamma)
    fits = queries.ndim == 2 and references.ndim == 3 and references.shape[2] == queries.shape[1]
    if not fits or references.shape[0] not in {1, len(queries)}:
        message = (
            f"queries {tuple(queries.shape)} and references {tuple(references.shape)}: expected (Q, D) and (Q, M, D)"
        )
        raise ValueError(message)
    y, x = queries.double()[:, None], references.double()
    beta = ((x * y).sum(dim=-1) + REGULARISER) / ((x * x).sum(dim=-1) + REGULARISER)
    residuals = y - beta[..., None] * x
    eta = torch.log(1 + _norm(residuals, p_eta))
    gamma = eta - torch.log(1 + _norm(residuals, p_gamma))
    given = queries.dtype
    return TensorMeasures(beta=beta.to(given), eta=eta.to(given), gamma=gamma.to(given))


def _norm(residuals: Tensor, power: int) -> Tensor:
    """Return the p-norms over the last axis, with gradient 0 where all residuals are 0."""
    sizes = residuals.abs()
    # A norm does not depend on the scale at which its powers are taken, so the scale needs no gradient.
    largest = sizes.detach().amax(dim=-1)
    is_zero = largest == 0
    scale = torch.where(is_zero, 1.0, largest)
    sums = (sizes / scale[..., None]).pow(power).sum(dim=-1)
    # The root has no gradient at 0: it is taken of 1 there, and not used.
    norms = scale * torch.where(is_zero, 1.0, sums).pow(1 / power)
    return torch.where(is_zero, 0.0, norms)


def match_distances(found: TensorMeasures, mix: MatchMix) -> Tensor:
    """Return the match distances of measures, of their shape, in [0, 1): differentiable, 0 same, towards 1 different.

    They are those of ``MatchMix.distances``; the gradient of ``|beta - 1|`` is 0 where beta is 1.
    """
    scores = mix.scale_weight * (found.beta - 1).abs() + mix.deviation_weight * found.eta
    return torch.sigmoid(scores + mix.spread_weight * found.gamma + mix.bias)
