from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miwake.indexer.errors import SearchOptionsError
from miwake.indexer.search.options import SearchOptions
from miwake.indexer.verdict.calibration import RerankSettings
from miwake.indexer.verdict.match import MatchMix

MIX = MatchMix(scale_weight=2.0, deviation_weight=1.0, spread_weight=-1.0, bias=0.0)
CALIBRATED = RerankSettings(space="raw", p_eta=1, p_gamma=4, n_candidates=50)


def test_what_is_left_open_is_as_calibrated() -> None:
    assert SearchOptions().applied_to(CALIBRATED) == CALIBRATED
    assert SearchOptions(mix=MIX, exhaustive=True).applied_to(CALIBRATED) == CALIBRATED


def test_what_is_said_takes_the_place_of_the_calibrated() -> None:
    options = SearchOptions(p_eta=8, p_gamma=1, space="embedding", n_candidates=10_000)

    assert options.applied_to(CALIBRATED) == RerankSettings(space="embedding", p_eta=8, p_gamma=1, n_candidates=10_000)


@pytest.mark.parametrize(
    ("given", "option", "problem"),
    [
        ({"p_eta": 0}, "p_eta", "0, expected an integer in 1 … 8"),
        ({"p_gamma": 9}, "p_gamma", "9, expected an integer in 1 … 8"),
        ({"p_eta": 2.0}, "p_eta", "2.0, expected an integer"),
        ({"p_eta": True}, "p_eta", "True, expected an integer"),
        ({"n_candidates": 0}, "n_candidates", "expected an integer in 1 … 10000"),
        ({"n_candidates": 10_001}, "n_candidates", "10001, expected"),
        ({"space": "cooked"}, "space", "'cooked', expected one of embedding, raw"),
        ({"mix": replace(MIX, scale_weight=-0.1)}, "mix.scale_weight", "-0.1, expected at least 0"),
        ({"mix": replace(MIX, deviation_weight=-1.0)}, "mix.deviation_weight", "expected at least 0"),
        ({"mix": replace(MIX, spread_weight=float("nan"))}, "mix.spread_weight", "nan, expected a number"),
        ({"mix": replace(MIX, bias=1e7)}, "mix.bias", "expected a number of -1e+06 … 1e+06"),
        ({"exhaustive": True, "n_candidates": 5}, "n_candidates", "5 beside exhaustive"),
    ],
)
def test_an_option_outside_its_bounds_is_named(given: dict[str, Any], option: str, problem: str) -> None:
    with pytest.raises(SearchOptionsError) as caught:
        SearchOptions(**given)

    assert caught.value.option == option
    assert problem in caught.value.problem
