from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.indexer.comparing.paired import difference


def flags(text: str) -> NDArray[np.bool_]:
    return np.array([one == "1" for one in text])


def test_the_difference_is_that_of_the_shares() -> None:
    found = difference(flags("1100000000"), flags("1111000000"))

    assert found.value == pytest.approx(0.2)
    assert (found.n_more, found.n_less, found.n_rows) == (2, 0, 10)


def test_what_comes_and_what_goes_are_counted_apart() -> None:
    found = difference(flags("1100"), flags("0011"))

    assert (found.value, found.n_more, found.n_less) == (0.0, 2, 2)


def test_the_interval_is_that_of_agresti_and_min() -> None:
    # b = 12 and c = 4 of 100: (12.5 - 4.5) / 102, and sqrt(17 - 8 * 8 / 102) / 102 times 1.96 on either side of it.
    first, second = np.zeros(100, dtype=bool), np.zeros(100, dtype=bool)
    second[:12] = True
    first[12:16] = True

    found = difference(first, second)

    assert found.low == pytest.approx(0.07843 - 0.07775, abs=2e-4)
    assert found.high == pytest.approx(0.07843 + 0.07775, abs=2e-4)


def test_where_nothing_differs_the_interval_keeps_a_width() -> None:
    few, many = (difference(np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)) for n in (20, 2000))

    assert few.value == many.value == 0.0
    assert few.low < many.low < 0.0 < many.high < few.high


def test_rows_of_one_part_are_no_independent_rows() -> None:
    first, second = np.zeros(40, dtype=bool), np.tile([True, True, True, True, *[False] * 16], 2)
    parts = [f"part {row // 4}" for row in range(40)]

    alone, together = difference(first, second), difference(first, second, parts=parts)

    assert together.value == alone.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_a_value_lies_in_its_interval() -> None:
    found = difference(flags("000"), flags("111"))

    assert found.low <= found.value == found.high == 1.0
