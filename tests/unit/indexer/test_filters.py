from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import miwake.client.filters
import miwake.indexer.filters
from miwake.indexer.errors import FilterError
from miwake.indexer.filters import (
    LARGEST_DEPTH,
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
    parse,
)

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))


def nested(depth: int) -> Filter:
    found: Filter = LabelIn((1,))
    for _ in range(depth - 1):
        found = Not(found)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label=11", LabelIn((11,))),
        (" label = 11, 13,-4 ", LabelIn((11, 13, -4))),
        ("label!=0", Not(LabelIn((0,)))),
        ("failure_mode=short,open", FailureModeIn(("short", "open"))),
        ('failure_mode="burr, left",short', FailureModeIn(("burr, left", "short"))),
        ("failure_mode!=short", Not(FailureModeIn(("short",)))),
        ("part=A-1", PartIn(("A-1",))),
        ("part=", PartIn(("",))),
        ("part=a=b>=c", PartIn(("a=b>=c",))),
        ("group=lot 7", GroupIn(("lot 7",))),
        ("source!=old.csv", Not(SourceIn(("old.csv",)))),
        ("time>=2026-01-01", InspectedBetween(since=NEW_YEAR)),
        ("time<2026-01-01T00:00:00Z", InspectedBetween(until=NEW_YEAR)),
        ("time>=2026-01-01T09:00+09:00", InspectedBetween(since=NEW_YEAR)),
    ],
)
def test_a_written_condition_is_read(text: str, expected: Filter) -> None:
    assert parse([text]) == expected


def test_of_several_conditions_all_must_hold() -> None:
    assert parse(["label=1", "part=A"]) == AllOf((LabelIn((1,)), PartIn(("A",))))


def test_no_condition_is_no_filter() -> None:
    assert parse([]) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lable=3", "expected a condition on one of label, failure_mode, part, group, source, time"),
        ("label", "such as label=11,13"),
        ("", "such as label=11,13"),
        ("label=x", "label 'x', expected whole numbers"),
        ("label=", "label '', expected whole numbers"),
        ("label=1.5", "label '1.5', expected whole numbers"),
        ("label=2147483648", "expected an integer in -2147483648 … 2147483647"),
        ("label>3", "expected label=… or label!=…"),
        ("part<A", "expected part=… or part!=…"),
        ("part=a\nb", "new-line"),
        ("time=2026-01-01", "expected time>=…"),
        ("time>=yesterday", "expected such as 2026-01-31 or 2026-01-31T12:00:00Z"),
        ("time>=2026-01-01T12:00", "bears no time zone"),
        ("time<0001-01-01T00:00+09:00", "date value out of range"),
    ],
)
def test_a_condition_that_cannot_be_read_is_named_with_what_was_expected(text: str, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(["part=fine", text])

    assert str(caught.value).startswith(repr(text))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "given", "problem"),
    [
        (LabelIn, [()], "0 labels, expected 1 … 10000"),
        (LabelIn, [range(10_001)], "10001 labels"),
        (LabelIn, [(True,)], "label True, expected an integer"),
        (LabelIn, [(1.0,)], "label 1.0, expected an integer"),
        (PartIn, ["A-1"], "parts: the text 'A-1', expected a tuple"),
        (GroupIn, [(7,)], "groups: 7, expected text"),
        (InspectedBetween, [], "expected at least one"),
        (InspectedBetween, [datetime(2026, 1, 1)], "since 2026-01-01T00:00:00 bears no time zone"),
        (InspectedBetween, [None, "2026-01-01"], "until '2026-01-01', expected a datetime"),
        (InspectedBetween, [NEW_YEAR, NEW_YEAR], "is not before until"),
        (AllOf, [()], "0 filters"),
        (AnyOf, [(LabelIn((1,)), "label=2")], "'label=2' among the filters, expected a filter"),
        (Not, [None], "None among the filters"),
        (AnyOf, [(LabelIn((1,)),) * 256], "a filter of 257 conditions, expected at most 256"),
        (Not, [nested(LARGEST_DEPTH)], "17 deep, expected at most 16"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(kind: type[Filter], given: list[Any], problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        kind(*given)

    assert problem in str(caught.value)


def test_a_filter_may_be_as_deep_as_the_limit() -> None:
    assert isinstance(nested(LARGEST_DEPTH), Not)


def test_equal_filters_are_one_value() -> None:
    labels: Any = [np.int32(3), 4]

    written = LabelIn(labels)

    assert written == LabelIn((3, 4))
    assert hash(written) == hash(LabelIn((3, 4)))
    assert InspectedBetween(since=datetime(2026, 1, 1, 9, tzinfo=TOKYO)) == InspectedBetween(since=NEW_YEAR)


def statements(module: Any) -> list[str]:
    """Return what a module does, but for what it imports of ours."""
    tree = ast.parse(Path(module.__file__).read_text())
    return [
        ast.dump(one)
        for one in tree.body
        if not (isinstance(one, ast.ImportFrom) and (one.module or "").startswith("miwake"))
    ]


def test_client_and_indexer_have_the_same_filters() -> None:
    """The client may not import the indexer; what both say must be the same all the same."""
    assert statements(miwake.client.filters) == statements(miwake.indexer.filters)
