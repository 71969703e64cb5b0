"""Cheap descriptions of heat maps that no label has touched: how strongly small pieces of other maps occur in them.

A dictionary of random whitened patches, soft threshold, mean and largest response over the quarters of the map: Coates
and Ng, "The importance of encoding versus training with sparse coding and vector quantization", ICML 2011. It costs
a fraction of a network's training, repeats to the last bit, and cannot memorise a wrong label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PATCH_SIDE = 6
STRIDE = 2
N_PATCHES = 128
"""Words of the dictionary: 256 gain a point of accuracy and take twice the time."""

N_SAMPLED = 20_000
"""Patches that the whitening is learnt from."""

MOST_CELLS = 2_000
"""Larger maps are averaged over blocks until they have at most so many cells."""

BATCH = 256
LEAST_DEVIATION = 0.01
"""Added to a map's standard deviation, as a share of the values' range: flat maps are not blown up to noise."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What a description is made with; ``describe`` makes it.

    Attributes
    ----------
    heat_map_shape : (rows, columns)
    width : float
        Of the values' range.
    side : int
        Of a patch.
    filters : (side * side, K) float32
        Whitened patches.
    offset : (K,) float32
    threshold : float
        Responses below it count as none.
    """

    heat_map_shape: tuple[int, int]
    width: float
    side: int
    filters: NDArray[np.float32]
    offset: NDArray[np.float32]
    threshold: float

    def describe(self, vectors: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the descriptions (B, F) float32 of (N, V) vectors, batch by batch."""
        for start in range(0, len(vectors), BATCH):
            maps = standardise(vectors[start : start + BATCH], self.heat_map_shape, self.width)
            patches = _patches(maps, self.side)
            shape = patches.shape[:3]
            responses = patches.reshape(-1, self.side**2) @ self.filters - self.offset
            yield _pooled(responses.reshape(*shape, -1), self.threshold)


def learn_dictionary(
    vectors: NDArray[np.float32], heat_map_shape: tuple[int, int], width: float, rng: np.random.Generator
) -> Dictionary:
    """Return a dictionary of patches of (N, V) float32 vectors whose values span ``width``."""
    rows = np.sort(rng.choice(len(vectors), min(len(vectors), N_SAMPLED // 10), replace=False))
    maps = standardise(vectors[rows], heat_map_shape, width)
    side = min(PATCH_SIDE, *maps.shape[1:])
    every = _patches(maps, side)
    n_rows, n_down, n_across = every.shape[:3]
    at = (rng.integers(0, n_rows, N_SAMPLED), rng.integers(0, n_down, N_SAMPLED), rng.integers(0, n_across, N_SAMPLED))
    sample = every[at].reshape(N_SAMPLED, -1).astype(np.float64)
    mean = sample.mean(axis=0)
    lengths, axes = np.linalg.eigh(np.cov((sample - mean).T).reshape(side**2, side**2))
    whitening = (axes / np.sqrt(np.maximum(lengths, 0) + 0.1 * lengths.mean() + 1e-9)) @ axes.T
    white = (sample - mean) @ whitening
    words = white[rng.choice(N_SAMPLED, N_PATCHES, replace=False)]
    words /= np.linalg.norm(words, axis=1, keepdims=True) + 1e-9
    filters = whitening @ words.T
    return Dictionary(
        heat_map_shape=heat_map_shape,
        width=width,
        side=side,
        filters=filters.astype(np.float32),
        offset=(mean @ filters).astype(np.float32),
        threshold=0.5 * float(np.std(white @ words.T)),
    )


def standardise(vectors: NDArray[np.float32], heat_map_shape: tuple[int, int], width: float) -> NDArray[np.float32]:
    """Return (N, rows, columns) float32 maps without their own mean and deviation, big ones averaged over blocks."""
    maps = vectors.reshape(-1, *heat_map_shape)
    block = math.ceil(math.sqrt(math.prod(heat_map_shape) / MOST_CELLS))
    if block > 1:
        down, across = (side // block for side in heat_map_shape)
        if down and across:
            cut = maps[:, : down * block, : across * block]
            maps = cut.reshape(-1, down, block, across, block).mean(axis=(2, 4))
    centred = maps - maps.mean(axis=(1, 2), keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=(1, 2), keepdims=True))
    found: NDArray[np.float32] = (centred / (deviation + np.float32(LEAST_DEVIATION * width))).astype(np.float32)
    return found


def _patches(maps: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    windows = np.lib.stride_tricks.sliding_window_view(maps, (side, side), axis=(1, 2))
    found: NDArray[np.float32] = windows[:, ::STRIDE, ::STRIDE]
    return found


def _pooled(responses: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Return mean and largest response of either sign in each quarter of (B, down, across, K), square-rooted."""
    down, across = responses.shape[1:3]
    pooled = []
    for rows in _halves(down):
        for columns in _halves(across):
            quarter = responses[:, rows, columns]
            for sign in (1, -1):
                strong = np.maximum(sign * quarter - np.float32(threshold), 0)
                pooled += [strong.mean(axis=(1, 2)), strong.max(axis=(1, 2))]
    found: NDArray[np.float32] = np.sqrt(np.concatenate(pooled, axis=1))
    return found


def _halves(length: int) -> tuple[slice, ...]:
    return (slice(0, length // 2), slice(length // 2, length)) if length > 1 else (slice(0, 1),)
