"""What the caller hands in: a vector, and what is known about the part it was taken from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from miwake.client.errors import InvalidQueryError

Vector: TypeAlias = NDArray[np.floating[Any] | np.uint8]
"""One inspection vector, (V,): the values of a heat map in row-major order. float16, float32 and uint8 travel as they
are, wider floats as float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionContext:
    """What the caller knows about the inspected part, in the words of OPC 40100; echoed with the answer.

    Attributes
    ----------
    part_id, job_id, product_id, recipe_id : text
        The physical part, the production order, the product type, the recipe in force. Empty where not known.
    inspected_at : datetime or None
        When the part was inspected. Aware; kept in UTC, to the microsecond.
    is_simulated : bool or None
        True where the vector was simulated or replayed; None where nothing is said.

    Raises
    ------
    InvalidQueryError
        If ``inspected_at`` bears no time zone.
    """

    part_id: str = ""
    job_id: str = ""
    product_id: str = ""
    recipe_id: str = ""
    inspected_at: datetime | None = None
    is_simulated: bool | None = None

    def __post_init__(self) -> None:
        if self.inspected_at is None:
            return
        if self.inspected_at.utcoffset() is None:
            message = f"inspected_at {self.inspected_at.isoformat()} bears no time zone, expected an aware datetime"
            raise InvalidQueryError(message)
        object.__setattr__(self, "inspected_at", self.inspected_at.astimezone(UTC))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """One inspection vector, with its name and its context.

    Attributes
    ----------
    vector : (V,) float or uint8
        The values of the heat map in row-major order, on the scale the station's embedder was trained on.
    id : text
        The caller's name for it; echoed, not interpreted. May be empty.
    context : InspectionContext or None
        About this vector; where None, that of the call holds.
    template : (V,) float or uint8, or None
        The golden heat map of that very place, on the same scale. Where it is not of the vector's type, both travel as
        float32. One that cannot be used makes the vector's answer an error.
    """

    vector: Vector
    id: str = ""
    context: InspectionContext | None = None
    template: Vector | None = None


Vectors: TypeAlias = NDArray[np.floating[Any] | np.uint8] | Sequence[Vector | Inspection]
"""A batch: a (Q, V) array, or Q vectors one by one."""

Templates: TypeAlias = NDArray[np.floating[Any] | np.uint8] | Sequence[Vector | None]
"""The templates of a batch: a (Q, V) array, or Q one by one; None, or all of it NaN, where a vector has none."""
