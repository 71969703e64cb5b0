"""Filters the plain way: what a filter says of one reference, and filters drawn at random."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from miwake.indexer.filters import (
    AllOf,
    AnyOf,
    FailureModeIn,
    Filter,
    GroupIn,
    InspectedBetween,
    LabelIn,
    Not,
    PartIn,
    SourceIn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.indexer.storage.reading import Snapshot


def holds(wanted: Filter, references: Snapshot, row: int) -> bool:
    """Return whether a filter holds for one reference of a snapshot."""
    if isinstance(wanted, AllOf):
        return all(holds(one, references, row) for one in wanted.filters)
    if isinstance(wanted, AnyOf):
        return any(holds(one, references, row) for one in wanted.filters)
    if isinstance(wanted, Not):
        return not holds(wanted.negated, references, row)
    if isinstance(wanted, InspectedBetween):
        return _inspected(wanted, references.times[row])
    return _has(wanted, references, row)


def _has(wanted: Filter, references: Snapshot, row: int) -> bool:
    if isinstance(wanted, LabelIn):
        return references.labels[row] in wanted.labels
    if isinstance(wanted, FailureModeIn):
        return references.failure_modes[row] in wanted.failure_modes
    if isinstance(wanted, PartIn):
        return references.parts[row] in wanted.parts
    if isinstance(wanted, GroupIn):
        return references.groups[row] in wanted.groups
    assert isinstance(wanted, SourceIn)
    return references.sources[row] in wanted.sources


def _inspected(wanted: InspectedBetween, text: str) -> bool:
    if not text:
        return False
    time = datetime.fromisoformat(text)
    return (wanted.since is None or wanted.since <= time) and (wanted.until is None or time < wanted.until)


START = datetime(2026, 1, 1, tzinfo=UTC)


def time_text(number: int) -> str:
    """Return a time as records have it, an hour after another for each number; none for every fourth."""
    return "" if number % 4 == 3 else (START + timedelta(hours=number)).isoformat().replace("+00:00", "Z")


def filters(
    *,
    labels: Sequence[int],
    failure_modes: Sequence[str],
    parts: Sequence[str],
    groups: Sequence[str],
    sources: Sequence[str],
    n_hours: int,
) -> st.SearchStrategy[Filter]:
    """Return what draws filters on these values, and on times in the first hours."""

    def some(values: Sequence[Any]) -> st.SearchStrategy[Any]:
        return st.lists(st.sampled_from(list(values)), min_size=1, max_size=3).map(tuple)

    hours = st.integers(0, n_hours)
    intervals = st.tuples(hours, st.integers(1, n_hours)).map(
        lambda ends: InspectedBetween(START + timedelta(hours=ends[0]), START + timedelta(hours=sum(ends)))
    )
    conditions = st.one_of(
        some(labels).map(LabelIn),
        some(failure_modes).map(FailureModeIn),
        some(parts).map(PartIn),
        some(groups).map(GroupIn),
        some(sources).map(SourceIn),
        intervals,
        hours.map(lambda hour: InspectedBetween(since=START + timedelta(hours=hour))),
        hours.map(lambda hour: InspectedBetween(until=START + timedelta(hours=hour))),
    )
    return st.recursive(
        conditions,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda many: AllOf(tuple(many))),
            st.lists(inner, min_size=1, max_size=3).map(lambda many: AnyOf(tuple(many))),
            inner.map(Not),
        ),
        max_leaves=5,
    )
