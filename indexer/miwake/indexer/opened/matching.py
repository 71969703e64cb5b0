"""For which references a filter holds."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Protocol

import numpy as np

from miwake.indexer.filters import (
    TEXT_CONDITIONS,
    AllOf,
    AnyOf,
    FailureModeIn,
    GroupIn,
    InspectedBetween,
    LabelIn,
    Not,
    PartIn,
    SourceIn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.filters import Filter
    from miwake.indexer.storage.reading import Snapshot

_COLUMNS = {kind: column for column, kind in TEXT_CONDITIONS.items()}
_ATTRIBUTES = {"failure_mode": "failure_modes", "part": "parts", "group": "groups", "source": "sources"}


class Columns(Protocol):
    """What is known about N references: those of a generation, or a few added since."""

    @property
    def labels(self) -> NDArray[np.int32]:
        """(N,) class codes."""

    def is_any(self, column: str, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Return for which references a text column holds one of the texts, (N,) bool."""

    def instants(self) -> NDArray[np.datetime64]:
        """Return when each was inspected, (N,) in microseconds UTC; not-a-time where it is not known."""


class SnapshotColumns:
    """The columns of references that lie in memory."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @property
    def labels(self) -> NDArray[np.int32]:
        """(N,) class codes."""
        return self._snapshot.labels

    def is_any(self, column: str, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Return for which references a text column holds one of the texts, (N,) bool."""
        wanted = frozenset(texts)
        return np.array([text in wanted for text in getattr(self._snapshot, _ATTRIBUTES[column])], dtype=np.bool_)

    def instants(self) -> NDArray[np.datetime64]:
        """Return when each was inspected, (N,) in microseconds UTC; not-a-time where it is not known."""
        known = [_instant(datetime.fromisoformat(text)) if text else None for text in self._snapshot.times]
        return np.array(known, dtype="datetime64[us]")


class _Once:
    """Columns whose times are read once at most, however many conditions look at them."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.labels = columns.labels
        self.is_any = columns.is_any

    @cached_property
    def times(self) -> NDArray[np.datetime64]:
        return self._columns.instants()


def matches(wanted: Filter, columns: Columns) -> NDArray[np.bool_]:
    """Return for which of N references a filter holds, (N,) bool."""
    return _matches(wanted, _Once(columns))


def _matches(wanted: Filter, columns: _Once) -> NDArray[np.bool_]:
    match wanted:
        case LabelIn(labels):
            return np.isin(columns.labels, np.array(labels, dtype=np.int32))
        case FailureModeIn(texts) | PartIn(texts) | GroupIn(texts) | SourceIn(texts):
            return columns.is_any(_COLUMNS[type(wanted)], texts)
        case InspectedBetween():
            return _inspected(wanted, columns.times)
        case AllOf(filters):
            return reduce(operator.and_, (_matches(one, columns) for one in filters))
        case AnyOf(filters):
            return reduce(operator.or_, (_matches(one, columns) for one in filters))
        case Not(negated):
            return ~_matches(negated, columns)


def _inspected(wanted: InspectedBetween, instants: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    holds = ~np.isnat(instants)
    if wanted.since is not None:
        holds &= instants >= _instant(wanted.since)
    if wanted.until is not None:
        holds &= instants < _instant(wanted.until)
    return holds


def _instant(time: datetime) -> np.datetime64:
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")
