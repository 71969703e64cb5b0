"""What training minimises: from a batch of scaled vectors to one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from miwake.training.presets import LossSettings, Settings


class AnchorTripletLoss(nn.Module):
    """Triplets whose anchor is the class-mean vector, passed through the network like any other.

    ``mean(max(d(anchor, positive) - d(anchor, negative) + margin, 0))`` with Euclidean d. Every vector of the batch is
    the positive of its class; its negative is drawn from those of other classes in the batch.

    Parameters
    ----------
    means : (C, V) float32
        Class-mean vectors of the fit rows, scaled.
    """

    means: Tensor

    def __init__(self, means: Tensor, *, margin: float, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("means", means)
        self.generator = generator
        self.triplets = nn.TripletMarginLoss(margin=margin, p=2)

    def forward(self, body: nn.Module, vectors: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar; 0 where all its vectors are of one class."""
        together: Tensor = body(torch.cat([vectors, self.means]))
        embeddings, anchors = together[: len(vectors)], together[len(vectors) :]
        is_other = classes[:, None] != classes[None, :]
        usable = is_other.any(dim=1)
        if not usable.any():
            return embeddings.sum() * 0.0
        negatives = torch.multinomial(is_other[usable].float(), 1, generator=self.generator)[:, 0]
        loss: Tensor = self.triplets(anchors[classes[usable]], embeddings[usable], embeddings[negatives])
        return loss


class ClassifyContrastLoss(nn.Module):
    """Cross-entropy of a cosine classifier on the embeddings, plus supervised contrast within the batch.

    The classifier's weight rows and the embeddings are compared by cosine, so that what separates the classes is what
    nearest neighbours see. SupCon: Khosla et al., 2020 (arXiv:2004.11362).
    """

    def __init__(self, n_classes: int, n_dimensions: int, settings: LossSettings) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(n_classes, n_dimensions))
        self.cosine_scale = settings.cosine_scale
        self.label_smoothing = settings.label_smoothing
        self.weight = settings.supcon
        self.supcon = SupConLoss(temperature=settings.temperature)

    def forward(self, body: nn.Module, vectors: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar."""
        embeddings: Tensor = body(vectors)
        cosines = functional.normalize(embeddings, dim=1) @ functional.normalize(self.proxies, dim=1).T
        loss: Tensor = functional.cross_entropy(
            self.cosine_scale * cosines, classes, label_smoothing=self.label_smoothing
        )
        if self.weight > 0:
            loss = loss + self.weight * self.supcon(embeddings, classes)
        return loss


def loss_of(
    settings: Settings, vectors: Tensor, classes: Tensor, generator: torch.Generator
) -> AnchorTripletLoss | ClassifyContrastLoss:
    """Return the loss that ``settings`` name, for fit rows (N, V), scaled, of classes (N,) int64 (0 … C-1)."""
    n_classes = int(classes.max()) + 1
    if settings.loss.loss == "classify-contrast":
        return ClassifyContrastLoss(n_classes, settings.network.n_dimensions, settings.loss)
    means = torch.stack([vectors[classes == one].double().mean(dim=0).float() for one in range(n_classes)])
    return AnchorTripletLoss(means, margin=settings.loss.margin, generator=generator)
