"""From the settings of a loss to the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from miwake.training.losses.anchors import MeanEmbeddingAnchors, MeanVectorAnchors, RandomAnchors, class_means
from miwake.training.losses.contrast import ClassifyContrastLoss
from miwake.training.losses.library import library_loss
from miwake.training.losses.match import LabelledVectors, MatchTriplets
from miwake.training.losses.triplets import AnchoredTriplets, CombinedTriplets
from miwake.training.settings import ANCHORED

if TYPE_CHECKING:
    import torch

    from miwake.training.losses.anchors import Anchors
    from miwake.training.losses.triplets import TrainingLoss
    from miwake.training.settings import LossSettings, Settings


def loss_of(
    settings: Settings, fit: LabelledVectors, calibration: LabelledVectors | None, generator: torch.Generator
) -> TrainingLoss:
    """Return the loss that ``settings`` name.

    Parameters
    ----------
    fit : LabelledVectors
        The fit rows.
    calibration : LabelledVectors or None
        Rows of other parts, of the same classes; what a loss fits beside the network, it fits on them.
    """
    n_classes = int(fit.classes.max()) + 1 + bool(settings.augmentation.planted)
    loss, n_dimensions = settings.loss, settings.network.n_dimensions
    if loss.loss == "classify-contrast":
        return ClassifyContrastLoss(n_classes, n_dimensions, loss)
    if loss.loss not in ANCHORED:
        return library_loss(loss, n_classes, n_dimensions)
    means = class_means(fit.vectors, fit.classes)
    return AnchoredTriplets(
        _anchors(settings, fit, means, generator), _comparison(loss, means, calibration or fit), generator
    )


def _comparison(loss: LossSettings, means: torch.Tensor, queries: LabelledVectors) -> nn.Module:
    if loss.loss == "soart3":
        return MatchTriplets(means, queries, loss)
    if loss.loss == "combined":
        return CombinedTriplets(
            cosine=(loss.cosine_weight, loss.cosine_margin),
            euclidean=(loss.euclidean_weight, loss.euclidean_margin),
            as_published=loss.sign == "published",
        )
    return nn.TripletMarginLoss(margin=loss.margin_used, p=2)


def _anchors(settings: Settings, fit: LabelledVectors, means: torch.Tensor, generator: torch.Generator) -> Anchors:
    if settings.loss.anchor == "random":
        return RandomAnchors(fit.vectors, fit.classes, generator)
    if settings.loss.anchor == "mean-embedding":
        return MeanEmbeddingAnchors(fit.vectors, fit.classes, settings.network.n_dimensions)
    return MeanVectorAnchors(means)
