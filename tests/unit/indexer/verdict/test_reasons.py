import numpy as np
import pytest

from miwake.indexer.answers import Decision, DecisionReason, HealthStatistic
from miwake.indexer.verdict.reasons import beyond_limits, hold_back, reasons_for

ORDINARY = np.zeros((1, len(HealthStatistic)), dtype=np.bool_)


def one(statistic: HealthStatistic) -> np.ndarray:
    return np.asarray(np.arange(len(HealthStatistic))[None] == statistic)


def reason(
    decision: Decision, *, is_pass: bool = True, reject: float | None = 0.2, beyond: np.ndarray = ORDINARY
) -> DecisionReason:
    rejects = None if reject is None else np.array([reject])
    found = reasons_for(np.array([decision], dtype=np.int8), np.array([is_pass]), rejects, beyond)
    return DecisionReason(int(found[0]))


@pytest.mark.parametrize("decision", [Decision.PASS, Decision.REJECT])
def test_a_plain_decision_has_nothing_against_it(decision: Decision) -> None:
    assert reason(decision) == DecisionReason(0)


@pytest.mark.parametrize(
    ("is_pass", "reject", "expected"),
    [
        (True, 0.2, DecisionReason.BETWEEN_THRESHOLDS),
        (True, 0.5, DecisionReason.CONTRADICTION),
        (True, 0.9, DecisionReason.CONTRADICTION),
        (True, float("nan"), DecisionReason.BETWEEN_THRESHOLDS),
        (False, 0.6, DecisionReason.BETWEEN_THRESHOLDS),
        (False, 0.4, DecisionReason.CONTRADICTION),
        (True, None, DecisionReason.LABEL_NOT_SURE),
        (False, None, DecisionReason.LABEL_NOT_SURE),
    ],
)
def test_a_review_says_why(is_pass: bool, reject: float | None, expected: DecisionReason) -> None:
    assert reason(Decision.REVIEW, is_pass=is_pass, reject=reject) == expected


def test_what_is_unknown_is_novel_whatever_its_probabilities() -> None:
    assert reason(Decision.UNKNOWN, reject=0.9) == DecisionReason.NOVEL


@pytest.mark.parametrize("statistic", list(HealthStatistic))
@pytest.mark.parametrize("decision", list(Decision))
def test_each_statistic_beyond_its_limit_is_a_reason_beside_the_others(
    statistic: HealthStatistic, decision: Decision
) -> None:
    found = reason(decision, beyond=one(statistic))

    assert found == reason(decision) | DecisionReason[statistic.name]


@pytest.mark.parametrize("statistic", list(HealthStatistic))
@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (Decision.PASS, Decision.REVIEW),
        (Decision.REJECT, Decision.REJECT),
        (Decision.REVIEW, Decision.REVIEW),
        (Decision.UNKNOWN, Decision.UNKNOWN),
    ],
)
def test_an_unhealthy_input_does_not_pass_and_changes_nothing_else(
    decision: Decision, expected: Decision, statistic: HealthStatistic
) -> None:
    found = hold_back(np.array([decision], dtype=np.int8), one(statistic))

    assert found.dtype == np.int8
    assert found.tolist() == [expected]


def test_a_healthy_input_keeps_its_decision() -> None:
    assert hold_back(np.array([Decision.PASS], dtype=np.int8), ORDINARY).tolist() == [Decision.PASS]


@pytest.mark.parametrize(
    ("deviation", "at_most", "expected"),
    [
        (0.99, 1.0, False),
        (1.0, 1.0, False),
        (-1.0, 1.0, False),
        (1.01, 1.0, True),
        (-1.01, 1.0, True),
        (1.5, 2.0, False),
        (-2.5, 2.0, True),
        (float("nan"), 1.0, True),
        (1e30, None, False),
        (float("nan"), None, False),
    ],
)
def test_a_bound_of_deviations_can_be_widened_and_switched_off(
    deviation: float, at_most: float | None, expected: bool
) -> None:
    health = np.array([[0.0, deviation]], dtype=np.float32)

    assert beyond_limits(health, at_most).tolist() == [[False, expected]]


def test_without_health_statistics_nothing_is_held_back() -> None:
    beyond = beyond_limits(np.empty((2, 0), dtype=np.float32), 1.0)
    decisions = np.array([Decision.PASS, Decision.REVIEW], dtype=np.int8)

    assert hold_back(decisions, beyond).tolist() == decisions.tolist()
    assert reasons_for(decisions, np.array([True, True]), np.array([0.0, 0.2]), beyond).tolist() == [0, 1]
