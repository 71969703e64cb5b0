"""Which mirrorings and quarter turns leave a part what it is: measured on the calibration parts, never assumed.

A bare circuit board looks like one in a mirror, and when it is turned; a connector that lies the other way round is
a reject. A network that has never seen a mirrored map is asked about mirrored calibration rows. A mirroring is allowed
for augmentation only if they are no farther from what is known than the rows themselves, and no class is recognised
worse. Quarter turns and mirrorings at the diagonals are measured alike, and allowed together with all mirrorings or not
at all: what lies any way round does so in all eight, and few parts show little about each.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import torch

from miwake.training.retrieval import novelty, vote_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from miwake.indexer.records import Records

FARTHER_AT_MOST = 0.6
"""Share of mirrored rows that may lie farther from the references than unmirrored, beyond chance: 0.5 / sqrt(parts).
It was 0.51 to 0.64 where mirroring is harmless (boards, tiles), 0.72 to 1.0 where it is not (clothes, terminals)."""

ALL_LOSE_AT_MOST = 0.05
"""Share of all rows that may be missed only because they are mirrored, beyond chance: 0.5 / sqrt(parts)."""

LOSS_AT_MOST = 0.1
"""Share of a class that may be missed only because it is mirrored, beyond chance: 1 / sqrt(parts)."""


NEARLY_SQUARE = 1.25
"""Ratio of the sides of a map up to which quarter turns are thought of: beyond it too much of a map would be lost."""


class Mirror(StrEnum):
    """A mirroring of a heat map, or a quarter turn; it keeps the shape."""

    LEFT_RIGHT = "left-right"
    UP_DOWN = "up-down"
    HALF_TURN = "half-turn"
    DIAGONAL = "diagonal"
    ANTIDIAGONAL = "antidiagonal"
    QUARTER_LEFT = "quarter-left"
    QUARTER_RIGHT = "quarter-right"


AXES = {
    Mirror.LEFT_RIGHT: (2,), Mirror.UP_DOWN: (1,), Mirror.HALF_TURN: (1, 2),
    Mirror.DIAGONAL: (), Mirror.ANTIDIAGONAL: (1, 2), Mirror.QUARTER_LEFT: (1,), Mirror.QUARTER_RIGHT: (2,),
}  # fmt: skip
"""The axes of (B, rows, columns) that each one reverses, those of ``AT_THE_DIAGONAL`` after they were exchanged."""

AT_THE_DIAGONAL = frozenset({Mirror.DIAGONAL, Mirror.ANTIDIAGONAL, Mirror.QUARTER_LEFT, Mirror.QUARTER_RIGHT})

ALLOWED_MIRRORS: dict[str, tuple[Mirror, ...]] = {
    "off": (),
    "left-right": (Mirror.LEFT_RIGHT,),
    "up-down": (Mirror.UP_DOWN,),
    "all": tuple(one for one in Mirror if one not in AT_THE_DIAGONAL),
    "turns": tuple(Mirror),
}
"""What the setting ``mirrors`` allows from the start; ``measured`` allows nothing before it was measured."""


def turned(vectors: torch.Tensor, heat_map_shape: tuple[int, int], mirror: Mirror) -> torch.Tensor:
    """Return vectors (B, V) mirrored, (B, V)."""
    maps = vectors.view(-1, *heat_map_shape)
    if mirror in AT_THE_DIAGONAL:
        maps = _transposed(maps)
    return maps.flip(AXES[mirror]).flatten(1)


def _transposed(maps: torch.Tensor) -> torch.Tensor:
    """Return maps (B, rows, columns) with rows for columns, about their middle.

    Where the map is not square, what would stand out of it is cut off, and what is missing repeats the border.
    """
    rows, columns = maps.shape[1:]
    overhang = (rows - columns) // 2
    row_of_column = (torch.arange(columns) + overhang).clamp(0, rows - 1)
    column_of_row = (torch.arange(rows) - overhang).clamp(0, columns - 1)
    return maps[:, row_of_column[None, :], column_of_row[:, None]]


def _conceivable(heat_map_shape: tuple[int, int]) -> tuple[Mirror, ...]:
    """Return what a map of that shape can be turned by at all."""
    if max(heat_map_shape) <= NEARLY_SQUARE * min(heat_map_shape):
        return tuple(Mirror)
    return ALLOWED_MIRRORS["all"]


def harmless_mirrors(
    embed: Callable[[NDArray[np.float32]], NDArray[np.float32]], queries: Records, references: Records
) -> tuple[Mirror, ...]:
    """Return the turnings that change nothing for ``queries``, answered by ``references`` of other parts.

    Parameters
    ----------
    embed : callable
        From raw vectors (N, V) to embeddings (N, D), by a network that has seen no mirrored map.
    """
    if len(queries) == 0:
        return ()
    known = embed(references.vectors)
    parts = np.array([part or row for part, row in zip(queries.parts, queries.ids, strict=True)])

    def ask(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        embeddings = embed(vectors)
        return vote_labels(embeddings, known, references.labels)[0], novelty(embeddings, known)

    found, distances = ask(queries.vectors)
    allowed = []
    for mirror in _conceivable(queries.heat_map_shape):
        vectors = turned(torch.from_numpy(queries.vectors), queries.heat_map_shape, mirror).numpy()
        found_mirrored, distances_mirrored = ask(vectors)
        share_farther = float(np.mean(distances_mirrored > distances))
        if share_farther > FARTHER_AT_MOST + 0.5 / np.sqrt(len(np.unique(parts))):
            continue
        if _all_lose(queries.labels, found, found_mirrored, parts):
            continue
        if _some_class_loses(queries.labels, found, found_mirrored, parts):
            continue
        if not _two_classes_swap(queries.labels, found, found_mirrored):
            allowed.append(mirror)
    return tuple(one for one in allowed if one not in AT_THE_DIAGONAL or len(allowed) == len(Mirror))


def _all_lose(
    labels: NDArray[np.int32], found: NDArray[np.int32], found_mirrored: NDArray[np.int32], parts: NDArray[np.str_]
) -> bool:
    """Return whether the rows together are recognised worse when mirrored: what few parts of a class cannot show."""
    loss = float(np.mean(found == labels) - np.mean(found_mirrored == labels))
    return bool(loss > ALL_LOSE_AT_MOST + 0.5 / np.sqrt(len(np.unique(parts))))


def _some_class_loses(
    labels: NDArray[np.int32], found: NDArray[np.int32], found_mirrored: NDArray[np.int32], parts: NDArray[np.str_]
) -> bool:
    """Return whether any class is recognised worse when mirrored, by more than chance explains.

    Rows of one part succeed and fail together, so chance goes by the number of parts.
    """
    for label in np.unique(labels):
        rows = labels == label
        loss = float(np.mean(found[rows] == label) - np.mean(found_mirrored[rows] == label))
        if loss > LOSS_AT_MOST + 1 / np.sqrt(len(np.unique(parts[rows]))):
            return True
    return False


def _two_classes_swap(labels: NDArray[np.int32], found: NDArray[np.int32], found_mirrored: NDArray[np.int32]) -> bool:
    """Return whether two classes are each other's mirror image, which one part of either is enough to see."""
    mirror_image = {}
    for label in np.unique(labels).tolist():
        rows = labels == label
        answers, counts = np.unique(found_mirrored[rows], return_counts=True)
        if np.mean(found[rows] == label) > 0.5 and counts.max() > 0.5 * rows.sum():
            mirror_image[label] = int(answers[counts.argmax()])
    return any(image != label and mirror_image.get(image) == label for label, image in mirror_image.items())
