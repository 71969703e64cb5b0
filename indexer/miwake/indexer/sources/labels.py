"""Labels from whatever a source holds: integers, floats that are integers, or integers written as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INT32 = np.iinfo(np.int32)


def labels_of(name: str, values: Sequence[object] | NDArray[Any]) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Return (N,) int32 labels, and what is wrong with the rows that have none.

    Parameters
    ----------
    name : text
        The column, for messages.
    values : sequence of N
        Integers, floats, texts or None.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        beyond = np.flatnonzero((values < INT32.min) | (values > INT32.max))
        labels = np.where((values < INT32.min) | (values > INT32.max), 0, values).astype(np.int32)
        return labels, {int(row): f"column {name}: {values[row]} is beyond int32" for row in beyond}
    labels = np.zeros(len(values), dtype=np.int32)
    problems: dict[int, str] = {}
    for row, value in enumerate(values):
        label = _integer(value)
        if label is None:
            found = "missing" if value is None or value == "" else repr(value)
            problems[row] = f"column {name}: {found}, expected an integer"
        elif not INT32.min <= label <= INT32.max:
            problems[row] = f"column {name}: {value} is beyond int32"
        else:
            labels[row] = label
    return labels, problems


def no_labels(n_rows: int) -> NDArray[np.int32]:
    """Return (N,) int32 zeros, for data whose labels are not read."""
    return np.zeros(n_rows, dtype=np.int32)


def _integer(value: object) -> int | None:
    try:
        if isinstance(value, str):
            return _integer(float(value)) if "_" not in value else None
        if isinstance(value, bool | np.bool_):
            return None
        if isinstance(value, int | float | np.number):
            return int(value) if float(value).is_integer() else None
    except (ValueError, TypeError):
        return None
    return None
