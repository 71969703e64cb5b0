"""The rows of live references by position: embeddings and raw maps, of the generation and of what was added since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRows:
    """N stored references at positions 0 … N - 1, and n added ones behind them.

    Attributes
    ----------
    embeddings : (N, D) float32
    vectors : (N, V) float32
        Inspection vectors.
    raw : (N, V) float32, or None
        The same on a scale of 0 … 1, where the generation holds them so.
    added_embeddings : (n, D) float32
    added_vectors : (n, V) float32
    value_range : (low, high)
        Of inspection vectors.
    """

    embeddings: NDArray[np.float32]
    vectors: NDArray[np.float32]
    raw: NDArray[np.float32] | None
    added_embeddings: NDArray[np.float32]
    added_vectors: NDArray[np.float32]
    value_range: tuple[float, float]

    def embeddings_at(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the embeddings (m, D) at (m,) positions, to be read only."""
        return _rows_at(self.embeddings, self.added_embeddings, positions)

    def maps_at(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the raw maps (m, V) at (m,) positions on a scale of 0 … 1, to be read only.

        Where the generation does not hold them so, those that are asked for are put on that scale, and no others.
        """
        if self.raw is not None and (positions < len(self.raw)).all():
            return _rows_at(self.raw, self.added_vectors, positions)
        return self.to_unit_scale(_rows_at(self.vectors, self.added_vectors, positions))

    def to_unit_scale(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (Q, V) inspection vectors on a scale of 0 … 1."""
        return to_unit_scale(vectors, self.value_range)


def to_unit_scale(vectors: NDArray[np.float32], value_range: tuple[float, float]) -> NDArray[np.float32]:
    """Return (Q, V) inspection vectors on a scale of 0 … 1, on which raw maps are compared."""
    low, high = value_range
    scaled = np.subtract(vectors, np.float32(low), dtype=np.float32)
    scaled /= np.float32(high - low)
    return scaled


def _rows_at(
    stored: NDArray[np.float32], added: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    is_added = positions >= len(stored)
    if not is_added.any():
        first, last = positions[0], positions[-1]
        is_run = last - first + 1 == len(positions) and (np.diff(positions) == 1).all()
        return np.asarray(stored[first : last + 1] if is_run else stored[positions])
    rows = np.empty((len(positions), stored.shape[1]), dtype=np.float32)
    rows[~is_added] = stored[positions[~is_added]]
    rows[is_added] = added[positions[is_added] - len(stored)]
    return rows
