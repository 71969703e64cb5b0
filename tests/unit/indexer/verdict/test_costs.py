import json
from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.errors import DataError
from miwake.indexer.verdict.costs import CostMatrix, SideCosts, cheapest_thresholds, parse_costs
from miwake.indexer.verdict.scores import CalibrationScores

COSTS = CostMatrix(
    rejects=SideCosts(passed=100, reviewed=0.2, unknown=0.2), passes=SideCosts(rejected=1, reviewed=0.2, unknown=0.2)
)


def test_costs_are_read_from_a_line() -> None:
    assert parse_costs("escape=100, overkill=1,review=0.2") == COSTS


def test_unknown_may_cost_something_else() -> None:
    assert parse_costs("escape=9,overkill=1,review=0.2,unknown=3").passes.unknown == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "costs.json",
            json.dumps(
                {
                    "reject": {"PASS": 100, "REJECT": 0, "REVIEW": 0.2, "UNKNOWN": 0.2},
                    "pass": {"PASS": 0, "REJECT": 1, "REVIEW": 0.2, "UNKNOWN": 0.2},
                }
            ),
        ),
        (
            "costs.toml",
            "[reject]\nPASS = 100\nREJECT = 0\nREVIEW = 0.2\nUNKNOWN = 0.2\n"
            "[pass]\nPASS = 0\nREJECT = 1\nREVIEW = 0.2\nUNKNOWN = 0.2\n",
        ),
    ],
)
def test_costs_are_read_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    assert parse_costs(str(tmp_path / name)) == COSTS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "escape=1",
        "escape=1,overkill=1",
        "escape=1,escape=2,overkill=1,review=1",
        "escape=-1,overkill=1,review=1",
        "escape=nan,overkill=1,review=1",
        "escape=inf,overkill=1,review=1",
        "escape,overkill=1,review=1",
        "nowhere.json",
    ],
)
def test_other_costs_are_refused(text: str) -> None:
    with pytest.raises(DataError):
        parse_costs(text)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"reject": {}, "pass": {}}', '{"reject": 1, "pass": 2}', "not JSON", '{"reject": {"PASS": 1}}'],
)
def test_files_that_hold_something_else_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "costs.json").write_text(text)

    with pytest.raises(DataError, match=r"costs\.json"):
        parse_costs(str(tmp_path / "costs.json"))


def scores_of(probabilities: list[float]) -> CalibrationScores:
    n = len(probabilities)
    return CalibrationScores(
        truth=np.zeros(n, dtype=np.int32),
        answered=np.zeros(n, dtype=np.int32),
        reject_probabilities=np.array(probabilities),
        probabilities=np.zeros(n),
        novelty=np.zeros(n, dtype=np.float32),
        parts=np.arange(n, dtype=np.int32),
    )


def cost_of(  # the plain twin: each row's cost under two thresholds, added up
    probabilities: list[float], is_pass: list[bool], labelled_pass: list[bool], at_most: float, at_least: float
) -> float:
    total = 0.0
    for probability, good, labelled in zip(probabilities, is_pass, labelled_pass, strict=True):
        if labelled and probability <= at_most:
            total += 0 if good else 100
        elif not labelled and probability >= at_least:
            total += 1 if good else 0
        else:
            total += 0.2
    return total


def test_the_cheapest_thresholds_cost_no_more_than_any_others() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(400) < 0.4
    probability = np.clip(rng.beta(1 + 4 * truth, 5 - 4 * truth), 1e-6, 1 - 1e-6)
    rows = probability.tolist(), (~truth).tolist(), (probability + rng.normal(0, 0.1, 400) < 0.5).tolist()

    found = cheapest_thresholds(scores_of(rows[0]), np.array(rows[1]), np.array(rows[2]), COSTS)

    others = [(a, b) for a in (0.001, 0.01, 0.05, 0.1, 0.2, 0.4) for b in (0.4, 0.5, 0.7, 0.9, 0.99, 0.999)]
    assert cost_of(*rows, *found) <= min(cost_of(*rows, *other) for other in others) + 1e-9


def test_the_stricter_of_equals_is_taken() -> None:
    found = cheapest_thresholds(scores_of([0.01, 0.4]), np.array([True, False]), np.array([True, True]), COSTS)

    assert 0.01 <= found[0] < 0.0106


def test_what_was_promised_is_not_exceeded() -> None:
    rows = scores_of([0.01, 0.3, 0.6]), np.array([True, True, False]), np.array([True, True, False])

    free = cheapest_thresholds(*rows, COSTS)
    bound = cheapest_thresholds(*rows, COSTS, at_most=0.05, at_least=0.9)

    assert free[0] >= 0.3
    assert free[1] <= 0.6
    assert bound[0] <= 0.05
    assert bound[1] >= 0.9


def test_rare_rejects_let_more_pass() -> None:
    probabilities = np.concatenate([np.linspace(0.001, 0.4, 200), np.linspace(0.02, 0.4, 20)]).tolist()
    is_pass = np.arange(220) < 200
    rows = scores_of(probabilities), is_pass, np.ones(220, dtype=bool)

    as_found = cheapest_thresholds(*rows, COSTS)
    rare = cheapest_thresholds(*rows, COSTS, reject_share=0.0001)

    assert as_found[0] < 0.05
    assert rare[0] >= 0.4
