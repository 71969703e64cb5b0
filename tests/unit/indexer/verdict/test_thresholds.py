from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from miwake.indexer.errors import DataError, PromiseError
from miwake.indexer.verdict.calibration import ThresholdSet
from miwake.indexer.verdict.costs import parse_costs
from miwake.indexer.verdict.promises import PASS_GRID, upper_bound
from miwake.indexer.verdict.request import ThresholdRequest, deviation_of
from miwake.indexer.verdict.scores import CalibrationScores
from miwake.indexer.verdict.thresholds import Chosen, choose

OWN = ThresholdSet(
    name="default",
    pass_at_most=0.1,
    reject_at_least=0.5,
    sure_at_least=0.5,
    novelty_at_most=2.0,
    novelty_false_alarms=0.01,
)
N_SAFE = 400


def scores_of(*odd: tuple[int, int, float], novelty: float = 1.0) -> CalibrationScores:
    """Return rows of a part each: 400 passes and 400 rejects of labels 1 and 2 that are answered well, and odd ones.

    An odd row is truth, answered label, reject probability.
    """
    rows = [(0, 0, 0.001)] * N_SAFE + [(1, 1, 0.999)] * (N_SAFE - 50) + [(2, 2, 0.999)] * 50 + list(odd)
    truth, answered, rejects = (np.array(column) for column in zip(*rows, strict=True))
    return CalibrationScores(
        truth=truth.astype(np.int32),
        answered=answered.astype(np.int32),
        reject_probabilities=rejects,
        probabilities=np.full(len(rows), 0.9),
        novelty=np.full(len(rows), novelty, dtype=np.float32),
        parts=np.arange(len(rows), dtype=np.int32),
    )


def chosen(scores: CalibrationScores, request: ThresholdRequest, *, must_show: bool = True) -> Chosen:
    return choose(scores, OWN, request, (0,), name="t000001", must_show=must_show)


def test_what_is_not_asked_stays_as_the_generation_has_it() -> None:
    found = chosen(scores_of(), ThresholdRequest(sure_at_least=0.7))

    assert found.thresholds == replace(OWN, name="t000001", sure_at_least=0.7)


@pytest.mark.parametrize(("asked", "expected"), [(None, 1.0), (1.5, 1.5), ("off", None)])
def test_the_health_of_an_input_can_be_given_more_room_and_switched_off(
    asked: float | Literal["off"] | None, expected: float | None
) -> None:
    found = chosen(scores_of(), ThresholdRequest(health_at_most=asked))

    assert found.thresholds.health_at_most == expected


@pytest.mark.parametrize("asked", [0.0, -1.0, float("nan"), float("inf")])
def test_no_room_at_all_is_no_bound_of_health(asked: float) -> None:
    with pytest.raises(DataError, match=r"deviation .*: expected a number between 0 and inf"):
        ThresholdRequest(health_at_most=asked)


@pytest.mark.parametrize(("text", "expected"), [("1.5", 1.5), (" off ", "off")])
def test_a_bound_of_health_is_a_number_or_off(text: str, expected: float | str) -> None:
    assert deviation_of(text) == expected


def test_another_bound_of_health_is_refused() -> None:
    with pytest.raises(DataError, match=r"'wide': expected a number of limits such as 1\.5, or off"):
        deviation_of("wide")


def test_the_laxest_thresholds_that_keep_a_promise_are_taken() -> None:
    scores = scores_of((1, 0, 0.03), (0, 1, 0.9))

    found = chosen(scores, ThresholdRequest(max_escape=0.01, max_overkill=0.01))

    assert 0.028 < found.thresholds.pass_at_most < 0.03
    assert 0.9 < found.thresholds.reject_at_least < 0.906
    assert [(one.promised, one.n_failed, one.is_shown) for one in found.bounds if one.promised] == [(0.01, 0, True)] * 2


def test_a_promise_is_about_parts_and_not_about_rows() -> None:
    pictures = scores_of(*[(1, 0, 0.03)] * 30)
    of_one_part = replace(pictures, parts=np.minimum(pictures.parts, 2 * N_SAFE))

    found = chosen(of_one_part, ThresholdRequest(max_escape=0.02))

    assert (found.bounds[0].n_failed, found.bounds[0].n_parts) == (1, N_SAFE + 1)
    assert found.thresholds.pass_at_most == 0.5


def test_a_promise_that_cannot_be_shown_says_what_can_and_what_it_would_take() -> None:
    with pytest.raises(PromiseError) as raised:
        chosen(scores_of((1, 0, 0.03)), ThresholdRequest(max_escape=0.001))

    assert "not enough rejects to promise this: 401 calibration parts, none of which pass at best" in str(raised.value)
    assert "can promise 0.744 %" in str(raised.value)
    assert "0.1 % takes 2,995 parts without one" in str(raised.value)


def test_rejects_that_pass_at_every_threshold_are_told_apart_from_too_few() -> None:
    with pytest.raises(PromiseError, match="too many rejects look alike: 9 of 409 calibration parts"):
        chosen(scores_of(*[(1, 0, 1e-9)] * 9), ThresholdRequest(max_escape=0.01))


def test_what_cannot_be_shown_is_taken_as_strictly_as_the_data_allow_where_told_so() -> None:
    found = chosen(scores_of((1, 0, 0.03), (1, 0, 0.2)), ThresholdRequest(max_escape=0.001), must_show=False)

    assert 0.028 < found.thresholds.pass_at_most < 0.03
    assert not found.bounds[0].is_shown
    assert "not enough rejects" in found.problems[0]


