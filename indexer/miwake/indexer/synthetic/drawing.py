"""Drawing connector terminals as heat maps: the sound part, on which ``defects`` puts its defects.

The unit of length is the *cell*: the default heat map is 36 cells high and 39 wide, and another shape shows the same
scene finer or coarser. Light is on the scale 0 … 255.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.records import DEFAULT_HEAT_MAP_SHAPE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

HEIGHT, WIDTH = DEFAULT_HEAT_MAP_SHAPE
"""Cells in a scene."""

N_PINS = 3
PIN_COLUMNS = (8.0, 19.5, 31.0)
TIP_ROW, BASE_ROW, PAD_ROW = 6.0, 25.0, 28.5
HOUSING = (2.0, 34.0, 2.0, 37.0)
"""Upper, lower, left and right edge of the housing."""

OUTSIDE, PLASTIC, CAVITY, PIN, PAD, GLINT = 18.0, 78.0, 34.0, 172.0, 142.0, 36.0
"""Light of what is around the housing, of its plastic, of the cavities, the pins, the solder, and a highlight more."""


MISSING_BY_DESIGN = 0.15
"""Share of the pins that some designs do without."""

MISSING_LIGHT = 0.25
"""Of what is left where a pin is missing, as a factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminals:
    """What n pictures show, before any light falls on it.

    Attributes
    ----------
    row, column : (n,) float32
        How far the part is displaced in the picture, in cells.
    tip_row, tip_column, base_column, radius, light : (n, 3) float32
        The pins, from left to right; ``light`` is a factor.
    pad_height, pad_width : (n, 3) float32
        Semi-axes of the solder joints.
    """

    row: Floats
    column: Floats
    tip_row: Floats
    tip_column: Floats
    base_column: Floats
    radius: Floats
    light: Floats
    pad_height: Floats
    pad_width: Floats


def sound_terminals(part_of_picture: NDArray[np.intp], rng: np.random.Generator) -> Terminals:
    """Return good terminals: each part a little different, each of its n pictures displaced by up to 1.5 cells."""
    n_parts, n_pictures = int(part_of_picture.max(initial=-1)) + 1, len(part_of_picture)

    def vary(centre: float, spread: float) -> Floats:
        each_part = centre + spread * rng.standard_normal((n_parts, N_PINS), dtype=np.float32)
        return np.asarray(each_part[part_of_picture], dtype=np.float32)

    column = np.asarray(PIN_COLUMNS, dtype=np.float32) + vary(0, 0.25)
    return Terminals(
        row=rng.uniform(-1.5, 1.5, n_pictures).astype(np.float32),
        column=rng.uniform(-1.5, 1.5, n_pictures).astype(np.float32),
        tip_row=vary(TIP_ROW, 0.35),
        tip_column=column + vary(0, 0.3),
        base_column=column,
        radius=vary(2.3, 0.1),
        light=vary(1, 0.04),
        pad_height=vary(3.0, 0.15),
        pad_width=vary(3.9, 0.2),
    )


def moved_by_cells(terminals: Terminals, canvas: Canvas) -> Terminals:
    """Return the terminals displaced by whole cells of the map, two at most: as a registration leaves them."""
    down, right = (canvas.rows[1, 0] - canvas.rows[0, 0], canvas.columns[0, 1] - canvas.columns[0, 0])
    row, column = (np.clip(np.rint(4 / 3 * one), -2, 2).astype(np.float32) for one in (terminals.row, terminals.column))
    return replace(terminals, row=row * down, column=column * right)


def as_placed(terminals: Terminals) -> Terminals:
    """Return the terminals where they are to be, without the displacement of a picture."""
    nowhere = np.zeros_like(terminals.row)
    return replace(terminals, row=nowhere, column=nowhere)


def of_other_designs(terminals: Terminals, part_of_picture: NDArray[np.intp], rng: np.random.Generator) -> Terminals:
    """Return terminals of which every part is of a design of its own: what is right at one place is wrong at another.

    Pins are longer or shorter, lean, are missing, and have larger or smaller joints, as a defect would make them.
    """
    n_parts = int(part_of_picture.max(initial=-1)) + 1

    def each(least: float, most: float) -> Floats:
        drawn = rng.uniform(least, most, (n_parts, N_PINS)).astype(np.float32)
        return np.asarray(drawn[part_of_picture], dtype=np.float32)

    lean, longer, joint, is_missing = each(-4, 4), each(0, 6), each(0.6, 1.4), each(0, 1) < MISSING_BY_DESIGN
    return replace(
        terminals,
        tip_column=terminals.tip_column + lean,
        tip_row=np.where(is_missing, np.float32(BASE_ROW), terminals.tip_row + longer),
        light=np.where(is_missing, np.float32(MISSING_LIGHT), terminals.light),
        pad_height=terminals.pad_height * joint,
        pad_width=terminals.pad_width * joint,
    )


