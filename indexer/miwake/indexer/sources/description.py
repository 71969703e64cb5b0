"""What a data set says about itself, what the caller says, and what follows where neither does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.records import DEFAULT_HEAT_MAP_SHAPE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.sources.raw import RawTable
    from miwake.indexer.sources.settings import ReadSettings

PASS_LABEL = 0
"""The label that means *pass* where nobody says otherwise."""


def resolve_heat_map_shape(table: RawTable, settings: ReadSettings) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Return (rows, columns) of the heat maps, and warnings.

    Raises
    ------
    DataError
        If what is said does not fit the vectors, or nothing is said and V is neither the default's nor a square.
    """
    n_values = table.vectors.shape[1]
    told, found = settings.heat_map_shape, table.heat_map_shape
    for shape, who in ((told, "--heat-map-shape"), (found if told is None else None, "the data's heat_map_shape")):
        if shape is not None and (min(shape) < 1 or shape[0] * shape[1] != n_values):
            message = (
                f"{table.source}: {who} is {_shape(shape)} = {shape[0] * shape[1]:,} values, "
                f"but the vectors have {n_values:,}"
            )
            raise DataError(message)
    if told is not None:
        differs = found is not None and found != told
        warning = f"{table.source}: heat-map shape {_shape(told)} as told, the data say {_shape(found or told)}"
        return told, ((warning,) if differs else ())
    if found is not None:
        return found, ()
    return _guess_shape(table.source, n_values), ()


def _guess_shape(source: str, n_values: int) -> tuple[int, int]:
    if n_values == math.prod(DEFAULT_HEAT_MAP_SHAPE):
        return DEFAULT_HEAT_MAP_SHAPE
    side = math.isqrt(n_values)
    if side * side == n_values:
        return side, side
    message = f"{source}: vectors of {n_values:,} values, which shape do they have? Tell it with --heat-map-shape"
    raise DataError(message)


def resolve_pass_labels(
    table: RawTable, settings: ReadSettings, labels: NDArray[np.int32]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the labels that mean *pass*, sorted, and warnings; ``labels`` are those of the usable rows."""
    told, found = settings.pass_labels, table.pass_labels
    if told is not None:
        chosen = tuple(sorted(set(told)))
        if found is not None and chosen != tuple(sorted(set(found))):
            return chosen, (f"{table.source}: pass labels {list(chosen)} as told, the data say {list(found)}",)
        return chosen, ()
    if found is not None:
        return tuple(sorted(set(found))), ()
    return ((PASS_LABEL,) if np.any(labels == PASS_LABEL) else ()), ()


def resolve_value_range(table: RawTable, settings: ReadSettings) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return (low, high) of the values, or None where nobody says, and warnings.

    Raises
    ------
    DataError
        If it is not two finite numbers, the lower one first.
    """
    told, found = settings.value_range, table.value_range
    chosen = found if told is None else told
    if chosen is None:
        return None, ()
    low, high = chosen
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        message = f"{table.source}: value range {low} … {high}, expected two finite numbers, the lower one first"
        raise DataError(message)
    if told is not None and found is not None and told != found:
        warning = f"{table.source}: value range {low:g} … {high:g} as told, the data say {found[0]:g} … {found[1]:g}"
        return chosen, (warning,)
    return chosen, ()


def _shape(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"
