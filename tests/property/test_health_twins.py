"""The compiled health statistics are the plain ones, for any map of any shape."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from miwake.indexer.health import measuring, plain

GREY_LEVELS = st.integers(0, 255)


@st.composite
def maps(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int]]:
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    n_values = shape[0] * shape[1]
    vectors = draw(hnp.arrays(np.float32, (draw(st.integers(1, 3)), n_values), elements=GREY_LEVELS))
    anchor = draw(hnp.arrays(np.float32, n_values, elements=st.floats(0, 1, width=32)))
    return vectors, anchor, shape


@given(maps())
def test_the_loop_is_its_plain_twin(
    given_maps: tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int]],
) -> None:
    vectors, anchor, shape = given_maps

    found = measuring.statistics(vectors, anchor, shape, (0.0, 255.0))

    expected = plain.statistics(vectors, anchor, shape, (0.0, 255.0))
    # gain divides by 1e-4 where the anchor is empty: relative; the others are of the order of 1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@given(maps())
def test_turning_a_map_over_changes_nothing_but_the_gain(
    given_maps: tuple[NDArray[np.float32], NDArray[np.float32], tuple[int, int]],
) -> None:
    vectors, anchor, shape = given_maps
    turned = vectors.reshape(-1, *shape).transpose(0, 2, 1).reshape(vectors.shape)

    found = measuring.statistics(vectors, anchor, shape, (0.0, 255.0))
    of_turned = measuring.statistics(turned, anchor, (shape[1], shape[0]), (0.0, 255.0))

    others = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(of_turned[:, others], found[:, others], rtol=1e-5, atol=1e-5)
