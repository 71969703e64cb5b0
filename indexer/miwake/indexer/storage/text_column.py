"""Reading some texts of a column that is mapped into memory: all at once, and not one by one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TextColumn:
    """N texts without a gap, as Arrow's ``large_utf8`` stores them.

    Parameters
    ----------
    column : pyarrow.LargeStringArray
        Its memory is used where it lies.
    """

    def __init__(self, column: Any) -> None:
        _, offsets, data = column.buffers()
        self._edges = np.frombuffer(offsets, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
        self._data = np.frombuffer(b"" if data is None else data, dtype=np.uint8)

    def at(self, positions: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the texts at some positions, any shape, flattened.

        Raises
        ------
        IndexError
            If a position is not in 0 … N - 1.
        """
        places = np.ravel(positions)
        if len(places) and places.min() < 0:
            message = f"position {places.min()}: expected 0 … {len(self._edges) - 2}"
            raise IndexError(message)
        starts = self._edges[:-1][places]
        sizes = self._edges[1:][places] - starts
        edges = np.concatenate([[0], np.cumsum(sizes)])
        places_of_bytes = np.repeat(starts - edges[:-1], sizes) + np.arange(edges[-1])
        found = self._data[places_of_bytes].tobytes()
        ends = edges.tolist()
        if found.isascii():  # a character is a byte
            text = found.decode("ascii")
            return tuple([text[start:end] for start, end in pairwise(ends)])
        return tuple([found[start:end].decode() for start, end in pairwise(ends)])
