"""Augmentation of a training batch: what another picture of the same part could have looked like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from miwake.training.presets import AugmentationSettings


def augment(
    vectors: Tensor, heat_map_shape: tuple[int, int], settings: AugmentationSettings, generator: torch.Generator
) -> Tensor:
    """Return a batch of scaled vectors (B, V) moved, with other gain and offset, and noisier, as ``settings`` say."""
    if settings.shift:
        vectors = shifted(vectors, heat_map_shape, settings.shift, generator)
    if settings.contrast or settings.brightness:
        vectors = relit(vectors, settings.contrast, settings.brightness, generator)
    if settings.noise:
        vectors = noisy(vectors, settings.noise, generator)
    return vectors


def shifted(vectors: Tensor, heat_map_shape: tuple[int, int], reach: int, generator: torch.Generator) -> Tensor:
    """Return each map (B, V) moved by up to ``reach`` cells in both directions, its border repeated."""
    rows, columns = heat_map_shape
    n_maps = len(vectors)
    maps: Tensor = functional.pad(vectors.view(n_maps, 1, rows, columns), (reach,) * 4, mode="replicate")[:, 0]
    down = torch.randint(0, 2 * reach + 1, (n_maps, 1, 1), generator=generator) + torch.arange(rows)[None, :, None]
    right = torch.randint(0, 2 * reach + 1, (n_maps, 1, 1), generator=generator) + torch.arange(columns)[None, None, :]
    return maps[torch.arange(n_maps)[:, None, None], down, right].flatten(1)


def relit(vectors: Tensor, contrast: float, brightness: float, generator: torch.Generator) -> Tensor:
    """Return each map (B, V) with a gain of 1 ± ``contrast`` about its mean and an offset of ± ``brightness``."""
    gain, offset = 2 * torch.rand(2, len(vectors), 1, generator=generator) - 1
    mean = vectors.mean(dim=1, keepdim=True)
    return (vectors - mean) * (1 + contrast * gain) + mean + brightness * offset


def noisy(vectors: Tensor, greatest: float, generator: torch.Generator) -> Tensor:
    """Return each map (B, V) with normal noise of a standard deviation between 0 and ``greatest``."""
    deviation = greatest * torch.rand(len(vectors), 1, generator=generator)
    return vectors + deviation * torch.randn(vectors.shape, generator=generator)
