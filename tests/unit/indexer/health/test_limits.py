from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from miwake.indexer.answers import HealthStatistic
from miwake.indexer.health.limits import HealthGauge, HealthLimit, InputHealth

LIMIT = HealthLimit(centre=0.5, low=0.25, high=1.5)
HEALTH = InputHealth(
    limits={one.name.lower(): LIMIT for one in HealthStatistic},
    anchor=(1.0, 1.0, 1.0, 1.0),
    n_rows=100,
    n_parts=50,
    false_alarms=None,
)


@pytest.mark.parametrize(("level", "expected"), [(0.5, 0.0), (0.25, -1.0), (0.0, -2.0), (1.0, 0.5), (0.75, 0.25)])
def test_a_deviation_is_in_units_of_the_limit_on_its_side(level: float, expected: float) -> None:
    # four cells of the level have it as their mean; the fifth digit is float32's
    found = HealthGauge(HEALTH, (2, 2), (0.0, 10.0)).deviations(np.full((1, 4), 10 * level, dtype=np.float32))

    assert found.dtype == np.float32
    assert found.shape == (1, 6)
    assert found[0, HealthStatistic.MEAN] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("low", "centre", "high"),
    [
        (0.5, 0.5, 1.0),
        (0.0, 1.0, 1.0),
        (0.6, 0.5, 1.0),
        (-math.inf, 0.5, 1.0),
        (0.0, math.nan, 1.0),
        (0.0, 0.5, math.inf),
    ],
)
def test_limits_that_are_none_are_refused(low: float, centre: float, high: float) -> None:
    with pytest.raises(ValueError, match="expected finite numbers that rise"):
        HealthLimit(low=low, centre=centre, high=high)


def test_limits_of_other_statistics_are_refused() -> None:
    with pytest.raises(ValueError, match=r"limits of .*, expected"):
        replace(HEALTH, limits={"mean": LIMIT, "smell": LIMIT})
