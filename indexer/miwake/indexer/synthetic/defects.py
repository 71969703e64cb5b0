"""The synthetic kinds of reject: what each one is called, how common it is, and what it does to a heat map.

A kind bends the terminals before they are drawn, or paints on the maps afterwards. It is given ``dice``, (n, 8)
numbers in 0 … 1 that are the same in every picture of a part: which pin, how strong, where.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.synthetic.drawing import (
    BASE_ROW,
    GLINT,
    HOUSING,
    MISSING_LIGHT,
    N_PINS,
    OUTSIDE,
    PAD,
    PAD_ROW,
    PIN,
    PLASTIC,
    TIP_ROW,
    Canvas,
    Terminals,
    blend,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.synthetic.drawing import Floats

N_DICE = 8

Bend = Callable[[Terminals, "Floats"], Terminals]
Paint = Callable[["Floats", Canvas, Terminals, "Floats"], "Floats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A class of synthetic parts; ``share`` is that of the parts."""

    label: int
    failure_mode: str
    share: float
    bend: Bend | None = None
    paint: Paint | None = None


def _pin(dice: Floats) -> NDArray[np.intp]:
    return np.minimum((dice[:, 0] * N_PINS).astype(np.intp), N_PINS - 1)


def _strength(dice: Floats, least: float, most: float) -> Floats:
    return least + (most - least) * dice[:, 1]


def _sign(dice: Floats) -> Floats:
    return np.where(dice[:, 2] < 0.5, np.float32(-1), np.float32(1))


def _at(values: Floats, pin: NDArray[np.intp]) -> Floats:
    return np.asarray(values[np.arange(len(pin)), pin], dtype=np.float32)


def _change(values: Floats, pin: NDArray[np.intp], changed: Floats) -> Floats:
    after = values.copy()
    after[np.arange(len(pin)), pin] = changed
    return after


def _on_pin(terminals: Terminals, dice: Floats, highest: float, lowest: float) -> tuple[Floats, Floats]:
    """Return a place on the drawn pin as (row, column), ``dice[:, 3]`` of the way from ``highest`` to ``lowest``."""
    row = highest + (lowest - highest) * dice[:, 3]
    pin = _pin(dice)
    along = (row - TIP_ROW) / (BASE_ROW - TIP_ROW)
    column = (1 - along) * _at(terminals.tip_column, pin) + along * _at(terminals.base_column, pin)
    return row + terminals.row, column + terminals.column


def _bend_sideways(terminals: Terminals, dice: Floats) -> Terminals:
    pin = _pin(dice)
    moved = _at(terminals.tip_column, pin) + _sign(dice) * _strength(dice, 2.2, 5.5)
    return replace(terminals, tip_column=_change(terminals.tip_column, pin, moved))


