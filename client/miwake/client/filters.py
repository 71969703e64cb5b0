"""Which references a search looks among: a typed expression over what is known about each.

::

    LabelIn((11, 13))                             one of these labels
    FailureModeIn(("short",))                     likewise; PartIn, GroupIn, SourceIn
    InspectedBetween(since, until)                since ≤ time < until
    AllOf((…, …)), AnyOf((…, …)), Not(…)          of other filters

An empty text stands for what is not known. A reference whose time is not known was inspected in no interval, so that
``Not(InspectedBetween(…))`` holds for it. Filters are values: equal ones are interchangeable, and none can be changed.
"""

from __future__ import annotations

import csv
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, TypeAlias

from miwake.client.errors import InvalidQueryError as FilterError

LARGEST_DEPTH = 16
"""How deep filters may stand in each other."""

MOST_CONDITIONS = 256
"""How many conditions one filter may be made of, those that only hold others included."""

MOST_VALUES = 10_000
"""How many labels or texts one condition may list."""

LOWEST_LABEL, HIGHEST_LABEL = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class LabelIn:
    """References that bear one of these labels.

    Raises
    ------
    ValueError
        If the labels are none, too many, or no 32-bit integers; so it is with the values of every other condition.
    """

    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(_checked_label(label) for label in _listed(self.labels, "labels")))


@dataclass(frozen=True, slots=True)
class FailureModeIn:
    """References that failed in one of these modes."""

    failure_modes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "failure_modes", _checked_texts(self.failure_modes, "failure modes"))


@dataclass(frozen=True, slots=True)
class PartIn:
    """References taken from one of these physical parts."""

    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _checked_texts(self.parts, "parts"))


@dataclass(frozen=True, slots=True)
class GroupIn:
    """References of one of these groups, such as board types or lots."""

    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", _checked_texts(self.groups, "groups"))


@dataclass(frozen=True, slots=True)
class SourceIn:
    """References that were read from one of these sources."""

    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", _checked_texts(self.sources, "sources"))


@dataclass(frozen=True, slots=True)
class InspectedBetween:
    """References inspected at ``since`` or later, and before ``until``; None leaves that side open.

    Raises
    ------
    ValueError
        If both are None, one bears no time zone, or ``since`` is not before ``until``.
    """

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            object.__setattr__(self, name, _checked_time(getattr(self, name), name))
        if self.since is None and self.until is None:
            message = "a time without since and until, expected at least one of them"
            raise FilterError(message)
        if self.since is not None and self.until is not None and self.since >= self.until:
            message = f"since {self.since.isoformat()} is not before until {self.until.isoformat()}"
            raise FilterError(message)


@dataclass(frozen=True, slots=True)
class AllOf:
    """References for which every one of these filters holds."""

    filters: tuple[Filter, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple(_listed(self.filters, "filters")))
        _check_size(self)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """References for which at least one of these filters holds."""

    filters: tuple[Filter, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple(_listed(self.filters, "filters")))
        _check_size(self)


@dataclass(frozen=True, slots=True)
class Not:
    """References for which a filter does not hold."""

    negated: Filter

    def __post_init__(self) -> None:
        _check_size(self)


Filter: TypeAlias = LabelIn | FailureModeIn | PartIn | GroupIn | SourceIn | InspectedBetween | AllOf | AnyOf | Not
TEXT_CONDITIONS: dict[str, type[FailureModeIn | PartIn | GroupIn | SourceIn]] = {
    "failure_mode": FailureModeIn,
    "part": PartIn,
    "group": GroupIn,
    "source": SourceIn,
}
"""The conditions on texts by the column that they look at."""

FIELDS = ("label", *TEXT_CONDITIONS, "time")
WRITTEN = re.compile(r"\s*(?P<field>\w+)\s*(?P<operator>!=|>=|<=|=|<|>)(?P<values>.*)", re.DOTALL)


def parse(conditions: Sequence[str]) -> Filter | None:
    """Return the filter that conditions written by people stand for; all of them must hold. None for none.

    Parameters
    ----------
    conditions : texts
        ``FIELD=VALUE,…`` or ``FIELD!=VALUE,…`` with label, failure_mode, part, group or source, where a value with a
        comma stands in double quotes; ``time>=TIME`` or ``time<TIME``, a date being its midnight in UTC.

    Raises
    ------
    ValueError
        If a condition is none of these, or a value cannot be what it should; the message names it.

    Examples
    --------
    >>> parse(["label=11,13", "failure_mode!=short"])
    AllOf(filters=(LabelIn(labels=(11, 13)), Not(negated=FailureModeIn(failure_modes=('short',)))))
    """
    found = [_parse_one(condition) for condition in conditions]
    if not found:
        return None
    return found[0] if len(found) == 1 else AllOf(tuple(found))


