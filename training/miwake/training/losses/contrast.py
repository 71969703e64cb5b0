"""The loss of the default preset: classify, and contrast within the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor, nn
from torch.nn import functional

from miwake.training.losses.triplets import TrainingLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.training.settings import LossSettings


class ClassifyContrastLoss(TrainingLoss):
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

    def forward(self, body: Callable[[Tensor], Tensor], vectors: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar."""
        embeddings = body(vectors)
        cosines = functional.normalize(embeddings, dim=1) @ functional.normalize(self.proxies, dim=1).T
        loss: Tensor = functional.cross_entropy(
            self.cosine_scale * cosines, classes, label_smoothing=self.label_smoothing
        )
        if self.weight > 0:
            loss = loss + self.weight * self.supcon(embeddings, classes)
        return loss
