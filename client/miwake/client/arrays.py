"""Answers that come in arrays over a whole message: checked once, and cut into rows.

A row is a view of the arrays of its message, and its texts are made when they are looked at. So an answer that is kept
keeps all that came with it, as protobuf parsed it and as bytes: more than 100 kB in a message of 64 vectors.
"""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache, partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.client.answers import (
    Anchors,
    Decision,
    DecisionReason,
    InputHealth,
    LabelMethod,
    Neighbours,
    Verdict,
)
from miwake.client.errors import ProtocolError
from miwake.client.making import made_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from miwake.client.answers import Residuals
    from miwake.inspection.v1 import answer_pb2

    Array = NDArray[Any]

DECISIONS = {int(decision): decision for decision in Decision}
METHODS = {int(method): method for method in LabelMethod}
N_HEALTH = len(fields(InputHealth))
INT32, UINT32, FLOAT32 = map(np.dtype, ("<i4", "<u4", "<f4"))


NO_NEIGHBOURS = Neighbours(
    (), np.empty(0, INT32), (), *(np.empty(0, FLOAT32) for _ in ("distances", "betas", "etas", "gammas", "match"))
)


class NeighbourRows:
    """The neighbours of the answers of a message.

    Parameters
    ----------
    message : NeighbourArrays
    n_rows : int
        Q.

    Raises
    ------
    ProtocolError
        If the arrays do not have Q rows with as many neighbours each, or name what is not there.
    """

    def __init__(self, message: answer_pb2.NeighbourArrays, n_rows: int) -> None:
        self._n_rows = n_rows
        self._ids = message.reference_ids
        k = self._k = len(self._ids) // n_rows if n_rows else 0
        if self._k * n_rows != len(self._ids):
            text = f"neighbours.reference_ids: {len(self._ids)} texts, expected as many for each of {n_rows} rows"
            raise ProtocolError(text)
        self._names: Array = np.array(message.failure_mode_names[:], dtype=object)
        self._labels = matrix(message.labels, INT32, n_rows, "neighbours.labels", n_columns=k)
        places = matrix(message.failure_modes, UINT32, n_rows, "neighbours.failure_modes", n_columns=k)
        if places.size and places.max() >= len(self._names):
            text = f"neighbours.failure_modes name the place {places.max()} among {len(self._names)} failure_mode_names"
            raise ProtocolError(text)
        self._places = places
        self._failure_modes: list[tuple[str, ...]] | None = None
        self._measures = tuple(
            matrix(getattr(message, name), FLOAT32, n_rows, f"neighbours.{name}", n_columns=k)
            for name in ("distances", "betas", "etas", "gammas", "match_distances")
        )

    def all(self) -> list[Neighbours]:
        """Return the neighbours in each row, which are read when they are looked at."""
        return [Neighbours.unread(partial(self._read, row)) for row in range(self._n_rows)]

    def _read(self, row: int) -> tuple[Any, ...]:
        distances, betas, etas, gammas, match_distances = self._measures
        return (
            tuple(self._ids[row * self._k : (row + 1) * self._k]),
            self._labels[row],
            self._modes()[row],
            distances[row],
            betas[row],
            etas[row],
            gammas[row],
            match_distances[row],
        )

    def _modes(self) -> list[tuple[str, ...]]:
        """Return the names in all rows: to look them up together costs little more than those of a few rows alone."""
        if self._failure_modes is None:
            self._failure_modes = list(map(tuple, self._names[self._places].tolist()))
        return self._failure_modes


class VerdictRows:
    """The verdicts of a message.

    Parameters
    ----------
    message : VerdictArrays

    Raises
    ------
    ProtocolError
        If the arrays do not have as many rows each, or a decision is none that is known.
    """

    def __init__(self, message: answer_pb2.VerdictArrays) -> None:
        n_rows = self._n_rows = len(message.decisions)
        if len(message.failure_modes) != n_rows:
            text = f"{len(message.failure_modes)} failure_modes, expected {n_rows}"
            raise ProtocolError(text)
        has_neighbours = message.HasField("neighbours")
        self._columns = (
            _values(message.labels, INT32, n_rows, "labels"),
            message.failure_modes[:],
            _decisions(message.decisions),
            _values(message.probabilities, FLOAT32, n_rows, "probabilities"),
            _values_or_none(message.reject_probabilities, n_rows, "reject_probabilities"),
            _values(message.margins, FLOAT32, n_rows, "margins"),
            _values(message.novelty, FLOAT32, n_rows, "novelty"),
            repeat(METHODS.get(message.method, LabelMethod.UNSPECIFIED)),
            _method_labels(message, n_rows),
            _anchors(message, n_rows),
            NeighbourRows(message.neighbours, n_rows).all() if has_neighbours else repeat(NO_NEIGHBOURS),
            [_reasons(bits) for bits in _values(message.reasons, UINT32, n_rows, "reasons")],
            _health(message.health, n_rows),
        )

    def __len__(self) -> int:
        return self._n_rows

    def verdicts(self, residuals: Iterable[Residuals | None]) -> list[Verdict]:
        """Return the verdicts, each with the residuals in its row."""
        return made_of(Verdict, *self._columns, residuals)


