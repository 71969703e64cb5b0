from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.training.report.confusion_drawing import rolled_up
from miwake.training.report.drawing import BLACK, CYCLE, cut, drawn_like_this, panels, png_of, point_style
from miwake.training.report.spread_drawings import principal_map


def lightness(colour: str) -> float:
    """Return the relative luminance of a colour on a screen: WCAG 2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_a_rolled_up_matrix_counts_sides_whatever_the_labels() -> None:
    counts = np.array([[5, 1, 2, 0], [0, 7, 0, 3], [4, 0, 6, 1], [0, 8, 2, 9]])

    assert rolled_up(counts, 2).tolist() == [[13, 5], [12, 18]]


def test_no_colour_of_a_class_is_lost_on_white() -> None:
    assert all((1.05 / (lightness(colour) + 0.05)) > 1.9 for colour in CYCLE)
    assert lightness(BLACK) == 0.0


def test_seventy_classes_have_seventy_pairs_of_colour_and_marker() -> None:
    assert len({point_style(place) for place in range(70)}) == 70


@pytest.mark.parametrize("text", ["$x^2", "曲がり", "a" * 300, "", "half \ud800", "two\nlines"])
def test_any_text_can_be_drawn(text: str) -> None:
    with drawn_like_this():
        figure, (axis,) = panels(1, 2.0, width=2.0)
        axis.set_title(cut(text))
        png = png_of(figure)

    assert png.startswith(b"\x89PNG")
    assert len(cut(text)) <= 28


def plain_variance_share(points: NDArray[np.float64], direction: NDArray[np.float64]) -> float:
    centred = points - points.mean(axis=0)
    return float(((centred @ direction) ** 2).sum() / (centred**2).sum())


def test_the_map_shows_the_two_directions_that_vary_most() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, [1.0, 9.0, 4.0], (400, 3))

    places, shares = principal_map(points.astype(np.float32))

    assert abs(np.corrcoef(places[:, 0], points[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(places[:, 1], points[:, 2])[0, 1]) > 0.99
    assert shares[0] == pytest.approx(plain_variance_share(points, np.array([0.0, 1.0, 0.0])), abs=0.01)


@pytest.mark.parametrize("points", [np.ones((4, 3)), np.arange(5.0)[:, None]])
def test_a_map_of_points_on_a_line_or_a_point_is_flat(points: NDArray[np.float64]) -> None:
    places, shares = principal_map(points.astype(np.float32))

    assert places.shape == (len(points), 2)
    assert places[:, 1].tolist() == [0.0] * len(points)
    assert shares[1] == 0.0
