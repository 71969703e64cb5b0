"""Augmentation of a training batch: what another picture of the same kind of part could have looked like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from miwake.training.mirrors import turned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.training.mirrors import Mirror
    from miwake.training.settings import AugmentationSettings


def augment(
    vectors: Tensor,
    heat_map_shape: tuple[int, int],
    settings: AugmentationSettings,
    mirrors: Sequence[Mirror],
    generator: torch.Generator,
) -> Tensor:
    """Return a batch of scaled vectors (B, V) moved, mirrored, relit and noisier, as far as ``settings`` say.

    ``mirrors`` are those that may be used at all.
    """
    reach = round(settings.shift * min(heat_map_shape))
    if reach:
        vectors = shifted(vectors, heat_map_shape, reach, generator)
    if mirrors:
        vectors = mirrored(vectors, heat_map_shape, mirrors, generator)
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
    moved: Tensor = maps[torch.arange(n_maps)[:, None, None], down, right].flatten(1)
    return moved


def mirrored(
    vectors: Tensor, heat_map_shape: tuple[int, int], mirrors: Sequence[Mirror], generator: torch.Generator
) -> Tensor:
    """Return each map (B, V) as it is or turned by one of ``mirrors``, each as likely as the others."""
    drawn = torch.randint(0, len(mirrors) + 1, (len(vectors), 1), generator=generator)
    for position, mirror in enumerate(mirrors, start=1):
        vectors = torch.where(drawn == position, turned(vectors, heat_map_shape, mirror), vectors)
    return vectors


def relit(vectors: Tensor, contrast: float, brightness: float, generator: torch.Generator) -> Tensor:
    """Return each map (B, V) with a gain of 1 ± ``contrast`` about its mean and an offset of ± ``brightness``."""
    gain = 1 + contrast * _between_minus_and_plus_one(len(vectors), generator)
    offset = brightness * _between_minus_and_plus_one(len(vectors), generator)
    mean = vectors.mean(dim=1, keepdim=True)
    return (vectors - mean) * gain + mean + offset


def noisy(vectors: Tensor, greatest: float, generator: torch.Generator) -> Tensor:
    """Return each map (B, V) with normal noise of a standard deviation between 0 and ``greatest``."""
    deviation = greatest * torch.rand(len(vectors), 1, generator=generator)
    return vectors + deviation * torch.randn(vectors.shape, generator=generator)


def _between_minus_and_plus_one(n_maps: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(n_maps, 1, generator=generator) - 1