def _curl_tip(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row, column = _on_pin(terminals, dice, TIP_ROW, TIP_ROW)
    end = (row + 2.5 * dice[:, 4], column + _sign(dice) * _strength(dice, 3.2, 5.5))
    return blend(maps, canvas.stroke((row, column), end, 1.3), PIN)


def _remove_pin(terminals: Terminals, dice: Floats) -> Terminals:
    pin = _pin(dice)
    nothing = np.full(len(pin), BASE_ROW, dtype=np.float32)
    dark = replace(terminals, light=_change(terminals.light, pin, np.full(len(pin), MISSING_LIGHT, dtype=np.float32)))
    return replace(dark, tip_row=_change(terminals.tip_row, pin, nothing))


def _shorten_pin(terminals: Terminals, dice: Floats) -> Terminals:
    pin = _pin(dice)
    shorter = _at(terminals.tip_row, pin) + _strength(dice, 2.2, 7)
    return replace(terminals, tip_row=_change(terminals.tip_row, pin, shorter))


def _bridge(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    left = np.minimum((dice[:, 0] * (N_PINS - 1)).astype(np.intp), N_PINS - 2)
    row = PAD_ROW + terminals.row + 2 * (dice[:, 3] - 0.5)
    start = (row, _at(terminals.base_column, left) + terminals.column)
    end = (row + dice[:, 4] - 0.5, _at(terminals.base_column, left + 1) + terminals.column)
    return blend(maps, canvas.stroke(start, end, _strength(dice, 0.5, 1.6)), PAD)


def _scale_joint(terminals: Terminals, dice: Floats, factor: Floats) -> Terminals:
    pin = _pin(dice)
    height, width = _at(terminals.pad_height, pin) * factor, _at(terminals.pad_width, pin) * factor
    return replace(
        terminals,
        pad_height=_change(terminals.pad_height, pin, height),
        pad_width=_change(terminals.pad_width, pin, width),
    )


def _starve_joint(terminals: Terminals, dice: Floats) -> Terminals:
    return _scale_joint(terminals, dice, _strength(dice, 0.78, 0.45))


def _swell_joint(terminals: Terminals, dice: Floats) -> Terminals:
    return _scale_joint(terminals, dice, _strength(dice, 1.28, 1.6))


def _burr(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row, column = _on_pin(terminals, dice, 10, 22)
    root = column + _sign(dice) * 1.8
    end = (row - 2 * dice[:, 4], root + _sign(dice) * _strength(dice, 1.4, 3.2))
    return blend(maps, canvas.stroke((row, root), end, 0.7), PIN)


def _scratch(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    angle = np.pi * (0.12 + 0.3 * dice[:, 4]) * _sign(dice)
    length = _strength(dice, 6, 13)
    row, column = 9 + 14 * dice[:, 3] + terminals.row, 10 + 19 * dice[:, 5] + terminals.column
    reach = (length * np.sin(angle), length * np.cos(angle))
    line = canvas.stroke((row - reach[0], column - reach[1]), (row + reach[0], column + reach[1]), 0.4)
    return maps + line * _fade(dice, 55, 100)


def _fade(dice: Floats, least: float, most: float) -> Floats:
    return np.asarray(_strength(dice, least, most), dtype=np.float32)[:, None, None]


def _dent(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row, column = _on_pin(terminals, dice, 10, 21)
    deep = _fade(dice, 45, 90)
    shadow = canvas.cloud((row - 1.1, column - 0.6), 1.3, 1.4)
    return np.asarray(maps - deep * shadow + 0.8 * deep * canvas.cloud((row + 1.1, column + 0.6), 1.2, 1.4))


def _discolour(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row, column = _on_pin(terminals, dice, 11, 20)
    return np.asarray(maps * (1 - _fade(dice, 0.22, 0.45) * canvas.cloud((row, column), 5.5, 2.8)))


def _fibre(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    radius = _strength(dice, 3.5, 6.5)
    centre = (9 + 17 * dice[:, 3] + terminals.row, 8 + 23 * dice[:, 4] + terminals.column)
    return maps + canvas.arc(centre, radius, 2 * np.pi * dice[:, 5], 0.55) * _fade(dice, 75, 110)


def _dust(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    size = _strength(dice, 0.9, 1.4)
    for speck in range(3):
        row = 6 + 24 * dice[:, 2 + 2 * speck] + terminals.row
        column = 5 + 29 * dice[:, 3 + 2 * speck] + terminals.column
        maps = maps + _fade(dice, 70, 115) * canvas.ellipse((row, column), size, size)
    return maps


def _flux(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row = PAD_ROW + 1.5 * (dice[:, 3] - 0.5) + terminals.row
    column = 11 + 17 * dice[:, 4] + terminals.column
    stain = canvas.cloud((row, column), 2.6, 4.5) + canvas.cloud((row - 3 * dice[:, 5], column + 4 * _sign(dice)), 2, 3)
    return np.asarray(maps + _fade(dice, 22, 45) * np.minimum(stain, 1))


def _crack(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row, column = np.full_like(dice[:, 0], HOUSING[0]), 12 + 15 * dice[:, 3]
    for step in range(3):
        side = np.float32(1 if step % 2 else -1) * _sign(dice)
        end = (row + _strength(dice, 2.8, 4.5), column + side * (0.8 + 2.2 * dice[:, 4 + step]))
        line = canvas.stroke(
            (row + terminals.row, column + terminals.column), (end[0] + terminals.row, end[1] + terminals.column), 0.55
        )
        maps = maps * (1 - 0.8 * line)
        row, column = end
    return maps


def _chip(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row = np.where(dice[:, 3] < 0.5, HOUSING[0], HOUSING[1]) + terminals.row
    column = np.where(dice[:, 4] < 0.5, HOUSING[2], HOUSING[3]) + 4 * (dice[:, 5] - 0.5) + terminals.column
    size = _strength(dice, 4, 6.5)
    return blend(maps, canvas.ellipse((row, column), size, size * (0.8 + 0.6 * dice[:, 6])), OUTSIDE)


def _pit(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row, column = _on_pin(terminals, dice, 9, 22)
    column = column + 1.6 * (dice[:, 4] - 0.5)
    rim = canvas.ellipse((row, column), 2, 2) - canvas.ellipse((row, column), 1.2, 1.2)
    return np.asarray(maps * (1 - _fade(dice, 0.6, 0.9) * canvas.ellipse((row, column), 1.1, 1.1)) + 0.6 * GLINT * rim)


def _peel(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    row, column = _on_pin(terminals, dice, 11, 20)
    reach = _strength(dice, 1.6, 3.6)
    bare = canvas.stroke((row - reach, column - 0.8), (row + reach, column + 0.8), 1.1)
    flap = canvas.stroke((row - reach, column + 1.2), (row + 0.3 * reach, column + 2.6), 0.4)
    return blend(maps, 0.75 * bare, 105.0) + 70 * flap


def _crush(terminals: Terminals, dice: Floats) -> Terminals:
    wider = terminals.radius * _strength(dice, 1.5, 1.9)[:, None]
    return replace(terminals, radius=wider, tip_row=terminals.tip_row + 4, light=0.8 * terminals.light)


def _melt(maps: Floats, canvas: Canvas, terminals: Terminals, dice: Floats) -> Floats:
    centre = (10 + 12 * dice[:, 3] + terminals.row, 8 + 23 * dice[:, 4] + terminals.column)
    size = _strength(dice, 7, 10)
    sunk = blend(maps, 0.85 * canvas.ellipse(centre, 0.8 * size, size), PLASTIC * 0.6)
    return sunk + 40 * canvas.arc(centre, 0.8 * size, 2 * np.pi * dice[:, 5], 0.8)


PASS = Kind(label=0, failure_mode="pass", share=0.4)

REJECTS = (
    Kind(label=11, failure_mode="pin bent sideways", share=0.07, bend=_bend_sideways),
    Kind(label=13, failure_mode="pin tip curled", share=0.025, paint=_curl_tip),
    Kind(label=21, failure_mode="missing pin", share=0.05, bend=_remove_pin),
    Kind(label=23, failure_mode="short pin", share=0.04, bend=_shorten_pin),
    Kind(label=31, failure_mode="solder bridge", share=0.06, paint=_bridge),
    Kind(label=32, failure_mode="insufficient solder", share=0.05, bend=_starve_joint),
    Kind(label=33, failure_mode="excess solder", share=0.04, bend=_swell_joint),
    Kind(label=42, failure_mode="burr", share=0.04, paint=_burr),
    Kind(label=61, failure_mode="scratch", share=0.05, paint=_scratch),
    Kind(label=62, failure_mode="dent", share=0.03, paint=_dent),
    Kind(label=63, failure_mode="discoloured pin", share=0.02, paint=_discolour),
    Kind(label=71, failure_mode="fibre", share=0.03, paint=_fibre),
    Kind(label=72, failure_mode="dust", share=0.025, paint=_dust),
    Kind(label=73, failure_mode="flux residue", share=0.02, paint=_flux),
    Kind(label=81, failure_mode="cracked housing", share=0.02, paint=_crack),
    Kind(label=82, failure_mode="chipped housing", share=0.012, paint=_chip),
    Kind(label=91, failure_mode="pit in the plating", share=0.012, paint=_pit),
    Kind(label=92, failure_mode="peeled plating", share=0.012, paint=_peel),
)
"""The 18 reject labels of the source data."""

UNKNOWN_KINDS = (
    Kind(label=98, failure_mode="unknown kind: crushed pins", share=0.0025, bend=_crush),
    Kind(label=99, failure_mode="unknown kind: melted housing", share=0.0025, paint=_melt),
)
"""Kinds that no training row shows: an answer should say that it does not know them."""
