"""Networks that turn inspection vectors into embeddings."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from miwake.training.image_backbone import image_network, timm_backbone

if TYPE_CHECKING:
    from miwake.training.settings import NetworkSettings

LEAST_DEVIATION = 0.01
"""Added to a map's standard deviation (share of the value range): a nearly flat map is not blown up to noise."""

N_STATISTICS_ROWS = 1024
STATISTICS_BATCH = 128
"""How many fit rows batch statistics are measured on, and how many at once."""


class Embedder(nn.Module):
    """Raw vectors (B, V) to embeddings (B, D): the value range to 0 … 1, then the network ``body``.

    Training works on scaled vectors and calls ``body`` itself; what is exported is the whole.
    """

    low: Tensor
    width: Tensor

    def __init__(self, body: nn.Module, value_range: tuple[float, float]) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("low", torch.tensor(value_range[0], dtype=torch.float32))
        self.register_buffer("width", torch.tensor(value_range[1] - value_range[0], dtype=torch.float32))

    def scale(self, vectors: Tensor) -> Tensor:
        """Return raw values on the 0 … 1 scale of the value range, same shape."""
        return (vectors - self.low) / self.width

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the embeddings of raw vectors (B, V), (B, D)."""
        embeddings: Tensor = self.body(self.scale(vectors))
        return embeddings


class UnitNorm(nn.Module):
    """Scale each embedding to length 1."""

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return (B, D) of unit length."""
        return functional.normalize(embeddings, dim=1)


class TwoChannelMap(nn.Module):
    """Scaled vectors (B, V) to two channels (B, 2, rows, columns).

    The first keeps the scale all maps share (brightness tells an empty cavity from a full one), the second has each
    map's own mean and deviation taken out (gain and offset of the camera do not matter).
    """

    def __init__(self, heat_map_shape: tuple[int, int]) -> None:
        super().__init__()
        self.heat_map_shape = heat_map_shape

    def forward(self, vectors: Tensor) -> Tensor:
        """Return (B, 2, rows, columns)."""
        centred = vectors - vectors.mean(dim=1, keepdim=True)
        deviation = (centred * centred).mean(dim=1, keepdim=True).sqrt()
        channels = torch.stack([2 * vectors - 1, centred / (deviation + LEAST_DEVIATION)], dim=1)
        return channels.reshape(-1, 2, *self.heat_map_shape)


def mlp(n_values: int, settings: NetworkSettings) -> nn.Sequential:
    """Return the perceptron V → widths → D: ReLU between layers, the last one linear."""
    sizes = (n_values, *settings.widths, settings.n_dimensions)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def conv_block(n_in: int, n_out: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a ``size`` × ``size`` convolution with batch norm and ReLU."""
    convolution = nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))


def conv(heat_map_shape: tuple[int, int], settings: NetworkSettings) -> nn.Sequential:
    """Return the convolutional network: stages with max pooling between them, the mean over the map, a linear layer.

    The first convolution halves the map by its stride: at full resolution the others would take most of the time. From
    there on the greatest value goes on: a stride would skip what a defect of one cell shows.
    """
    layers: list[nn.Module] = [TwoChannelMap(heat_map_shape), conv_block(2, settings.widths[0], size=5, stride=2)]
    sides = [(side + 1) // 2 for side in heat_map_shape]
    for stage, (n_in, n_out) in enumerate(pairwise(settings.widths)):
        if stage > 0:
            layers.append(nn.MaxPool2d((min(sides[0], 2), min(sides[1], 2))))
            sides = [max(side // 2, 1) for side in sides]
        layers += [conv_block(n_out if place else n_in, n_out) for place in range(settings.depth)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(settings.widths[-1], settings.n_dimensions)]
    # Channels last trains faster on a CPU and means the same.
    body: nn.Sequential = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return body


def build(heat_map_shape: tuple[int, int], settings: NetworkSettings) -> nn.Sequential:
    """Return the network that ``settings`` describe, from scaled vectors (B, V) to embeddings (B, D)."""
    if settings.kind == "mlp":
        body = mlp(heat_map_shape[0] * heat_map_shape[1], settings)
    elif settings.kind == "timm":
        body = image_network(heat_map_shape, settings, timm_backbone(settings))
    else:
        body = conv(heat_map_shape, settings)
    if settings.unit_norm:
        body.append(UnitNorm())
    return body


def settle_batch_statistics(body: nn.Module, vectors: Tensor, device: torch.device) -> None:
    """Let the batch norms of ``body`` measure their statistics anew on scaled vectors (N, V), evenly picked.

    An optimiser whose evaluation weights are not those that it trains at leaves statistics of the latter.
    """
    norms = [one for one in body.modules() if isinstance(one, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    body.train()
    with torch.no_grad():
        for batch in torch.split(vectors[:: max(len(vectors) // N_STATISTICS_ROWS, 1)], STATISTICS_BATCH):
            body(batch.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
