from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.chance import best_beyond_chance

N_ROWS = 1000


def right(n_right: int, *, shift: int = 0) -> np.ndarray:
    return np.roll(np.arange(N_ROWS) < n_right, shift)


@pytest.mark.parametrize(("n_better", "expected"), [(4, "usual"), (5, "other")])
def test_a_way_takes_the_usual_ones_place_beyond_two_standard_errors(n_better: int, expected: str) -> None:
    ways = {"usual": right(900), "other": right(900 + n_better)}
    assert best_beyond_chance(ways, "usual") == expected


def test_rows_that_either_loses_count_as_chance() -> None:
    ways = {"usual": right(500), "other": right(510, shift=400)}
    assert ways["other"].mean() > ways["usual"].mean()
    assert best_beyond_chance(ways, "usual") == "usual"


def test_of_several_that_are_better_it_is_the_one_that_is_right_most_often() -> None:
    ways = {"good": right(950), "best": right(990), "usual": right(900), "better": right(970)}
    assert best_beyond_chance(ways, "usual") == "best"


def test_a_worse_way_and_no_rows_leave_the_usual_one() -> None:
    assert best_beyond_chance({"usual": right(900), "other": right(500)}, "usual") == "usual"
    nothing = np.empty(0, dtype=bool)
    assert best_beyond_chance({"other": nothing, "usual": nothing}, "usual") == "usual"
