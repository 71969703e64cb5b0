"""A built-in *synthetic* data set of connector-terminal-like heat maps, so that everything runs with no data at hand.

Its figures say nothing about a real line; they show that the parts work together. The labels are those of the
original data set of connector terminals; what they look like is made up (``defects``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.records import DEFAULT_HEAT_MAP_SHAPE, Records
from miwake.indexer.synthetic.defects import N_DICE, PASS, REJECTS, UNKNOWN_KINDS, Kind
from miwake.indexer.synthetic.drawing import (
    Canvas,
    as_placed,
    draw_terminals,
    moved_by_cells,
    of_other_designs,
    sound_terminals,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.synthetic.drawing import Floats

DEFAULT_PARTS = 1_250
"""With four pictures a part about 4,000 training and 1,000 test rows."""

LEAST_PARTS = 60
"""Fewer cannot show every kind in training and in test beside some good parts."""

PICTURES = (3, 5)
"""Least and most pictures of a part, each under another exposure."""

N_LOTS = 6
TEST_SHARE = 0.2
VALUE_RANGE = (0.0, 255.0)


def generate(
    *,
    n_parts: int = DEFAULT_PARTS,
    seed: int = 0,
    heat_map_shape: tuple[int, int] = DEFAULT_HEAT_MAP_SHAPE,
    with_templates: bool = False,
) -> Records:
    """Return synthetic records, the same ones for the same arguments.

    19 labels, of which 0 is *pass* and has about 40 % of the parts, the rarest about 1 %; several pictures a part with
    position, exposure, focus and noise of their own; ``splits`` names every row, a fifth of the parts is for testing.
    Two further labels, 98 and 99, are *unknown kinds*: they are in the test split only.

    Parameters
    ----------
    n_parts : int
        At least 60.
    seed : int
        Not negative.
    heat_map_shape : (rows, columns)
        The same scenes are drawn finer or coarser.
    with_templates : bool
        Every part is of a design of its own, and brings what it is to look like as its template: in its place, under
        even light, without noise. Its pictures are displaced by up to two whole cells.

    Returns
    -------
    Records
        Whole numbers on the scale 0 … 255.

    Raises
    ------
    DataError
        If there are too few parts, or the seed is negative.
    """
    if n_parts < LEAST_PARTS or seed < 0:
        message = f"synthetic: {n_parts} parts, seed {seed}; expected at least {LEAST_PARTS} parts and a seed from 0"
        raise DataError(message)
    kinds = (PASS, *REJECTS, *UNKNOWN_KINDS)
    counts = _parts_of_kinds(n_parts)
    canvas = Canvas(heat_map_shape)
    drawn = [
        _draw_kind(kind, count, canvas, seed, with_templates=with_templates)
        for kind, count in zip(kinds, counts, strict=True)
    ]
    firsts = np.cumsum([0, *counts])
    part = np.concatenate([first + one.part for first, one in zip(firsts[:-1], drawn, strict=True)])
    maps = np.concatenate([one.maps.reshape(len(one.maps), -1) for one in drawn])
    golden = [one.templates.reshape(len(one.maps), -1) for one in drawn if one.templates is not None]
    templates = np.concatenate(golden) if golden else None
    return _assemble(maps, templates, part, np.repeat(np.arange(len(kinds)), counts), seed, heat_map_shape)


def _parts_of_kinds(n_parts: int) -> list[int]:
    """Return how many parts of each kind there are: at least two of a reject, so that both splits have one."""
    rejects = [max(2, round(kind.share * n_parts)) for kind in REJECTS]
    unknown = [max(1, round(kind.share * n_parts)) for kind in UNKNOWN_KINDS]
    return [n_parts - sum(rejects) - sum(unknown), *rejects, *unknown]


class Drawn(NamedTuple):
    """The part of each of n pictures, counted from 0, and the pictures and templates as (n, rows, columns) maps."""

    part: NDArray[np.intp]
    maps: Floats
    templates: Floats | None


def _draw_kind(kind: Kind, n_parts: int, canvas: Canvas, seed: int, *, with_templates: bool) -> Drawn:
    rng = np.random.default_rng((seed, kind.label))
    n_pictures = rng.integers(*PICTURES, n_parts, endpoint=True)
    part = np.repeat(np.arange(n_parts), n_pictures)
    dice = rng.random((n_parts, N_DICE), dtype=np.float32)[part]
    terminals, templates = sound_terminals(part, rng), None
    if with_templates:
        terminals = of_other_designs(terminals, part, np.random.default_rng((seed, kind.label, 1)))
        terminals = moved_by_cells(terminals, canvas)
        templates = np.clip(np.rint(draw_terminals(canvas, as_placed(terminals))), *VALUE_RANGE)
    if kind.bend is not None:
        terminals = kind.bend(terminals, dice)
    maps = draw_terminals(canvas, terminals)
    if kind.paint is not None:
        maps = kind.paint(maps, canvas, terminals, dice)
    maps = _add_harmless_specks(maps, canvas, part, rng)
    return Drawn(part, _photograph(maps, canvas, rng), templates)


def _add_harmless_specks(maps: Floats, canvas: Canvas, part: NDArray[np.intp], rng: np.random.Generator) -> Floats:
    """Return the maps with a faint speck on one part in three: no reject is called for that."""
    n_parts = int(part[-1]) + 1
    row, column = (rng.uniform(5, limit, n_parts).astype(np.float32)[part] for limit in (30, 34))
    depth = np.where(rng.random(n_parts) < 1 / 3, rng.uniform(0.05, 0.22, n_parts), 0).astype(np.float32)[part]
    return maps * (1 - depth[:, None, None] * canvas.ellipse((row, column), 0.9, 0.9))


def _photograph(maps: Floats, canvas: Canvas, rng: np.random.Generator) -> Floats:
    """Return what the camera makes of it: exposure, uneven light, focus, noise, whole numbers in 0 … 255."""

    def each(least: float, most: float) -> Floats:
        return rng.uniform(least, most, (len(maps), 1, 1)).astype(np.float32)

    maps = _blur(maps, each(0, 0.6))
    slope = each(-0.12, 0.12) * (canvas.rows / 36 - 0.5) + each(-0.12, 0.12) * (canvas.columns / 39 - 0.5)
    maps = np.asarray(maps * each(0.75, 1.25) * (1 + slope) + each(-8, 8), dtype=np.float32)
    noise = each(4, 9) * rng.standard_normal(maps.shape, dtype=np.float32)
    return np.clip(np.rint(maps + noise), *VALUE_RANGE).astype(np.float32)


def _blur(maps: Floats, share: Floats) -> Floats:
    """Return the maps mixed with their mean over a cell and its four neighbours."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return np.asarray(maps + share * ((around + maps) / 5 - maps), dtype=np.float32)


