import numpy as np
import pytest

from miwake.indexer.answers import Decision
from miwake.indexer.verdict.calibration import ThresholdSet
from miwake.indexer.verdict.judge import decide

THRESHOLDS = ThresholdSet(
    name="test",
    pass_at_most=0.1,
    reject_at_least=0.5,
    sure_at_least=0.5,
    novelty_at_most=2.0,
    novelty_false_alarms=0.01,
)


def decision(*, is_pass: bool, reject: float | None, novelty: float = 1.0, probability: float = 0.9) -> Decision:
    found = decide(
        np.array([is_pass]),
        np.array([probability]),
        None if reject is None else np.array([reject]),
        np.array([novelty], dtype=np.float32),
        THRESHOLDS,
    )
    return Decision(int(found[0]))


@pytest.mark.parametrize(
    ("is_pass", "reject", "expected"),
    [
        (True, 0.05, Decision.PASS),
        (True, 0.1, Decision.PASS),
        (True, 0.11, Decision.REVIEW),
        (True, 0.9, Decision.REVIEW),
        (False, 0.9, Decision.REJECT),
        (False, 0.5, Decision.REJECT),
        (False, 0.49, Decision.REVIEW),
        (False, 0.01, Decision.REVIEW),
    ],
)
def test_label_and_reject_probability_must_agree(is_pass: bool, reject: float, expected: Decision) -> None:
    assert decision(is_pass=is_pass, reject=reject) is expected


@pytest.mark.parametrize("is_pass", [True, False])
@pytest.mark.parametrize("novelty", [2.01, float("inf"), float("nan")])
def test_what_is_far_from_everything_is_unknown(is_pass: bool, novelty: float) -> None:
    assert decision(is_pass=is_pass, reject=0.0, novelty=novelty) is Decision.UNKNOWN


def test_a_probability_that_is_not_a_number_is_never_a_pass() -> None:
    assert decision(is_pass=True, reject=float("nan")) is Decision.REVIEW


@pytest.mark.parametrize(("probability", "expected"), [(0.9, Decision.REJECT), (0.3, Decision.REVIEW)])
def test_without_two_sides_a_reject_must_be_sure_of_its_label(probability: float, expected: Decision) -> None:
    assert decision(is_pass=False, reject=None, probability=probability) is expected


def test_a_pass_label_that_was_never_told_from_a_reject_does_not_pass() -> None:
    assert decision(is_pass=True, reject=None) is Decision.REVIEW
