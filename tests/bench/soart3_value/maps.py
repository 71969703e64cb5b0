"""What SOART3 reads off a map that lies on its reference: the gain in beta, the place of a defect in the residual."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from bench.soart3_value.rows import told
from miwake.indexer.records import is_pass
from miwake.training.ablation.paired import counts_of, difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bench.soart3_value.rows import Rows

    Maps = NDArray[np.float64]

GAINS = (0.7, 1.3)
NOISE = 0.02
"""Standard deviation of what the sensor adds, of the value range."""

DEFECT_CELLS = 5
"""Rows and columns of a planted defect."""

DEFECT_DEPTH = 0.25
"""By how much its cells differ, of the value range."""


def gain_table(runs: Sequence[Rows]) -> Table:
    """Return how far beta is from the gain of real pass maps, beside the ratio of the lengths and that of the means."""
    table = Table("reference", "beta", "ratio of lengths", "ratio of means", title="Median error of the gain (90 %)")
    for name, seen, references, gains in _scaled(runs[0]):
        beta = np.einsum("nv,nv->n", references, seen) / np.einsum("nv,nv->n", references, references)
        lengths = np.linalg.norm(seen, axis=1) / np.linalg.norm(references, axis=1)
        means = seen.mean(axis=1) / references.mean(axis=1)
        errors = (np.abs(one - gains) for one in (beta, lengths, means))
        table.add_row(name, *(f"{np.median(one):.4f} ({np.quantile(one, 0.9):.4f})" for one in errors))
    return table


def _scaled(rows: Rows) -> Iterator[tuple[str, Maps, Maps, Maps]]:
    """Yield held-out pass maps under drawn gains with noise, in ever worse company."""
    random = np.random.default_rng(0)
    shape = rows.held_out.records.heat_map_shape
    maps = _passes(rows)
    gains = random.uniform(*GAINS, len(maps))
    seen = gains[:, None] * maps + random.normal(0, NOISE, maps.shape)
    own = maps + random.normal(0, NOISE, maps.shape)
    yield "the map itself, noise of 2 % in both", seen, own, gains
    spoilt, _ = _planted(maps, shape, random)
    yield "… and a planted defect", gains[:, None] * spoilt + random.normal(0, NOISE, maps.shape), own, gains
    for cells in (1, 2):
        moved = np.roll(own.reshape(-1, *shape), cells, axis=2).reshape(maps.shape)
        yield f"… moved by {cells} cell{'s' if cells > 1 else ''}", seen, moved, gains
    mean = rows.fit.maps[is_pass(rows.fit.labels, rows.fit.records.pass_labels)].mean(axis=0, dtype=np.float64)
    yield "the mean of the passes", seen, np.tile(mean, (len(maps), 1)), gains


def residual_table(runs: Sequence[Rows]) -> Table:
    """Return how often the largest residual lies in a planted defect: of y - x, and of y - beta x."""
    table = Table("reference", "gain", "|y - x|", "|y - beta x|", "difference in points", title="Defect found")
    rows, random = runs[0], np.random.default_rng(0)
    shape = rows.held_out.records.heat_map_shape
    chosen = is_pass(rows.held_out.labels, rows.held_out.records.pass_labels)
    maps, parts = _passes(rows), np.unique(rows.held_out.parts[chosen], return_inverse=True)[1]
    spoilt, is_defect = _planted(maps, shape, random)
    mean = rows.fit.maps[is_pass(rows.fit.labels, rows.fit.records.pass_labels)].mean(axis=0, dtype=np.float64)
    for name, references in (("the map itself", maps), ("the mean of the passes", np.tile(mean, (len(maps), 1)))):
        for told_gain, gains in (("1", np.ones(len(maps))), ("0.7 … 1.3", random.uniform(*GAINS, len(maps)))):
            seen = gains[:, None] * spoilt + random.normal(0, NOISE, maps.shape)
            beta = np.einsum("nv,nv->n", references, seen) / np.einsum("nv,nv->n", references, references)
            hits = [
                is_defect[np.arange(len(maps)), np.abs(residuals).argmax(axis=1)]
                for residuals in (seen - references, seen - beta[:, None] * references)
            ]
            counts = [counts_of(one, np.zeros(len(maps), dtype=np.intp), parts, int(parts.max()) + 1) for one in hits]
            first, second = (one for one in counts if one is not None)
            shares = (f"{100 * one.mean():.1f} %" for one in hits)
            table.add_row(name, told_gain, *shares, told(difference([first], [second])))
    return table


def _passes(rows: Rows) -> Maps:
    chosen = is_pass(rows.held_out.labels, rows.held_out.records.pass_labels)
    return rows.held_out.maps[chosen].astype(np.float64)


def _planted(maps: Maps, shape: tuple[int, int], random: np.random.Generator) -> tuple[Maps, NDArray[np.bool_]]:
    """Return maps with a square each that is darker, or brighter where it was dark, and where it lies, both (N, V)."""
    spoilt = maps.reshape(-1, *shape).copy()
    is_defect = np.zeros(spoilt.shape, dtype=np.bool_)
    for number, (row, column) in enumerate(
        zip(*(random.integers(0, size - DEFECT_CELLS + 1, len(maps)) for size in shape), strict=True)
    ):
        is_defect[number, row : row + DEFECT_CELLS, column : column + DEFECT_CELLS] = True
    lighter = spoilt < 0.5
    spoilt += np.where(is_defect, np.where(lighter, DEFECT_DEPTH, -DEFECT_DEPTH), 0.0)
    return spoilt.reshape(maps.shape), is_defect.reshape(maps.shape)