def test_what_cannot_be_shown_is_never_laxer_than_the_generations_own() -> None:
    found = chosen(scores_of(), ThresholdRequest(max_escape=0.001, max_overkill=0.001), must_show=False)

    assert (found.thresholds.pass_at_most, found.thresholds.reject_at_least) == (0.1, 0.5)
    assert len(found.problems) == 2


class TestPerClass:
    def test_a_class_with_too_few_parts_is_named_with_what_it_would_take(self) -> None:
        found = chosen(scores_of(), ThresholdRequest(max_escape=0.01, per_class=True))

        assert found.not_covered == (
            "label 2: 50 calibration parts show no less than 5.82%; 1 % takes 299 without an escape",
        )
        assert [(one.label, one.promised) for one in found.bounds if not one.is_pass] == [
            (None, 0.01),
            (1, 0.01),
            (2, None),
        ]

    def test_the_strictest_class_decides(self) -> None:
        found = chosen(scores_of((2, 0, 0.02)), ThresholdRequest(max_escape_of={2: 0.06}, max_overkill=0.05))

        assert 0.019 < found.thresholds.pass_at_most < 0.02

    def test_a_class_asked_by_name_must_be_shown(self) -> None:
        with pytest.raises(PromiseError, match="not enough parts of label 2"):
            chosen(scores_of(), ThresholdRequest(max_escape_of={2: 0.01}))

    def test_a_class_without_calibration_parts_is_told(self) -> None:
        with pytest.raises(PromiseError, match="no parts of label 44 among the calibration rows; it takes 59"):
            chosen(scores_of(), ThresholdRequest(max_escape_of={44: 0.05}))

    def test_a_promise_for_each_class_that_no_class_can_show_is_refused(self) -> None:
        with pytest.raises(PromiseError, match=r"0\.8 % for each class: label 1: 350 calibration parts"):
            chosen(scores_of(), ThresholdRequest(max_escape=0.008, per_class=True))


def test_a_bound_that_was_not_promised_is_corrected_for_the_search() -> None:
    found = chosen(scores_of(), ThresholdRequest(max_escape=0.01))
    fixed = chosen(scores_of(), ThresholdRequest(pass_at_most=0.3))

    assert found.bounds[0].bound == pytest.approx(upper_bound(0, N_SAFE))
    assert found.bounds[2].bound == pytest.approx(upper_bound(0, 50, confidence=1 - 0.05 / len(PASS_GRID)))
    assert fixed.bounds[2].bound == pytest.approx(upper_bound(0, 50))


def test_costs_choose_within_what_is_promised() -> None:
    scores = scores_of(*[(0, 0, 0.3)] * 50, (1, 0, 0.05), (1, 0, 0.2))
    cost = parse_costs("escape=5,overkill=1,review=1")

    free = chosen(scores, ThresholdRequest(cost=cost))
    bound = chosen(scores, ThresholdRequest(cost=cost, max_escape=0.01))

    assert free.thresholds.pass_at_most >= 0.3
    assert bound.thresholds.pass_at_most < 0.05


def test_unknown_is_set_from_a_rate_of_false_alarms() -> None:
    scores = replace(scores_of(), novelty=np.arange(2 * N_SAFE, dtype=np.float32))

    found = chosen(scores, ThresholdRequest(novelty_false_alarms=0.05))

    assert found.thresholds.novelty_at_most == 760  # the 761st of 800: ceil(801 x 0.95)
    assert found.thresholds.novelty_false_alarms == 0.05
    assert found.realised.novelty_alarms.n_counted == 39


def test_a_rate_of_false_alarms_that_takes_more_parts_says_how_many() -> None:
    with pytest.raises(PromiseError, match=r"800 calibration parts show no less than 0\.12%; 0\.100% takes 999"):
        chosen(scores_of(), ThresholdRequest(novelty_false_alarms=0.001))


def test_without_two_sides_nothing_can_be_promised() -> None:
    one_sided = replace(scores_of(), reject_probabilities=np.empty(0))

    with pytest.raises(PromiseError, match="no passes, or no rejects"):
        chosen(one_sided, ThresholdRequest(max_escape=0.01))

    assert chosen(one_sided, ThresholdRequest(sure_at_least=0.6)).bounds == ()


def test_what_was_realised_is_told_by_decision_and_by_label() -> None:
    scores = scores_of((1, 0, 0.03), (1, 0, 0.3), (0, 1, 0.9), (0, 1, 0.4))

    rejects, passes = chosen(scores, ThresholdRequest()).realised.sides

    assert (rejects.passed, rejects.rejected, rejects.reviewed, rejects.unknown) == (1, N_SAFE, 1, 0)
    assert (rejects.wrong_label.n_counted, rejects.wrong_decision.n_counted, rejects.n_parts_failed) == (2, 1, 1)
    assert (passes.passed, passes.rejected, passes.reviewed) == (N_SAFE, 1, 1)
    assert (passes.wrong_label.n_counted, passes.n_rows, passes.n_parts) == (2, N_SAFE + 2, N_SAFE + 2)


def test_what_is_far_from_everything_known_is_unknown_and_still_escapes_by_label() -> None:
    rejects = chosen(scores_of((1, 0, 0.03), novelty=3.0), ThresholdRequest()).realised.sides[0]

    assert (rejects.unknown, rejects.passed, rejects.wrong_label.n_counted) == (N_SAFE + 1, 0, 1)


def test_classes_are_told_one_by_one() -> None:
    classes = chosen(scores_of((2, 0, 0.03)), ThresholdRequest()).realised.classes

    assert [(one.label, one.is_pass, one.n_parts, one.passed) for one in classes] == [
        (0, True, N_SAFE, N_SAFE),
        (1, False, N_SAFE - 50, 0),
        (2, False, 51, 1),
    ]