def _anchors(message: answer_pb2.VerdictArrays, n_rows: int) -> list[Anchors]:
    labels = matrix(message.anchor_labels, INT32, n_rows, "anchor_labels")
    distances = matrix(message.anchor_distances, FLOAT32, n_rows, "anchor_distances", n_columns=labels.shape[1])
    return made_of(Anchors, labels, distances)


def _method_labels(message: answer_pb2.VerdictArrays, n_rows: int) -> list[dict[LabelMethod, int]]:
    """Return what each method found; methods that only a newer client knows are left out."""
    found = matrix(message.method_labels, INT32, n_rows, "method_labels", n_columns=len(message.methods))
    places = [place for place, method in enumerate(message.methods) if method in METHODS]
    methods = [METHODS[message.methods[place]] for place in places]
    return [dict(zip(methods, row, strict=True)) for row in found[:, places].tolist()]


def _decisions(codes: bytes) -> list[Decision]:
    """Return decisions; one that is not known is never guessed."""
    found = [DECISIONS.get(code) for code in codes]
    known = [decision for decision in found if decision is not None]
    if len(known) < len(found):
        row = found.index(None)
        text = f"row {row}: a verdict with the decision {codes[row]}, expected one of {list(DECISIONS)}"
        raise ProtocolError(text)
    return known


@lru_cache(maxsize=4096)
def _reasons(bits: int) -> tuple[DecisionReason, ...]:
    known = tuple(reason for reason in DecisionReason if reason and bits >> (reason - 1) & 1)
    return known + (DecisionReason.UNSPECIFIED,) * (bits >> max(DecisionReason)).bit_count()


def _health(data: bytes, n_rows: int) -> Iterable[InputHealth | None]:
    """Return what is known of the health of inputs; statistics that only a newer client knows stand behind."""
    if not data:
        return repeat(None)
    deviations = matrix(data, FLOAT32, n_rows, "health")
    if deviations.shape[1] < N_HEALTH:
        text = f"health of {deviations.shape[1]} statistics, expected {N_HEALTH}"
        raise ProtocolError(text)
    return made_of(InputHealth, *deviations.T[:N_HEALTH].tolist())


def _values(data: bytes, dtype: np.dtype[Any], n_rows: int, name: str) -> list[Any]:
    """Return an array of one value a row as a list."""
    values: list[Any] = matrix(data, dtype, n_rows, name, n_columns=1).ravel().tolist()
    return values


def _values_or_none(data: bytes, n_rows: int, name: str) -> Iterable[float | None]:
    return _values(data, FLOAT32, n_rows, name) if data else repeat(None)


def matrix(data: bytes, dtype: np.dtype[Any], n_rows: int, name: str, *, n_columns: int | None = None) -> Array:
    """Return bytes as an array (Q, n), read-only.

    Parameters
    ----------
    data : bytes
    dtype : dtype
        Of the values, little-endian.
    n_rows : int
        Q.
    name : text
        Of the array, for the message of an error.
    n_columns : int or None
        n; None: as many as there are.

    Raises
    ------
    ProtocolError
        If there are too few bytes, or too many.
    """
    row_bytes = dtype.itemsize * n_rows
    expected = len(data) // max(row_bytes, 1) if n_columns is None else n_columns
    if len(data) != row_bytes * expected:
        wanted = f"a multiple of {row_bytes}" if n_columns is None else row_bytes * expected
        text = f"{name} of {len(data)} bytes, expected {wanted} for {n_rows} rows of {dtype}"
        raise ProtocolError(text)
    return np.frombuffer(data, dtype=dtype).reshape(n_rows, expected)
