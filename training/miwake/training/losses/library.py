"""The losses and miners of pytorch-metric-learning, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytorch_metric_learning import distances, losses, miners

from miwake.training.losses.triplets import TrainingLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from miwake.training.settings import LossSettings

CLASS_LOSSES = {
    "proxy-anchor": losses.ProxyAnchorLoss,
    "proxy-nca": losses.ProxyNCALoss,
    "normalized-softmax": losses.NormalizedSoftmaxLoss,
    "arcface": losses.ArcFaceLoss,
    "cosface": losses.CosFaceLoss,
    "sub-center-arcface": losses.SubCenterArcFaceLoss,
}
"""Losses that learn vectors of their own for each class."""

MARGINS_ARE_OF = {"triplet", "circle", "proxy-anchor", "arcface", "cosface", "sub-center-arcface"}
"""Losses that have a margin; the name of circle's is ``m``."""


class MinedLoss(TrainingLoss):
    """A loss of pytorch-metric-learning on the pairs or triplets of a batch that its miner picks."""

    def __init__(self, loss: Any, miner: Any | None) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner

    def forward(self, body: Callable[[Tensor], Tensor], vectors: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar."""
        embeddings = body(vectors)
        mined = None if self.miner is None else self.miner(embeddings, classes)
        loss: Tensor = self.loss(embeddings, classes, mined)
        return loss


def library_loss(settings: LossSettings, n_classes: int, n_dimensions: int) -> MinedLoss:
    """Return the loss and the miner that ``settings`` name."""
    return MinedLoss(_loss(settings, n_classes, n_dimensions), _miner(settings))


def _loss(settings: LossSettings, n_classes: int, n_dimensions: int) -> Any:
    if settings.loss in CLASS_LOSSES:
        margin = {"margin": settings.margin_used} if settings.loss in MARGINS_ARE_OF else {}
        return CLASS_LOSSES[settings.loss](num_classes=n_classes, embedding_size=n_dimensions, **margin)
    distance = _distance(settings)
    pairs = {"pos_margin": 1.0, "neg_margin": 0.0} if distance.is_inverted else {"pos_margin": 0.0, "neg_margin": 1.0}
    kinds: dict[str, Callable[[], Any]] = {
        "triplet": lambda: losses.TripletMarginLoss(margin=settings.margin_used, distance=distance),
        "contrastive": lambda: losses.ContrastiveLoss(**pairs, distance=distance),
        "multi-similarity": losses.MultiSimilarityLoss,
        "supcon": lambda: losses.SupConLoss(temperature=settings.temperature),
        "ntxent": lambda: losses.NTXentLoss(temperature=settings.temperature),
        "circle": lambda: losses.CircleLoss(m=settings.margin_used),
    }
    return kinds[settings.loss]()


def _miner(settings: LossSettings) -> Any | None:
    if settings.miner == "off":
        return None
    distance = _distance(settings)
    margin = {"margin": settings.margin_used} if settings.loss == "triplet" else {}
    pairs = {"pos_margin": 0.8, "neg_margin": 0.2} if distance.is_inverted else {"pos_margin": 0.2, "neg_margin": 0.8}
    kinds: dict[str, Callable[[], Any]] = {
        "multi-similarity": lambda: miners.MultiSimilarityMiner(distance=distance),
        "batch-hard": lambda: miners.BatchHardMiner(distance=distance),
        "batch-easy-hard": lambda: miners.BatchEasyHardMiner(distance=distance),
        "semi-hard": lambda: miners.TripletMarginMiner(**margin, type_of_triplets="semihard", distance=distance),
        "hard": lambda: miners.TripletMarginMiner(**margin, type_of_triplets="hard", distance=distance),
        # It is defined for Euclidean distances of unit-norm embeddings only.
        "distance-weighted": miners.DistanceWeightedMiner,
        "pair-margin": lambda: miners.PairMarginMiner(**pairs, distance=distance),
    }
    return kinds[settings.miner]()


def _distance(settings: LossSettings) -> Any:
    if settings.distance == "cosine":
        return distances.CosineSimilarity()
    return distances.LpDistance(p=2, normalize_embeddings=False)
