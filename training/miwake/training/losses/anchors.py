"""What the triplets of a class are anchored at: its mean vector, the mean of its embeddings, or any of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 512
"""Vectors embedded at once for the mean embeddings."""


class Anchors(Protocol):
    """Embeds a batch together with an anchor for each of its vectors."""

    def embed(self, body: Callable[[Tensor], Tensor], vectors: Tensor, classes: Tensor, /) -> tuple[Tensor, Tensor]:
        """Return the embeddings of vectors (B, V) and the anchors of their classes (B,), both (B, D)."""
        ...

    def begin_round(self, body: nn.Module, /) -> None:
        """Take in what the network ``body``, in evaluation mode, has learnt so far."""
        ...


class MeanVectorAnchors(nn.Module):
    """Class-mean vectors, passed through the network like any other vector, so that they move as it learns.

    Parameters
    ----------
    means : (C, V) float32
        Of the fit rows, scaled.
    """

    means: Tensor

    def __init__(self, means: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", means, persistent=False)

    def embed(self, body: Callable[[Tensor], Tensor], vectors: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings and anchors; see ``Anchors``."""
        together = body(torch.cat([vectors, self.means]))
        return together[: len(vectors)], together[len(vectors) :][classes]

    def begin_round(self, body: nn.Module) -> None:
        """Do nothing: the network is asked for the anchors in every batch."""


class RandomAnchors(nn.Module):
    """Another fit row of the class for every vector of the batch, drawn evenly; it may be the same one."""

    def __init__(self, vectors: Tensor, classes: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self._vectors = vectors
        self._by_class = torch.argsort(classes, stable=True)
        self._counts = torch.bincount(classes)
        self._starts = torch.cumsum(self._counts, 0) - self._counts
        self._generator = generator

    def embed(self, body: Callable[[Tensor], Tensor], vectors: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings and anchors; see ``Anchors``."""
        drawn = self._vectors[self._drawn(classes.cpu())].to(vectors.device)
        together = body(torch.cat([vectors, drawn]))
        return together[: len(vectors)], together[len(vectors) :]

    def begin_round(self, body: nn.Module) -> None:
        """Do nothing: the network is asked for the anchors in every batch."""

    def _drawn(self, classes: Tensor) -> Tensor:
        chances = torch.rand(len(classes), generator=self._generator, dtype=torch.float64)
        places: Tensor = self._by_class[self._starts[classes] + (chances * self._counts[classes]).long()]
        return places


class MeanEmbeddingAnchors(nn.Module):
    """Means of the embeddings of each class's fit rows, computed anew in every round; the loss does not move them.

    Parameters
    ----------
    vectors : (N, V) float32, classes : (N,) int64
        Fit rows, scaled.
    """

    anchors: Tensor

    def __init__(self, vectors: Tensor, classes: Tensor, n_dimensions: int) -> None:
        super().__init__()
        self._vectors = vectors
        self._classes = classes
        self.register_buffer("anchors", torch.zeros(int(classes.max()) + 1, n_dimensions))

    def embed(self, body: Callable[[Tensor], Tensor], vectors: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings and anchors; see ``Anchors``."""
        return body(vectors), self.anchors[classes]

    def begin_round(self, body: nn.Module) -> None:
        """Compute the means of the embeddings as the network stands."""
        self.anchors.copy_(class_means(embedded(body, self._vectors, self.anchors.device).cpu(), self._classes))


def class_means(values: Tensor, classes: Tensor) -> Tensor:
    """Return the mean of the values (N, …) of each class, (C, …) float32, summed in float64."""
    n_classes = int(classes.max()) + 1
    return torch.stack([values[classes == one].double().mean(dim=0).float() for one in range(n_classes)])


def embedded(body: nn.Module, vectors: Tensor, device: torch.device) -> Tensor:
    """Return the embeddings (N, D) of scaled vectors (N, V), a batch at a time and without gradients."""
    with torch.no_grad():
        return torch.cat([body(batch.to(device)) for batch in torch.split(vectors, BATCH)])
