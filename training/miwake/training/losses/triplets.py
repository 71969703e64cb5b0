"""Triplets around an anchor of the class, compared by whichever distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.training.losses.anchors import Anchors


class TrainingLoss(nn.Module):
    """What is minimised: called with the network, scaled vectors (B, V) and their classes (B,), 0 … C-1."""

    def begin_round(self, body: nn.Module) -> None:
        """Take in what the network ``body``, in evaluation mode, has learnt so far; most losses need nothing."""


class AnchoredTriplets(TrainingLoss):
    """Triplets of the anchor of a class, every vector of the batch as its positive, and a drawn negative.

    Parameters
    ----------
    anchors : Anchors
    compare : module
        From anchors, positives and negatives, each (B, D), to the loss.
    generator : torch.Generator
        Draws each vector's negative among those of other classes in the batch.
    """

    def __init__(self, anchors: Anchors, compare: nn.Module, generator: torch.Generator) -> None:
        super().__init__()
        self.anchors = anchors
        self.compare = compare
        self.generator = generator

    def forward(self, body: Callable[[Tensor], Tensor], vectors: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar; 0 where all its vectors are of one class."""
        embeddings, anchors = self.anchors.embed(body, vectors, classes)
        is_other = (classes[:, None] != classes[None, :]).cpu()
        usable = is_other.any(dim=1)
        if not usable.any():
            return embeddings.sum() * 0.0
        negatives = torch.multinomial(is_other[usable].float(), 1, generator=self.generator)[:, 0]
        usable, negatives = usable.to(vectors.device), negatives.to(vectors.device)
        loss: Tensor = self.compare(anchors[usable], embeddings[usable], embeddings[negatives])
        return loss

    def begin_round(self, body: nn.Module) -> None:
        """Let anchors, and a distance that is fitted, take in what the network has learnt."""
        self.anchors.begin_round(body)
        if isinstance(self.compare, TrainingLoss):
            self.compare.begin_round(body)


class CombinedTriplets(nn.Module):
    """Triplets by cosine and by Euclidean distance at once, in the form that the source project published.

    ``w_cos max(D_cos + m_cos, 0) + w_euc max(D_euc + m_euc, 0)``, averaged over the triplets. With the sign of a
    triplet loss, D is d(anchor, positive) - d(anchor, negative); as published it is the opposite, and minimising it
    drives positives away from their anchor.
    """

    def __init__(self, *, cosine: tuple[float, float], euclidean: tuple[float, float], as_published: bool) -> None:
        super().__init__()
        self.cosine_weight, self.cosine_margin = cosine
        self.euclidean_weight, self.euclidean_margin = euclidean
        self.sign = -1.0 if as_published else 1.0

    def forward(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """Return the mean loss of the triplets (B, D), a scalar."""
        by_cosine = self.sign * (_cosine_distance(anchors, positives) - _cosine_distance(anchors, negatives))
        by_length = self.sign * (_euclidean_distance(anchors, positives) - _euclidean_distance(anchors, negatives))
        loss = self.cosine_weight * (by_cosine + self.cosine_margin).clamp_min(0)
        loss = loss + self.euclidean_weight * (by_length + self.euclidean_margin).clamp_min(0)
        return loss.mean()


def _cosine_distance(anchors: Tensor, others: Tensor) -> Tensor:
    return 1 - nn.functional.cosine_similarity(anchors, others, dim=1)


def _euclidean_distance(anchors: Tensor, others: Tensor) -> Tensor:
    return nn.functional.pairwise_distance(anchors, others, p=2)
