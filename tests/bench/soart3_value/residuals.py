"""What a map leaves unexplained by class-mean maps, each moved by up to two cells to where it fits best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.soart3_value.rows import Rows, Side

    Maps = NDArray[np.float64]

MOST_CELLS = 2
"""By which a reference is moved up, down, left and right."""

LEAST_DEVIATION = 0.01
"""Added to a map's own deviation before it is divided by it, of the value range."""


@dataclass(frozen=True, slots=True)
class ResidualFeatures:
    """Nine features of Q maps: L2, L6 and largest residual, raw and standardised; ``|beta - 1|``, eta and gamma.

    Attributes
    ----------
    to_pass : (Q, 9) float64
        Against the pass mean with the least deviation.
    by_side : (Q, 9) float64
        The same less those against the reject mean with the least deviation.
    """

    to_pass: Maps
    by_side: Maps


def residual_features(rows: Rows, side: Side) -> ResidualFeatures:
    """Return the features of the rows of a side."""
    shape = rows.fit.records.heat_map_shape
    maps = side.maps.astype(np.float64)
    means = rows.means(rows.fit.maps).astype(np.float64)
    found = np.stack([_against(maps, mean, shape) for mean in means], axis=1)
    passes = rows.classes.passes
    nearest = [_nearest(found[:, some]) for some in (passes, ~passes)]
    return ResidualFeatures(to_pass=nearest[0], by_side=nearest[0] - nearest[1])


def _nearest(found: Maps) -> Maps:
    """Return the features against the reference that leaves the least raw L2 residual."""
    best: Maps = found[np.arange(len(found)), found[:, :, 0].argmin(axis=1)]
    return best


def _against(maps: Maps, mean: Maps, shape: tuple[int, int]) -> Maps:
    """Return the nine features (Q, 9) of maps (Q, V) against one mean, moved to where each map leaves least."""
    raw = _fitted(maps, _moved(mean, shape))
    own = _fitted(_standardised(maps), _standardised(_moved(mean, shape)))
    beta, residuals = raw
    norms = [_norms(one) for one in (residuals, own[1])]
    eta = np.log(1 + norms[0][:, 0])
    gamma = eta - np.log(1 + norms[0][:, 1])
    return np.column_stack([*norms, np.abs(beta - 1), eta, gamma])


def _fitted(maps: Maps, references: Maps) -> tuple[NDArray[np.float64], Maps]:
    """Return beta (Q,) and the residuals (Q, V) of the reference of (S, V) that leaves the least."""
    products = maps @ references.T
    squares = np.einsum("sv,sv->s", references, references)
    best = (products * np.abs(products) / squares).argmax(axis=1)
    beta = products[np.arange(len(maps)), best] / squares[best]
    return beta, maps - beta[:, None] * references[best]


def _moved(mean: Maps, shape: tuple[int, int]) -> Maps:
    """Return a map moved by every number of cells there is, (S, V); its border is repeated."""
    padded = np.pad(mean.reshape(shape), MOST_CELLS, mode="edge")
    moves = range(2 * MOST_CELLS + 1)
    return np.stack(
        [padded[row : row + shape[0], column : column + shape[1]].reshape(-1) for row in moves for column in moves]
    )


def _standardised(maps: Maps) -> Maps:
    centred = maps - maps.mean(axis=1, keepdims=True)
    return np.asarray(centred / (centred.std(axis=1, keepdims=True) + LEAST_DEVIATION))


def _norms(residuals: Maps) -> Maps:
    """Return L2, L6 and the largest of residuals, (Q, 3)."""
    sizes = np.abs(residuals)
    largest = np.maximum(sizes.max(axis=1, keepdims=True), 1e-12)
    sixth = largest[:, 0] * ((sizes / largest) ** 6).sum(axis=1) ** (1 / 6)
    return np.column_stack([np.sqrt((residuals**2).sum(axis=1)), sixth, largest[:, 0]])
