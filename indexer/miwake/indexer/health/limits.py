"""What is ordinary for an input, as stored in ``embedder.json``, and how far from it an input lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import HealthStatistic
from miwake.indexer.health.measuring import statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimit:
    """What is ordinary for one statistic.

    Attributes
    ----------
    centre : float
        The median of the rows it was learnt from.
    low, high : float
        The limits; low < centre < high.
    """

    centre: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.centre < self.high):
            message = f"limits {self.low}, {self.centre}, {self.high}: expected finite numbers that rise"
            raise ValueError(message)


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
        self._per_width_below = np.array([1 / (one.centre - one.low) for one in limits], dtype=np.float32)
        self._per_width_above = np.array([1 / (one.high - one.centre) for one in limits], dtype=np.float32)

    def deviations(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far each ``HealthStatistic`` of (Q, V) float32 vectors lies from its centre, (Q, 6) float32.

        In units of its limit: -1 at the low one, 1 at the high one.
        """
        apart = statistics(vectors, self._anchor, self._shape, self._value_range) - self._centres
        return np.asarray(apart * np.where(apart < 0, self._per_width_below, self._per_width_above))
