"""Which vectors can be judged at all: length, finiteness, range and spread."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import InvalidVectorError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANGE_SLACK = 0.1
"""A value may leave the trained range by this share of its width."""

FLATNESS = 0.01
"""A vector's spread must be at least this share of the range's width: less is an empty map or another scale."""


class Refusal(IntEnum):
    """Why a vector is refused; 0 where it is not."""

    NONE = 0
    WRONG_LENGTH = 1
    NON_FINITE = 2
    OUT_OF_RANGE = 3
    FLAT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The scale an embedder was trained on, and the bounds that follow from it.

    Attributes
    ----------
    n_values : int
        V.
    low, high : float
        The trained value range, low < high.
    flatness : float
        Least spread, as a share of ``high - low``; a station whose good parts really are flat can lower it to 0,
        and then only vectors without any spread are refused.
    """

    n_values: int
    low: float
    high: float
    flatness: float = FLATNESS

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            message = f"value range {self.low} … {self.high}: expected two finite numbers, low before high"
            raise ValueError(message)
        if not 0 <= self.flatness < 1:
            message = f"flatness {self.flatness}: expected a share in 0 … 1"
            raise ValueError(message)

    def refusals(self, vectors: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return a ``Refusal`` code for each row of a (Q, V) float32 batch, as (Q,) int8.

        Raises
        ------
        InvalidVectorError
            If the batch is not (Q, V); vectors of other lengths must be sorted out before they are stacked.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.n_values:
            raise InvalidVectorError(expected=f"(Q, {self.n_values})", actual=vectors.shape)
        width = self.high - self.low
        slack = RANGE_SLACK * width
        # NaN and infinity survive both minimum and maximum, so two passes tell everything.
        least = vectors.min(axis=1)
        most = vectors.max(axis=1)
        codes = np.zeros(len(vectors), dtype=np.int8)
        with np.errstate(invalid="ignore", over="ignore"):
            spread = most.astype(np.float64) - least
            codes[(spread < self.flatness * width) | (spread <= 0)] = Refusal.FLAT
            codes[(least < self.low - slack) | (most > self.high + slack)] = Refusal.OUT_OF_RANGE
        codes[~(np.isfinite(least) & np.isfinite(most))] = Refusal.NON_FINITE
        return codes

    def explain(self, code: int, vector: NDArray[np.float32]) -> str:
        """Return what was expected and what came, for people; ``vector`` may have any length."""
        if code == Refusal.WRONG_LENGTH:
            return f"{len(vector)} values, expected {self.n_values}"
        if code == Refusal.NON_FINITE:
            bad = int(np.flatnonzero(~np.isfinite(vector))[0])
            return f"value {bad} is {vector[bad]}, expected finite numbers"
        least, most = float(vector.min()), float(vector.max())
        if code == Refusal.OUT_OF_RANGE:
            return (
                f"values {least:g} … {most:g} leave the trained range {self.low:g} … {self.high:g} "
                f"by more than {RANGE_SLACK:.0%} of its width: is the vector on another scale?"
            )
        return (
            f"spread {most - least:g} (values {least:g} … {most:g}) is under {self.flatness:.2%} of the trained range "
            f"{self.low:g} … {self.high:g}: an empty map, or a vector on another scale"
        )


def template_refusals(templates: NDArray[np.float32], scale: Scale) -> NDArray[np.int8]:
    """Return a ``Refusal`` code for each of (Q, V) float32 templates, (Q,) int8; a row that is all NaN is none at all.

    A template may be flat: a place that is to be empty looks like that.

    Raises
    ------
    InvalidVectorError
        If the batch is not (Q, V).
    """
    codes = scale.refusals(templates)
    codes[(codes == Refusal.FLAT) | np.isnan(templates).all(axis=1)] = Refusal.NONE
    return codes