class Canvas:
    """The cells of a heat map, and soft-edged shapes on them; every shape is an (n, rows, columns) cover in 0 … 1."""

    def __init__(self, heat_map_shape: tuple[int, int]) -> None:
        n_rows, n_columns = heat_map_shape
        self.rows = ((np.arange(n_rows, dtype=np.float32) + 0.5) * (HEIGHT / n_rows))[:, None]
        self.columns = ((np.arange(n_columns, dtype=np.float32) + 0.5) * (WIDTH / n_columns))[None, :]

    def stroke(self, start: tuple[Floats, Floats], end: tuple[Floats, Floats], radius: Floats | float) -> Floats:
        """Return straight strokes with round ends, from (row, column) to (row, column), each (n,)."""
        return cover(_wide(radius) - self.from_line(start, end))

    def from_line(self, start: tuple[Floats, Floats], end: tuple[Floats, Floats]) -> Floats:
        """Return the distance of every cell from the line between two points, in cells."""
        down, right = _wide(end[0] - start[0]), _wide(end[1] - start[1])
        below, beside = self.rows - _wide(start[0]), self.columns - _wide(start[1])
        along = np.clip((below * down + beside * right) / (down**2 + right**2 + 1e-6), 0, 1)
        return np.asarray(np.hypot(below - along * down, beside - along * right), dtype=np.float32)

    def ellipse(self, centre: tuple[Floats, Floats], height: Floats | float, width: Floats | float) -> Floats:
        """Return ellipses around (row, column) with semi-axes ``height`` and ``width``."""
        return cover((1 - self._from_centre(centre, height, width)) * np.minimum(_wide(height), _wide(width)))

    def cloud(self, centre: tuple[Floats, Floats], height: Floats | float, width: Floats | float) -> Floats:
        """Return blots that fade out like a bell, one at the centre."""
        return np.exp(-(self._from_centre(centre, height, width) ** 2))

    def arc(self, centre: tuple[Floats, Floats], radius: Floats, turn: Floats, thickness: float) -> Floats:
        """Return half circles of ``radius`` around (row, column), open towards the angle ``turn`` (radians)."""
        below, beside = self.rows - _wide(centre[0]), self.columns - _wide(centre[1])
        ring = cover(thickness - np.abs(np.hypot(below, beside) - _wide(radius)))
        return ring * cover(below * _wide(np.sin(turn)) + beside * _wide(np.cos(turn)))

    def _from_centre(self, centre: tuple[Floats, Floats], height: Floats | float, width: Floats | float) -> Floats:
        below = (self.rows - _wide(centre[0])) / _wide(height)
        beside = (self.columns - _wide(centre[1])) / _wide(width)
        return np.asarray(np.hypot(below, beside), dtype=np.float32)


def cover(inside: Floats) -> Floats:
    """Return how far a cell is covered by a shape whose edge is ``inside`` cells away, 0 … 1."""
    return np.asarray(np.clip(inside + np.float32(0.5), 0, 1))


def blend(maps: Floats, mask: Floats, light: Floats | float) -> Floats:
    """Return ``maps`` with ``light`` laid over it where ``mask`` is 1."""
    return np.asarray(maps + mask * (light - maps), dtype=np.float32)


def _wide(values: Floats | float) -> Floats:
    return np.asarray(values, dtype=np.float32).reshape(-1, 1, 1)


def draw_terminals(canvas: Canvas, terminals: Terminals) -> Floats:
    """Return (n, rows, columns) maps of the terminals under even light, without noise."""
    maps = blend(np.float32(OUTSIDE) + np.zeros((1, 1, 1), dtype=np.float32), _housing(canvas, terminals), PLASTIC)
    lines = [_pin_line(canvas, terminals, pin) for pin in range(N_PINS)]
    for pin, line in enumerate(lines):
        maps = blend(maps, cover(_wide(terminals.radius[:, pin] + 1.7) - line), CAVITY)
    for pin, line in enumerate(lines):
        maps = _draw_joint(maps, canvas, terminals, pin)
        light = _wide(PIN * terminals.light[:, pin])
        # A pin is round: its ridge shines, its flanks are darker.
        shade = light * (1.12 - 0.3 * np.minimum(line / _wide(terminals.radius[:, pin]), 1))
        maps = blend(maps, cover(_wide(terminals.radius[:, pin]) - line), shade)
    return maps


def _housing(canvas: Canvas, terminals: Terminals) -> Floats:
    upper, lower, left, right = HOUSING
    row, column = canvas.rows - _wide(terminals.row), canvas.columns - _wide(terminals.column)
    return cover(np.minimum(row - upper, lower - row)) * cover(np.minimum(column - left, right - column))


def _pin_line(canvas: Canvas, terminals: Terminals, pin: int) -> Floats:
    tip = (terminals.tip_row[:, pin] + terminals.row, terminals.tip_column[:, pin] + terminals.column)
    return canvas.from_line(tip, (BASE_ROW + terminals.row, terminals.base_column[:, pin] + terminals.column))


def _draw_joint(maps: Floats, canvas: Canvas, terminals: Terminals, pin: int) -> Floats:
    row, column = PAD_ROW + terminals.row, terminals.base_column[:, pin] + terminals.column
    height, width = terminals.pad_height[:, pin], terminals.pad_width[:, pin]
    maps = blend(maps, canvas.ellipse((row, column), height, width), PAD)
    glint = canvas.cloud((row - 0.3 * height, column - 0.3 * width), 0.35 * height, 0.35 * width)
    return maps + GLINT * glint
