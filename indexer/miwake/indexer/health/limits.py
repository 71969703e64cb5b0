"""What is ordinary for an input, as stored in ``embedder.json``, and how far from it an input lies."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import HealthStatistic
from miwake.indexer.health.measuring import statistics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimit:
    """What is ordinary for one statistic.

    Attributes
    ----------
    centre : float
        The median of the rows it was learnt from.
    low : float or None
        The lower limit, below the centre; None where low values are no illness.
    high : float
        The upper limit, above the centre.
    """

    centre: float
    low: float | None
    high: float

    def __post_init__(self) -> None:
        low = -inf if self.low is None else self.low
        if not (isfinite(self.centre) and isfinite(self.high) and low < self.centre < self.high):
            message = f"limits {self.low}, {self.centre}, {self.high}: expected finite numbers that rise"
            raise ValueError(message)

    @property
    def per_width_below(self) -> float:
        """1 / the distance from the centre to the lower limit; 0 where there is none."""
        return 0.0 if self.low is None else 1 / (self.centre - self.low)

    @property
    def per_width_above(self) -> float:
        """1 / the distance from the centre to the upper limit."""
        return 1 / (self.high - self.centre)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputHealth:
    """What is ordinary for an input, as stored in ``embedder.json``.

    Attributes
    ----------
    limits : mapping of the name of a ``HealthStatistic``, in lower case, to HealthLimit
        All of them.
    anchor : V floats
        The mean map of the fit rows with a pass label, of all of them where there is none, on a scale of 0 … 1.
    n_rows, n_parts : int
        What the limits were learnt from.
    false_alarms : float or None
        Share of the calibration rows, of parts that nothing was learnt from, beyond a limit; None where there are none.
    """

    limits: Mapping[str, HealthLimit]
    anchor: tuple[float, ...]
    n_rows: int
    n_parts: int
    false_alarms: float | None

    def __post_init__(self) -> None:
        expected = {one.name.lower() for one in HealthStatistic}
        if set(self.limits) != expected:
            message = f"limits of {sorted(self.limits)}, expected {sorted(expected)}"
            raise ValueError(message)


class HealthGauge:
    """Tells how far inputs lie from what is ordinary.

    Parameters
    ----------
    health : InputHealth
    shape : (rows, columns)
        Of the heat map; rows x columns = V.
    value_range : (low, high)
    """

    def __init__(self, health: InputHealth, shape: tuple[int, int], value_range: tuple[float, float]) -> None:
        self._anchor = np.array(health.anchor, dtype=np.float32)
        self._shape = shape
        self._value_range = value_range
        limits = [health.limits[one.name.lower()] for one in HealthStatistic]
        self._centres = np.array([one.centre for one in limits], dtype=np.float32)
        self._per_width_below = np.array([one.per_width_below for one in limits], dtype=np.float32)
        self._per_width_above = np.array([one.per_width_above for one in limits], dtype=np.float32)

    def deviations(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far each ``HealthStatistic`` of (Q, V) float32 vectors lies from its centre, (Q, 6) float32.

        In units of its limit: -1 at the low one, 1 at the high one. Below a centre without a low limit it is 0.
        """
        apart = statistics(vectors, self._anchor, self._shape, self._value_range) - self._centres
        return np.asarray(apart * np.where(apart < 0, self._per_width_below, self._per_width_above))
