from typing import Any

import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.verdict.costs import parse_costs
from miwake.indexer.verdict.request import ThresholdRequest

COST = parse_costs("escape=9,overkill=1,review=0.5")


@pytest.mark.parametrize(
    "asked",
    [
        {"max_escape": 0.0},
        {"max_escape": 1.0},
        {"max_escape": float("nan")},
        {"max_escape_of": {44: 2.0}},
        {"max_overkill": -0.1},
        {"novelty_false_alarms": 1.0},
        {"pass_at_most": 1.1},
        {"reject_at_least": -0.1},
        {"pass_at_most": 0.1, "max_escape": 0.01},
        {"pass_at_most": 0.1, "max_escape_of": {44: 0.01}},
        {"reject_at_least": 0.9, "max_overkill": 0.05},
        {"per_class": True},
        {"reject_share": 0.01},
    ],
)
def test_what_contradicts_itself_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        ThresholdRequest(**asked)


def test_what_is_not_asked_again_is_kept() -> None:
    earlier = ThresholdRequest(max_escape=0.01, per_class=True, cost=COST, reject_share=0.02)

    found = ThresholdRequest(max_overkill=0.05).over(earlier)

    assert found == ThresholdRequest(max_escape=0.01, per_class=True, max_overkill=0.05, cost=COST, reject_share=0.02)


def test_a_threshold_takes_the_place_of_a_promise() -> None:
    earlier = ThresholdRequest(max_escape=0.01, per_class=True, max_escape_of={4: 0.1}, max_overkill=0.05)

    found = ThresholdRequest(pass_at_most=0.02).over(earlier)

    assert found == ThresholdRequest(pass_at_most=0.02, max_overkill=0.05)


def test_a_promise_takes_the_place_of_those_of_the_same_kind() -> None:
    earlier = ThresholdRequest(max_escape=0.01, max_escape_of={4: 0.1}, novelty_false_alarms=0.01)

    found = ThresholdRequest(max_escape=0.02).over(earlier)

    assert found == ThresholdRequest(max_escape=0.02, novelty_false_alarms=0.01)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({}, False), ({"max_escape_of": {4: 0.1}}, True), ({"cost": COST}, True), ({"pass_at_most": 0.0}, True)],
)
def test_it_knows_whether_anything_is_asked(asked: dict[str, Any], expected: bool) -> None:
    assert bool(ThresholdRequest(**asked)) is expected