def _assemble(
    vectors: Floats,
    templates: Floats | None,
    part: NDArray[np.intp],
    kind_of_part: NDArray[np.intp],
    seed: int,
    shape: tuple[int, int],
) -> Records:
    """Return the records with the parts in random order, their pictures together."""
    kinds = (PASS, *REJECTS, *UNKNOWN_KINDS)
    rng = np.random.default_rng(seed)
    place = rng.permutation(len(kind_of_part))
    order = np.argsort(place[part], kind="stable")
    places = place[part[order]]
    kind_of_row = kind_of_part[part[order]]
    lots = rng.integers(1, N_LOTS, len(kind_of_part), endpoint=True)
    is_test = _test_parts(kind_of_part, rng)
    return Records(
        vectors=np.ascontiguousarray(vectors[order]),
        labels=np.array([kind.label for kind in kinds], dtype=np.int32)[kind_of_row],
        failure_modes=tuple(kinds[kind].failure_mode for kind in kind_of_row),
        ids=tuple(f"synthetic-{seed}:{row}" for row in range(len(order))),
        parts=tuple(f"synthetic-{seed}-part-{place:05d}" for place in places),
        groups=tuple(f"synthetic-{seed}-lot-{lot}" for lot in lots[part[order]]),
        splits=tuple("test" if test else "train" for test in is_test[part[order]]),
        times=("",) * len(order),
        source=f"synthetic connector terminals (seed {seed}, {len(kind_of_part):,} parts)",
        heat_map_shape=shape,
        pass_labels=(PASS.label,),
        value_range=VALUE_RANGE,
        templates=None if templates is None else np.ascontiguousarray(templates[order], dtype=np.float32),
    )


def _test_parts(kind_of_part: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.bool_]:
    is_test = np.zeros(len(kind_of_part), dtype=np.bool_)
    n_known = 1 + len(REJECTS)
    for kind in range(n_known):
        members = rng.permutation(np.flatnonzero(kind_of_part == kind))
        is_test[members[: max(1, round(TEST_SHARE * len(members)))]] = True
    is_test[kind_of_part >= n_known] = True
    return is_test
