from __future__ import annotations

from typing import Any

import pytest

from accuracy.summary import BOUNDS, Bound, lines, summarise


def figures(**told: Any) -> dict[str, Any]:
    usual = {"accuracy": 0.9, "balanced_accuracy": 0.8, "escape_rate": 0.01, "overkill_rate": 0.05, "ece": 0.02}
    return {**usual, "seconds_train": 100.0, "steps_train": 1200, "threads": 2, **told}


def test_figures_are_means_over_seeds_with_their_standard_deviation() -> None:
    found = summarise([figures(accuracy=0.90), figures(accuracy=0.94)], [])
    assert found["accuracy"] == pytest.approx(0.92)
    assert found["accuracy_sd"] == pytest.approx(0.02 * 2**0.5)
    assert found["escape_rate_sd"] == 0


def test_what_is_not_defined_is_null() -> None:
    found = summarise([figures(escape_rate=None, overkill_rate=None)], [])
    assert (found["escape_rate"], found["overkill_rate"], found["open_set_auroc"]) == (None, None, None)
    assert found["accuracy_sd"] is None


def test_the_open_set_is_a_mean_over_left_out_classes() -> None:
    found = summarise([figures()], [{"open_set_auroc": 0.8}, {"open_set_auroc": 0.9}])
    assert found["open_set_auroc"] == pytest.approx(0.85)


@pytest.mark.parametrize(
    ("figure", "value", "is_met"),
    [("accuracy", 0.9, True), ("accuracy", 0.899, False), ("ece", 0.9, True), ("ece", 0.901, False)],
)
def test_a_figure_must_reach_its_bound_from_the_right_side(figure: str, value: float, is_met: bool) -> None:
    assert Bound("boards", figure, 0.9).is_met(value) is is_met


def test_the_table_says_what_is_not_met() -> None:
    bad = summarise([figures(overkill_rate=0.07, accuracy=0.95)], [{"open_set_auroc": 0.9}])
    told = list(lines({"deeppcb": bad}))
    assert "| deeppcb | overkill_rate | 0.0700 | ≤ 0.065 | ≤ 0.035 | NOT MET |" in told
    assert "| deeppcb | accuracy | 0.9500 | ≥ 0.945 | ≥ 0.97 | met |" in told
    assert not any("fashion" in line for line in told)


def test_aims_are_no_easier_than_what_must_be_reached() -> None:
    assert all(one.aim is None or one.is_met(one.aim) for one in BOUNDS)
