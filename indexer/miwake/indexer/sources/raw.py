"""What every source yields before it is checked: vectors, labels, texts, and what was wrong with single rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

from miwake.indexer.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Number = TypeVar("Number", int, float)

N_SHOWN = 5
"""Bad rows named in a message; the rest is counted."""

TEXT_FIELDS = ("failure_mode", "part", "group", "split", "id", "time")
"""What a record may have in words."""

METADATA_KEYS = ("heat_map_shape", "pass_labels", "value_range")
"""What a source may say about itself."""


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
        Some of ``TEXT_FIELDS``; absent where the source has no such column.
    problems : mapping of row to text
        What is wrong with a row, the first thing that was found.
    row_names : N texts, or none
        What a row is called in messages; empty stands for *row 0*, *row 1*, …
    heat_map_shape, pass_labels, value_range :
        What the source says about itself; None where it is silent.
    warnings : tuple of text
    templates : (N, V) float32, C-contiguous, or None
        The golden map beside each vector, rows of NaN where there is none; None where the source brings none at all.
    """

    source: str
    stem: str
    vectors: NDArray[np.float32]
    value_name: str
    labels: NDArray[np.int32]
    texts: Mapping[str, tuple[str, ...]]
    problems: Mapping[int, str] = field(default_factory=dict)
    row_names: Sequence[str] = ()
    heat_map_shape: tuple[int, int] | None = None
    pass_labels: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    templates: NDArray[np.float32] | None = None

    def name_row(self, row: int) -> str:
        """Return what a row is called in messages."""
        return self.row_names[row] if self.row_names else f"row {row}"

    def name_some(self, problems: Mapping[int, str]) -> str:
        """Return the first few of ``{row: what}`` in one line, and how many more there are."""
        shown = [f"{self.name_row(row)}, {problems[row]}" for row in sorted(problems)[:N_SHOWN]]
        more = len(problems) - len(shown)
        return "; ".join(shown) + (f"; and {more:,} more" if more else "")


def declared(
    source: str, metadata: Mapping[str, str], key: str, kind: type[Number], length: int | None = None
) -> tuple[Number, ...] | None:
    """Return the JSON list of numbers that ``metadata`` holds under ``key``, or None where it holds none.

    Raises
    ------
    DataError
        If it is no list of such numbers, or does not have ``length`` of them.
    """
    text = metadata.get(key)
    if text is None:
        return None
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    kinds = (int,) if kind is int else (int, float)
    fits = isinstance(values, list) and all(type(value) in kinds for value in values)
    if not fits or (length is not None and len(values) != length):
        count = "" if length is None else f"{length} "
        numbers = "whole numbers" if kind is int else "numbers"
        message = f"{source}: metadata {key}: {text!r}, expected a JSON list of {count}{numbers}"
        raise DataError(message)
    return tuple(kind(value) for value in values)


class Description(TypedDict):
    """What a source says about itself; None where it is silent."""

    heat_map_shape: tuple[int, int] | None
    pass_labels: tuple[int, ...] | None
    value_range: tuple[float, float] | None


def describe(source: str, metadata: Mapping[str, str]) -> Description:
    """Return ``heat_map_shape``, ``pass_labels`` and ``value_range`` as ``metadata`` declares them.

    Raises
    ------
    DataError
        If one of them is something else than it should be.
    """
    return {
        "heat_map_shape": cast("tuple[int, int] | None", declared(source, metadata, "heat_map_shape", int, 2)),
        "pass_labels": declared(source, metadata, "pass_labels", int),
        "value_range": cast("tuple[float, float] | None", declared(source, metadata, "value_range", float, 2)),
    }


def one_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
