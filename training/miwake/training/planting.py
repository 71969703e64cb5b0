"""Planted defects: maps of passes with a patch that belongs elsewhere, as a class of their own in training.

A network that only tells known classes apart may look past what none of them shows. One that also has to see patches,
wherever they come from, puts a defect of an unknown kind far from everything known. After CutPaste (Li et al., 2021,
arXiv:2104.04015), there without other classes, here beside those of the data.
"""

from __future__ import annotations

import torch
from torch import Tensor

SIDES = (1 / 12, 1 / 3)
"""A patch is so long and wide at least and at most, as shares of the map's shorter side."""

STREAK_WIDTHS, STREAK_LENGTHS = (1 / 36, 1 / 18), (1 / 6, 5 / 9)
"""The same of a streak, which lies either way."""

STREAKS = 0.5
"""Share of streaks; the others are patches."""

FROM_OTHERS = 0.5
"""Share of patches that come from another map; the others are from another place of the same."""

MOST_OFFSET = 0.3
"""A patch is up to this share of the value range brighter or darker than where it comes from."""


def planted(vectors: Tensor, heat_map_shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return each scaled map (B, V), 0 … 1, with a patch in it that belongs elsewhere."""
    n_maps, (n_rows, n_columns) = len(vectors), heat_map_shape
    maps = vectors.view(n_maps, n_rows, n_columns)
    is_streak, lies = (_drawn(n_maps, generator) < STREAKS), (_drawn(n_maps, generator) < 0.5)
    sides = [_between(SIDES, n_maps, generator) for _ in range(2)]
    streak = [_between(limits, n_maps, generator) for limits in (STREAK_WIDTHS, STREAK_LENGTHS)]
    cells = [
        torch.where(is_streak, torch.where(lies, streak[way], streak[1 - way]), sides[way])
        .mul(min(heat_map_shape))
        .round()
        .clamp(1, min(heat_map_shape))
        .long()
        for way in range(2)
    ]
    down, right = (_span(size, length, generator) for size, length in zip(cells, heat_map_shape, strict=True))
    from_down, from_right = (_span(size, n, generator) for size, n in zip(cells, heat_map_shape, strict=True))
    donors = torch.where(
        _drawn(n_maps, generator) < FROM_OTHERS, torch.randperm(n_maps, generator=generator), torch.arange(n_maps)
    )
    rows, columns = torch.arange(n_rows), torch.arange(n_columns)
    is_inside = _within(rows, down, cells[0])[:, :, None] & _within(columns, right, cells[1])[:, None, :]
    there_rows = (rows + (from_down - down)[:, None]).clamp(0, n_rows - 1)[:, :, None]
    there_columns = (columns + (from_right - right)[:, None]).clamp(0, n_columns - 1)[:, None, :]
    offset = MOST_OFFSET * (2 * _drawn(n_maps, generator) - 1)
    patches = (maps[donors[:, None, None], there_rows, there_columns] + offset[:, None, None]).clamp(0, 1)
    return torch.where(is_inside, patches, maps).flatten(1)


def _drawn(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator)


def _between(limits: tuple[float, float], n: int, generator: torch.Generator) -> Tensor:
    least, most = limits
    return least + (most - least) * _drawn(n, generator)


def _span(sizes: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Return where spans of so many cells begin, anywhere within ``length``."""
    return (_drawn(len(sizes), generator) * (length - sizes + 1)).long()


def _within(cells: Tensor, begin: Tensor, sizes: Tensor) -> Tensor:
    """Return (B, n) whether each cell lies in each map's span."""
    return (cells >= begin[:, None]) & (cells < (begin + sizes)[:, None])
