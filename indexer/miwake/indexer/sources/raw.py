"""What every source yields before it is checked: vectors, labels, texts, and what was wrong with single rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from miwake.indexer.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

N_SHOWN = 5
"""Bad rows named in a message; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTable:
    """N rows as a source holds them.

    Attributes
    ----------
    source : text
        File or data set, for messages.
    stem : text
        What default ids begin with.
    vectors : (N, V) float32, C-contiguous
        NaN where a value is missing or no number.
    value_name : text
        A column of the vector for messages, with ``{}`` for its number: ``data{}`` or ``vector[{}]``.
    labels : (N,) int32
        0 where ``problems`` says that the label cannot be used.
    texts : mapping of text to N texts
        ``failure_mode``, ``part``, ``group``, ``split``, ``id``, ``time``; absent where the source has no such column.
    problems : mapping of row to text
        What is wrong with a row, the first thing that was found.
    heat_map_shape, pass_labels, value_range :
        What the source says about itself; None where it is silent.
    warnings : tuple of text
    """

    source: str
    stem: str
    vectors: NDArray[np.float32]
    value_name: str
    labels: NDArray[np.int32]
    texts: Mapping[str, tuple[str, ...]]
    problems: Mapping[int, str] = field(default_factory=dict)
    heat_map_shape: tuple[int, int] | None = None
    pass_labels: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()


def name_some(names: Mapping[int, str]) -> str:
    """Return the first few of ``{row: what}`` in one line, and how many more there are."""
    shown = [f"row {row}, {names[row]}" for row in sorted(names)[:N_SHOWN]]
    more = len(names) - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more else "")


def declared(source: str, metadata: Mapping[str, str], key: str, length: int | None) -> list[float] | None:
    """Return the JSON list of numbers that ``metadata`` holds under ``key``, or None where it holds none.

    Raises
    ------
    DataError
        If it is no list of numbers, or does not have ``length`` of them.
    """
    text = metadata.get(key)
    if text is None:
        return None
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    if not numbers or (length is not None and len(values) != length):
        expected = "a JSON list of numbers" if length is None else f"a JSON list of {length} numbers"
        message = f"{source}: metadata {key}: {text!r}, expected {expected}"
        raise DataError(message)
    return list(values)
