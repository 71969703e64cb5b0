from __future__ import annotations

import numpy as np
import pytest

from miwake.indexer.errors import InvalidVectorError
from miwake.indexer.scale import Refusal, Scale, template_refusals

SCALE = Scale(n_values=4, low=0, high=255)


@pytest.mark.parametrize(
    ("vector", "refusal"),
    [
        ([0, 255, 128, 3], Refusal.NONE),
        ([-25.5, 280.5, 0, 0], Refusal.NONE),
        ([-25.6, 100, 0, 0], Refusal.OUT_OF_RANGE),
        ([0, 280.6, 0, 0], Refusal.OUT_OF_RANGE),
        ([0, 3e38, -3e38, 0], Refusal.OUT_OF_RANGE),
        ([0, np.nan, 1, 2], Refusal.NON_FINITE),
        ([0, np.inf, 1, 2], Refusal.NON_FINITE),
        ([np.nan, -np.inf, 1, 900], Refusal.NON_FINITE),
        ([0, 0, 0, 0], Refusal.FLAT),
        ([100, 102.5, 100, 100], Refusal.FLAT),
        ([100, 102.6, 100, 100], Refusal.NONE),
        ([0, 0.4, 1, 0.2], Refusal.FLAT),
        ([900, 900, 900, 900], Refusal.OUT_OF_RANGE),
    ],
)
def test_a_vector_is_refused_for_its_worst_fault(vector: list[float], refusal: Refusal) -> None:
    codes = SCALE.refusals(np.array([vector], dtype=np.float32))

    assert codes.tolist() == [refusal]


def test_a_batch_is_judged_row_by_row() -> None:
    batch = np.array([[0, 1, 2, 200], [7, 7, 7, 7], [0, 1, 2, 999]], dtype=np.float32)

    assert SCALE.refusals(batch).tolist() == [Refusal.NONE, Refusal.FLAT, Refusal.OUT_OF_RANGE]


@pytest.mark.parametrize(
    ("vector", "refusal"), [([5, 5, 5, 5.001], Refusal.NONE), ([5, 5, 5, 5], Refusal.FLAT), ([0] * 4, Refusal.FLAT)]
)
def test_a_lowered_bound_still_refuses_vectors_without_any_spread(vector: list[float], refusal: Refusal) -> None:
    scale = Scale(n_values=4, low=0, high=255, flatness=0)

    assert scale.refusals(np.array([vector], dtype=np.float32)).tolist() == [refusal]


@pytest.mark.parametrize("shape", [(4,), (1, 3), (1, 5), (1, 2, 2)])
def test_a_batch_of_another_shape_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidVectorError, match=r"expected \(Q, 4\)"):
        SCALE.refusals(np.zeros(shape, dtype=np.float32))


def test_an_empty_batch_has_no_refusals() -> None:
    # A reduction over no rows must not fail: streams may bring empty messages.
    assert SCALE.refusals(np.zeros((0, 4), dtype=np.float32)).tolist() == []


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, np.inf), (np.nan, 1)])
def test_a_range_without_width_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="value range"):
        Scale(n_values=4, low=low, high=high)


@pytest.mark.parametrize("flatness", [-0.01, 1, np.nan])
def test_a_flatness_that_is_no_share_is_refused(flatness: float) -> None:
    with pytest.raises(ValueError, match="flatness"):
        Scale(n_values=4, low=0, high=1, flatness=flatness)


@pytest.mark.parametrize(
    ("code", "vector", "words"),
    [
        (Refusal.WRONG_LENGTH, [1, 2, 3], "3 values, expected 4"),
        (Refusal.NON_FINITE, [1, np.nan, 3, 4], "value 1 is nan, expected finite numbers"),
        (Refusal.OUT_OF_RANGE, [0, 900, 3, 4], "values 0 … 900 leave the trained range 0 … 255"),
        (Refusal.FLAT, [0, 1, 1, 1], "spread 1 (values 0 … 1) is under 1.00% of the trained range 0 … 255"),
    ],
)
def test_a_refusal_says_what_was_expected_and_what_came(code: Refusal, vector: list[float], words: str) -> None:
    assert words in SCALE.explain(code, np.array(vector, dtype=np.float32))


@pytest.mark.parametrize(
    ("template", "refusal"),
    [
        ([0, 255, 128, 3], Refusal.NONE),
        ([np.nan] * 4, Refusal.NONE),
        ([7, 7, 7, 7], Refusal.NONE),
        ([7, np.nan, 200, 7], Refusal.NON_FINITE),
        ([np.nan, np.nan, np.inf, np.nan], Refusal.NON_FINITE),
        ([0, 255, 999, 0], Refusal.OUT_OF_RANGE),
    ],
)
def test_a_template_may_be_flat_or_none_at_all(template: list[float], refusal: Refusal) -> None:
    assert template_refusals(np.array([template], dtype=np.float32), SCALE).tolist() == [refusal]
