"""Three ways to a label: the nearest anchor, and two class-balanced votes of the nearest references.

Where there are pass labels, a vote decides *pass or reject* first and the class second. The first question is asked of
the summed weights alone: a new reject reference can only take the place of a farther reference, so it never lowers the
weight of the rejects nor raises that of the passes, and never turns an answer into a pass. The second question is
class-balanced: the weight of a class is divided by how many of its references could have voted at all, so that a class
with five references can win against one with thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLOOR = 0.02
"""Added to every share before its logarithm: about a third of one vote of fifteen."""


@dataclass(frozen=True, slots=True)
class Classes:
    """The C classes of an index, sorted by label.

    Attributes
    ----------
    labels : (C,) int32
    sizes : (C,) int64
        References of each.
    passes : (C,) bool
        Which mean *pass*.
    """

    labels: NDArray[np.int32]
    sizes: NDArray[np.int64]
    passes: NDArray[np.bool_]

    @classmethod
    def of(cls, labels: NDArray[np.int32], pass_labels: Sequence[int]) -> Classes:
        """Return the classes among the (N,) labels of the references."""
        found, sizes = np.unique(labels, return_counts=True)
        return cls(found, sizes, np.isin(found, np.asarray(pass_labels, dtype=np.int32)))

    @property
    def has_sides(self) -> bool:
        """Whether both passes and rejects are known."""
        return bool(self.passes.any() and not self.passes.all())

    def columns(self, labels: NDArray[np.int32]) -> NDArray[np.intp]:
        """Return the column (0 … C-1) of each label, which must be among the classes."""
        return np.asarray(np.searchsorted(self.labels, labels), dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Ballot:
    """The outcome of one vote over Q queries.

    Attributes
    ----------
    shares : (Q, C) float64
        Class-balanced; each row sums to 1.
    reject_share : (Q,) float64
        Share of the rejects in the unbalanced weight.
    """

    shares: NDArray[np.float64]
    reject_share: NDArray[np.float64]

    def winners(self, classes: Classes) -> NDArray[np.intp]:
        """Return the winning column for each query, (Q,); a tie of pass and reject is a reject."""
        shares = self.shares
        if classes.has_sides:
            rejects = self.reject_share >= 0.5
            shares = np.where(np.where(rejects[:, None], ~classes.passes, classes.passes), shares, -1.0)
        return np.asarray(shares.argmax(axis=1), dtype=np.intp)


def count(columns: NDArray[np.intp], weights: NDArray[np.float64], classes: Classes) -> Ballot:
    """Count a vote.

    Parameters
    ----------
    columns : (Q, k)
        The class column of each voting neighbour.
    weights : (Q, k) float64
        Its weight, not negative and not all 0 in a row; falls with distance.
    """
    masses = _masses(columns, weights, classes)
    balanced = masses / np.minimum(classes.sizes, columns.shape[1])
    return Ballot(
        shares=balanced / balanced.sum(axis=1, keepdims=True),
        reject_share=masses[:, ~classes.passes].sum(axis=1) / masses.sum(axis=1),
    )


def with_newcomers(
    answered: NDArray[np.intp],
    columns: NDArray[np.intp],
    weights: NDArray[np.float64],
    classes: Classes,
    is_newcomer: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Return the answers (Q,), those of classes that calibration has not seen among them.

    How a vote weighs the classes was measured on the classes that there were. A newcomer has a few references beside
    thousands, and would win next to never. It is answered where its weight for each of its references is more than that
    of the class that was found: so few of it are near by chance less often than members are.

    Parameters
    ----------
    answered : (Q,)
        Class columns found by the calibrated method.
    columns, weights : (Q, k)
        As for ``count``.
    is_newcomer : (C,) bool
        Kinds of rejects only: then no answer turns into a pass.
    """
    density = _masses(columns, weights, classes) / classes.sizes
    rows = np.arange(len(answered))
    best = np.where(is_newcomer, density, -1.0).argmax(axis=1)
    wins = is_newcomer[best] & (density[rows, best] > density[rows, answered])
    return np.where(wins, best, answered)


def _masses(columns: NDArray[np.intp], weights: NDArray[np.float64], classes: Classes) -> NDArray[np.float64]:
    """Return the weight of each class for each query, (Q, C)."""
    n_queries, n_classes = len(columns), len(classes.labels)
    flat = (np.arange(n_queries)[:, None] * n_classes + columns).ravel()
    masses: NDArray[np.float64] = np.bincount(flat, weights.ravel(), n_queries * n_classes).astype(np.float64)
    return masses.reshape(n_queries, n_classes)


def distance_weights(distances: NDArray[np.float32], bandwidth: float) -> NDArray[np.float64]:
    """Return exp(-distance / bandwidth) for (Q, k) ascending distances, float64, each row scaled by its first.

    The scaling cancels in every share; it keeps the weights of a far query from underflowing.
    """
    return np.asarray(np.exp((distances[:, :1] - distances.astype(np.float64)) / bandwidth))


def log_share(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of shares, kept finite by ``FLOOR``."""
    return np.asarray(np.log(shares + FLOOR))
