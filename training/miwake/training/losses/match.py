"""Triplets under the SOART3 match distance, whose mix is fitted again as the network learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from miwake.indexer.verdict.match import MatchMix, fit_mix
from miwake.training.losses.anchors import embedded
from miwake.training.losses.triplets import TrainingLoss
from miwake.training.soart3 import match_distances, measures

if TYPE_CHECKING:
    from miwake.training.settings import LossSettings

MOST_PAIRED = 2000
"""Vectors paired with the class means for a fit of the mix: its four numbers need no more."""


@dataclass(frozen=True, slots=True)
class LabelledVectors:
    """Scaled vectors (N, V) float32 and their classes (N,) int64, 0 … C-1."""

    vectors: Tensor
    classes: Tensor


class MatchTriplets(TrainingLoss):
    """``mean(max(d(anchor, positive) - d(anchor, negative) + margin, 0))``, d the SOART3 match distance.

    The anchor is SOART3's reference, the other its query. The mix is fitted in every round on pairs of vectors that
    the network is not fitted on, where there are any, with the class means: on pairs it has learnt by heart the mix
    would grow so steep that nothing is learnt from the rest.

    Parameters
    ----------
    means : (C, V) float32
        Class-mean vectors of the fit rows, scaled.
    queries : LabelledVectors
        What is paired with them.
    """

    means: Tensor
    mix: Tensor

    def __init__(self, means: Tensor, queries: LabelledVectors, settings: LossSettings) -> None:
        super().__init__()
        self.register_buffer("means", means, persistent=False)
        self.register_buffer("mix", torch.tensor([2.0, 1.0, 0.0, 0.0], dtype=torch.float64))
        step = max(len(queries.classes) // MOST_PAIRED, 1)
        self._queries = LabelledVectors(queries.vectors[::step], queries.classes[::step])
        self._margin = settings.margin_used
        self._p_eta, self._p_gamma = settings.p_eta, settings.p_gamma

    def forward(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """Return the mean loss of the triplets (B, D), a scalar."""
        loss = (self._distance(positives, anchors) - self._distance(negatives, anchors) + self._margin).clamp_min(0)
        return loss.mean()

    def begin_round(self, body: nn.Module) -> None:
        """Fit the mix to the match of each query with each class mean, as the network stands."""
        means = embedded(body, self.means, self.means.device)
        queries = embedded(body, self._queries.vectors, self.means.device)
        found = measures(queries, means[None], p_eta=self._p_eta, p_gamma=self._p_gamma)
        same = self._queries.classes[:, None] == torch.arange(len(means))[None, :]
        beta, eta, gamma = (one.cpu().double().numpy().ravel() for one in (found.beta, found.eta, found.gamma))
        mix = fit_mix(beta, eta, gamma, same.numpy().ravel())
        self.mix.copy_(torch.tensor([mix.scale_weight, mix.deviation_weight, mix.spread_weight, mix.bias]))

    def _distance(self, queries: Tensor, references: Tensor) -> Tensor:
        scale, deviation, spread, bias = self.mix.tolist()
        mix = MatchMix(scale_weight=scale, deviation_weight=deviation, spread_weight=spread, bias=bias)
        found = measures(queries, references[:, None], p_eta=self._p_eta, p_gamma=self._p_gamma)
        return match_distances(found, mix)[:, 0]
