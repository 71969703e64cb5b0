"""What happens to inputs: maps of real parts, blurred, dimmed, shifted, striped and stained, as a camera might do it.

Each disturbance takes (Q, rows, columns) float32 maps on a scale of 0 … 1; the result is clipped to it and rounded to
256 grey levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter1d

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.records import Records

Disturbance = Callable[["NDArray[np.float32]", np.random.Generator], "NDArray[np.float32]"]

GREY_LEVELS = 255
STAIN_RADIUS = 6
OPACITY = 0.8


def _blurred(sigma: float) -> Disturbance:
    return lambda maps, _: gaussian_filter(maps, (0, sigma, sigma))


def _moved(n_cells: int) -> Disturbance:
    return lambda maps, _: uniform_filter1d(maps, n_cells, axis=2)


def _scaled(gain: float, offset: float = 0.0) -> Disturbance:
    return lambda maps, _: gain * maps + offset


def _shifted(n_cells: int) -> Disturbance:
    return lambda maps, _: np.roll(maps, n_cells, axis=2)


def _noisy(deviation: float) -> Disturbance:
    return lambda maps, random: maps + deviation * random.standard_normal(maps.shape, dtype=np.float32)


def _striped(n_columns: int) -> Disturbance:
    def stripe(maps: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
        striped = maps.copy()
        for one in striped:
            one[:, random.choice(one.shape[1], n_columns, replace=False)] = 0.0
        return striped

    return stripe


def _stained(level: float) -> Disturbance:
    def stain(maps: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
        stained = maps.copy()
        rows, columns = np.mgrid[: maps.shape[1], : maps.shape[2]]
        for one in stained:
            row = random.integers(STAIN_RADIUS, maps.shape[1] - STAIN_RADIUS)
            column = random.integers(STAIN_RADIUS, maps.shape[2] - STAIN_RADIUS)
            inside = (rows - row) ** 2 + (columns - column) ** 2 <= STAIN_RADIUS**2
            one[inside] += OPACITY * (level - one[inside])
        return stained

    return stain


DISTURBANCES: Mapping[str, Disturbance] = {
    "blur, sigma 0.7 cells": _blurred(0.7),
    "blur, sigma 1": _blurred(1.0),
    "blur, sigma 1.5": _blurred(1.5),
    "motion over 3 cells": _moved(3),
    "motion over 5 cells": _moved(5),
    "dimmed to 0.7": _scaled(0.7),
    "dimmed to 0.5": _scaled(0.5),
    "overexposed, 1.3": _scaled(1.3),
    "haze, 0.5 + 0.3": _scaled(0.5, 0.3),
    "noise of 0.03": _noisy(0.03),
    "noise of 0.1": _noisy(0.1),
    "1 dead column": _striped(1),
    "3 dead columns": _striped(3),
    "dark stain": _stained(0.0),
    "bright stain": _stained(1.0),
    "shifted by 2 cells": _shifted(2),
    "shifted by 6 cells": _shifted(6),
}


def disturbed(records: Records, name: str, *, seed: int = 0) -> NDArray[np.float32]:
    """Return the vectors (N, V) float32 of records under a disturbance of ``DISTURBANCES``.

    The records must name their value range.
    """
    if records.value_range is None:
        message = f"{records.source}: no value range"
        raise ValueError(message)
    low, high = records.value_range
    maps = ((records.vectors - low) / (high - low)).reshape(-1, *records.heat_map_shape).astype(np.float32)
    seen = DISTURBANCES[name](maps, np.random.default_rng(seed))
    levels = np.round(seen.clip(0, 1) * GREY_LEVELS) / GREY_LEVELS
    return np.asarray(levels.reshape(len(records), -1) * (high - low) + low, dtype=np.float32)
