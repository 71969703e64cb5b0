"""The time that stages take."""

from __future__ import annotations

from time import perf_counter

from miwake.indexer.laps import Laps


def test_stages_take_all_the_time_between_the_first_look_and_the_last() -> None:
    before = perf_counter()
    laps = Laps()
    since = perf_counter()
    laps.end("search")
    laps.end("judge")
    between = perf_counter() - since
    assert list(laps.seconds) == ["search", "judge"]
    assert 0 < sum(laps.seconds.values()) <= perf_counter() - before
    assert laps.seconds["judge"] <= between


def test_a_stage_that_goes_on_later_has_the_sum() -> None:
    laps = Laps()
    laps.end("judge")
    first = laps.seconds["judge"]
    laps.end("residuals")
    laps.end("judge")
    assert laps.seconds["judge"] > first
