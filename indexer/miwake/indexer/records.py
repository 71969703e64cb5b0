"""Records: inspection vectors with what is known about them, held column by column."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DEFAULT_HEAT_MAP_SHAPE = (36, 39)
"""Rows and columns of the source data's heat maps; any other shape works where the data says so."""

ROW_HASH_BYTES = 8
"""Bytes kept of a row's SHA-256: among ten million rows two collide with a chance of 3e-6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """N inspection vectors and their columns. Everything has length N; empty text means *not known*.

    Attributes
    ----------
    vectors : (N, V) float32, C-contiguous
        The values as they were found, not normalised.
    labels : (N,) int32
        Class codes.
    failure_modes, ids, parts, groups, splits, times : tuples of N texts
        ``ids`` are unique. ``splits`` holds ``train``, ``test`` or the empty text. ``times`` are ISO 8601 in UTC.
    source : text
        Where the records came from, for messages and for the store.
    heat_map_shape : (rows, columns)
        rows x columns = V.
    pass_labels : tuple of int
        Labels that mean *pass*; may be empty.
    value_range : (low, high) or None
        The scale the data says it is on; None where it does not say.
    warnings : tuple of texts
        What a reader noticed that is no error, for people.
    templates : (N, V) float32, C-contiguous, or None
        The golden map of the very place that a vector shows, on the vectors' scale; a row of NaN where a record brings
        none. None where no record brings one.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int32]
    failure_modes: tuple[str, ...]
    ids: tuple[str, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    times: tuple[str, ...]
    source: str
    heat_map_shape: tuple[int, int]
    pass_labels: tuple[int, ...]
    value_range: tuple[float, float] | None = None
    warnings: tuple[str, ...] = field(default=())
    templates: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.vectors)
        columns = (self.labels, self.failure_modes, self.ids, self.parts, self.groups, self.splits, self.times)
        if self.vectors.ndim != 2 or any(len(column) != n for column in columns):
            message = f"{self.source}: columns of different lengths, expected {n} rows in each"
            raise DataError(message)
        rows, columns_per_row = self.heat_map_shape
        if rows * columns_per_row != self.vectors.shape[1]:
            message = (
                f"{self.source}: heat map shape {rows} x {columns_per_row} does not fit vectors of "
                f"{self.vectors.shape[1]} values"
            )
            raise DataError(message)
        if self.templates is not None and self.templates.shape != self.vectors.shape:
            message = f"{self.source}: templates {self.templates.shape}, expected {self.vectors.shape} as vectors"
            raise DataError(message)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Records:
        """Return the records of the given rows (indices, or a mask of length N), in that order."""
        chosen = np.arange(len(self))[rows]

        def pick(column: Sequence[str]) -> tuple[str, ...]:
            return tuple(column[row] for row in chosen)

        return replace(
            self,
            vectors=np.ascontiguousarray(self.vectors[chosen]),
            labels=self.labels[chosen],
            failure_modes=pick(self.failure_modes),
            ids=pick(self.ids),
            parts=pick(self.parts),
            groups=pick(self.groups),
            splits=pick(self.splits),
            times=pick(self.times),
            templates=None if self.templates is None else np.ascontiguousarray(self.templates[chosen]),
        )

    def named(self, label: int | None, failure_mode: str | None) -> Records:
        """Return the records with this label and this failure mode in all of them; None keeps what they have."""
        return replace(
            self,
            labels=self.labels if label is None else np.full(len(self), label, dtype=np.int32),
            failure_modes=self.failure_modes if failure_mode is None else (failure_mode,) * len(self),
        )

    def row_hashes(self) -> tuple[str, ...]:
        """Return a hash for each row over its part and its vector: what was fitted on is recognised by it."""
        return tuple(row_hash(part, vector_hash(vector)) for part, vector in zip(self.parts, self.vectors, strict=True))


def has_template(templates: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of (N, V) checked templates are there, (N,) bool: a row is whole, or NaN where there is none."""
    return ~np.isnan(templates[:, 0])


def vector_hash(vector: NDArray[np.float32]) -> bytes:
    """Return the SHA-256 of a vector's float32 little-endian bytes (32 bytes)."""
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").tobytes()).digest()


def row_hash(part: str, content: bytes) -> str:
    """Return the hash of a row from its part and its vector's hash, 16 hexadecimal digits.

    Two parts may look the same to the last bit; they are two rows all the same.
    """
    digest = hashlib.sha256(part.encode() + b"\0" + content).digest()
    return digest[:ROW_HASH_BYTES].hex()


def is_pass(labels: NDArray[np.int32], pass_labels: Sequence[int]) -> NDArray[np.bool_]:
    """Return which labels mean *pass*, a mask of the same shape."""
    return np.isin(labels, np.asarray(pass_labels, dtype=np.int32))
