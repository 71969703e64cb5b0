"""Heat maps as small PNG pictures, in colours that keep their order for readers who see no red and green.

A picture has one pixel for each value: whoever shows it scales it up, without smoothing.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_HEAT = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")
"""Points of matplotlib's viridis, whose lightness rises evenly."""

_DIFFERENCE = ("053061", "2166ac", "92c5de", "f7f7f7", "fdb863", "e08214", "7f3b08")
"""Blue below zero, white at zero, orange above."""

N_COLOURS = 256


def heat_map_png(values: NDArray[np.float32], low: float, high: float) -> bytes:
    """Return a heat map (rows, columns) as PNG; dark is ``low``, bright is ``high``, what lies beyond is cut."""
    return _png(values, low, high, _HEAT)


def difference_png(values: NDArray[np.float32], most: float) -> bytes:
    """Return differences (rows, columns) as PNG; blue is ``-most``, white is 0, orange is ``most``."""
    return _png(values, -most, most, _DIFFERENCE)


def data_uri(png: bytes) -> str:
    """Return a PNG as a URI that holds it, for a page that needs no other file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def strip_png(pngs: Sequence[bytes], *, scale: int) -> bytes:
    """Return pictures of one height side by side as one, every pixel ``scale`` times as wide and high."""
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    images = [one.resize((one.width * scale, one.height * scale), Image.Resampling.NEAREST) for one in images]
    gap = 2 * scale
    width = sum(one.width for one in images) + gap * (len(images) - 1)
    strip = Image.new("RGB", (width, images[0].height), "white")
    left = 0
    for one in images:
        strip.paste(one, (left, 0))
        left += one.width + gap
    buffer = io.BytesIO()
    strip.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def size_of(png: bytes) -> tuple[int, int]:
    """Return the width and the height of a PNG in pixels."""
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def _png(values: NDArray[np.float32], low: float, high: float, points: Sequence[str]) -> bytes:
    width = high - low if high > low else 1.0
    shares = (values.astype(np.float64) - low) / width
    image = Image.fromarray(np.clip(shares * N_COLOURS, 0, N_COLOURS - 1).astype(np.uint8))
    image.putpalette(_palette(points))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _palette(points: Sequence[str]) -> bytes:
    known = np.array([tuple(bytes.fromhex(point)) for point in points], dtype=np.float64)
    at = np.linspace(0.0, len(points) - 1.0, N_COLOURS)
    channels = [np.interp(at, np.arange(len(points)), known[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8).tobytes()