def _parse_one(condition: str) -> Filter:
    try:
        written = WRITTEN.fullmatch(condition)
        if written is None or written["field"] not in FIELDS:
            message = f"expected a condition on one of {', '.join(FIELDS)}, such as label=11,13"
            raise FilterError(message)  # noqa: TRY301 - every message is put behind the condition here
        return _condition(written["field"], written["operator"], written["values"])
    except FilterError as error:
        message = f"{condition!r}: {error}"
        raise FilterError(message) from None


def _condition(field: str, comparison: str, values: str) -> Filter:
    if field == "time":
        return _time_condition(comparison, values.strip())
    if comparison not in ("=", "!="):
        message = f"{field}{comparison}…, expected {field}=… or {field}!=…"
        raise FilterError(message)
    texts = _read_texts(values.strip())
    found: Filter = (
        LabelIn(tuple(map(_read_label, texts))) if field == "label" else TEXT_CONDITIONS[field](tuple(texts))
    )
    return found if comparison == "=" else Not(found)


def _time_condition(comparison: str, text: str) -> Filter:
    if comparison not in (">=", "<"):
        message = f"time{comparison}…, expected time>=… for that time or later, or time<… for earlier"
        raise FilterError(message)
    instant = _read_time(text)
    return InspectedBetween(since=instant) if comparison == ">=" else InspectedBetween(until=instant)


def _read_time(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time.min, UTC)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        message = f"time {text!r}, expected such as 2026-01-31 or 2026-01-31T12:00:00Z"
        raise FilterError(message) from None


def _read_texts(values: str) -> list[str]:
    try:
        listed = next(csv.reader([values], skipinitialspace=True), [])
    except csv.Error as error:
        raise FilterError(str(error)) from None
    return listed or [""]  # an empty line holds no field for the csv module, and one empty value here


def _read_label(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f"label {text!r}, expected whole numbers such as label=11,13"
        raise FilterError(message) from None


def _listed(values: Any, what: str) -> list[Any]:
    if isinstance(values, str):
        message = f"{what}: the text {values!r}, expected a tuple of values"
        raise FilterError(message)
    listed = list(values)
    if not 1 <= len(listed) <= MOST_VALUES:
        message = f"{len(listed)} {what}, expected 1 … {MOST_VALUES}"
        raise FilterError(message)
    return listed


def _checked_label(label: Any) -> int:
    try:
        number = operator.index(label)
    except TypeError:
        number = HIGHEST_LABEL + 1
    if isinstance(label, bool) or not LOWEST_LABEL <= number <= HIGHEST_LABEL:
        message = f"label {label!r}, expected an integer in {LOWEST_LABEL} … {HIGHEST_LABEL}"
        raise FilterError(message)
    return number


def _checked_texts(texts: Any, what: str) -> tuple[str, ...]:
    listed = _listed(texts, what)
    for text in listed:
        if not isinstance(text, str):
            message = f"{what}: {text!r}, expected text"
            raise FilterError(message)
    return tuple(listed)


def _checked_time(instant: Any, name: str) -> datetime | None:
    if instant is None:
        return None
    if not isinstance(instant, datetime):
        message = f"{name} {instant!r}, expected a datetime"
        raise FilterError(message)
    text = instant.isoformat()
    if instant.utcoffset() is None:
        message = f"{name} {text} bears no time zone, expected one such as {text}Z for UTC"
        raise FilterError(message)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        message = f"{name} {text}: {error}"
        raise FilterError(message) from None


def _parts_of(one: Any) -> tuple[Filter, ...]:
    if isinstance(one, AllOf | AnyOf):
        return one.filters
    return (one.negated,) if isinstance(one, Not) else ()


def _check_size(one: Filter) -> None:
    depth, level, n_conditions = 0, [one], 0
    while level:
        depth, n_conditions = depth + 1, n_conditions + len(level)
        for other in level:
            if not isinstance(other, Filter):
                message = f"{other!r} among the filters, expected a filter"
                raise FilterError(message)
        level = [part for other in level for part in _parts_of(other)]
    if depth > LARGEST_DEPTH:
        message = f"filters in each other {depth} deep, expected at most {LARGEST_DEPTH}"
        raise FilterError(message)
    if n_conditions > MOST_CONDITIONS:
        message = f"a filter of {n_conditions} conditions, expected at most {MOST_CONDITIONS}"
        raise FilterError(message)
