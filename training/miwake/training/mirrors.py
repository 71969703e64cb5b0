"""Which mirrorings leave a part what it is: measured on the calibration parts, never assumed.

A bare circuit board looks like one in a mirror; a connector that lies the other way round is a reject. A network that
has never seen a mirrored map is asked about mirrored calibration rows. A mirroring is allowed for augmentation only if
they are no farther from what is known than the rows themselves, and no class is recognised worse.
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
"""Share of mirrored rows that may lie farther from the references than unmirrored; it was 0.52 to 0.55 where a
mirroring is harmless (boards, tiles) and 0.72 to 0.96 where it is not (clothes)."""

LOSS_AT_MOST = 0.1
"""Share of a class that may be missed only because it is mirrored, beyond chance: 1 / sqrt(rows)."""


class Mirror(StrEnum):
    """A mirroring of a heat map; it keeps the shape."""

    LEFT_RIGHT = "left-right"
    UP_DOWN = "up-down"
    HALF_TURN = "half-turn"


AXES = {Mirror.LEFT_RIGHT: (2,), Mirror.UP_DOWN: (1,), Mirror.HALF_TURN: (1, 2)}
"""The axes of (B, rows, columns) that each one reverses."""


ALLOWED_MIRRORS: dict[str, tuple[Mirror, ...]] = {
    "off": (),
    "left-right": (Mirror.LEFT_RIGHT,),
    "up-down": (Mirror.UP_DOWN,),
    "all": tuple(Mirror),
}
"""What the setting ``mirrors`` allows from the start; ``measured`` allows nothing before it was measured."""


def turned(vectors: torch.Tensor, heat_map_shape: tuple[int, int], mirror: Mirror) -> torch.Tensor:
    """Return vectors (B, V) mirrored, (B, V)."""
    maps = vectors.view(-1, *heat_map_shape)
    return maps.flip(AXES[mirror]).flatten(1)


def harmless_mirrors(
    embed: Callable[[NDArray[np.float32]], NDArray[np.float32]], queries: Records, references: Records
) -> tuple[Mirror, ...]:
    """Return the mirrorings that change nothing for ``queries``, answered by ``references`` of other parts.

    Parameters
    ----------
    embed : callable
        From raw vectors (N, V) to embeddings (N, D), by a network that has seen no mirrored map.
    """
    if len(queries) == 0:
        return ()
    known = embed(references.vectors)

    def ask(vectors: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        embeddings = embed(vectors)
        found, _ = vote_labels(embeddings, known, references.labels)
        return found == queries.labels, novelty(embeddings, known)

    right, distances = ask(queries.vectors)
    allowed = []
    for mirror in Mirror:
        vectors = turned(torch.from_numpy(queries.vectors), queries.heat_map_shape, mirror).numpy()
        right_mirrored, distances_mirrored = ask(vectors)
        is_farther = float(np.mean(distances_mirrored > distances)) > FARTHER_AT_MOST
        if not is_farther and not _some_class_loses(queries.labels, right, right_mirrored):
            allowed.append(mirror)
    return tuple(allowed)


def _some_class_loses(labels: NDArray[np.int32], right: NDArray[np.bool_], right_mirrored: NDArray[np.bool_]) -> bool:
    """Return whether any class is recognised worse when mirrored, by more than chance explains."""
    for label in np.unique(labels):
        of_class = labels == label
        loss = float(right[of_class].mean() - right_mirrored[of_class].mean())
        if loss > LOSS_AT_MOST + 1 / np.sqrt(of_class.sum()):
            return True
    return False
