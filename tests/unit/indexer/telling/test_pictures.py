from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from miwake.indexer.telling.pictures import data_uri, difference_png, heat_map_png


def pixels(png: bytes) -> NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.int64)


def lightness(colours: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(colours @ np.array([0.2126, 0.7152, 0.0722]))


def test_a_picture_has_a_pixel_for_each_value() -> None:
    assert pixels(heat_map_png(np.zeros((3, 5), dtype=np.float32), 0, 1)).shape == (3, 5, 3)


def test_brighter_is_more_even_without_colours() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32)[None]

    shown = lightness(pixels(heat_map_png(values, 0, 1)))[0].tolist()

    assert all(before <= after for before, after in pairwise(shown))
    assert shown[-1] - shown[0] > 150


def test_what_lies_beyond_the_scale_is_cut() -> None:
    values = np.array([[-5, 0, 1, 7]], dtype=np.float32)

    shown = pixels(heat_map_png(values, 0, 1))[0]

    assert shown[0].tolist() == shown[1].tolist()
    assert shown[2].tolist() == shown[3].tolist()


def test_a_difference_is_white_at_zero_blue_below_and_orange_above() -> None:
    below, zero, above = pixels(difference_png(np.array([[-1, 0, 1]], dtype=np.float32), 1.0))[0]

    assert zero.min() > 240
    assert below[2] > below[0] + 50
    assert above[0] > above[2] + 50


@pytest.mark.parametrize("low", [0.0, 3.0])
def test_a_scale_without_a_width_is_no_error(low: float) -> None:
    assert pixels(heat_map_png(np.full((2, 2), 3, dtype=np.float32), low, low)).shape == (2, 2, 3)


def test_a_uri_holds_the_picture() -> None:
    assert data_uri(b"\x89PNG") == "data:image/png;base64,iVBORw=="
