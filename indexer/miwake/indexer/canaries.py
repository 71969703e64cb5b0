"""Canary queries: a few vectors stored with their answers, replayed whenever a generation is opened.

Hashes show that the files are the ones that were written; canaries show that this machine, with its libraries, makes of
them what the builder's machine made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.storage.files import read_npz, to_npz

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch
    from miwake.indexer.index import InspectionIndex

CANARIES_FILE = "canaries.npz"
N_CANARIES = 16
N_NEIGHBOURS = 5
TOLERANCE = 1e-3
"""Relative, or absolute below 1: another processor rounds differently, by about 1e-6; another model by far more."""

CLEAR_MARGIN = 0.2
"""Canaries are taken among the rows with at least this margin where there are some: rounding cannot flip them."""


@dataclass(frozen=True, slots=True)
class Canaries:
    """Queries and what was answered when the generation was built.

    Attributes
    ----------
    vectors : (Q, V) float32
    labels : (Q,) int32
    anchor_distances : (Q, C) float32
        Ascending.
    match_distances : (Q, K) float32
        Of the nearest references, ascending.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int32]
    anchor_distances: NDArray[np.float32]
    match_distances: NDArray[np.float32]

    def to_npz(self) -> bytes:
        """Return the canaries as the bytes of an NPZ file."""
        return to_npz(**{name: getattr(self, name) for name in self.__slots__})

    def replay(self, index: InspectionIndex) -> None:
        """Ask the index again.

        Raises
        ------
        ArtifactCorruptError
            If an answer differs by more than rounding.
        """
        answered = index.classify(self.vectors, n_neighbours=N_NEIGHBOURS)
        expected = [self.labels, self.anchor_distances, self.match_distances]
        for name, then, now in zip(("label", "anchor", "match"), expected, _told(answered), strict=True):
            same = then.shape == now.shape and np.allclose(then, now, rtol=TOLERANCE, atol=TOLERANCE)
            if not same:
                message = (
                    f"{index.station}/{index.generation}: canary queries are answered differently from when it was "
                    f"built ({name}): this machine or its libraries compute something else"
                )
                raise ArtifactCorruptError(message)


def make_canaries(index: InspectionIndex, vectors: NDArray[np.float32], labels: NDArray[np.int32]) -> Canaries:
    """Return canaries of every class in turn from (N, V) known vectors with their (N,) labels."""
    rows = _every_class_in_turn(labels, min(8 * N_CANARIES, len(labels)))
    margins = index.classify(vectors[rows], n_neighbours=1).margins
    order = np.argsort(margins < CLEAR_MARGIN, kind="stable")[:N_CANARIES]
    chosen = vectors[rows[order]]
    answered = index.classify(chosen, n_neighbours=N_NEIGHBOURS)
    return Canaries(chosen, *_told(answered))


def read_canaries(folder: Path) -> Canaries:
    """Read the canaries of a generation.

    Raises
    ------
    ArtifactCorruptError
        If the file holds something else.
    """
    return Canaries(*read_npz(folder / CANARIES_FILE, Canaries.__slots__))


def _told(
    answered: VerdictBatch,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    return answered.labels, answered.anchor_distances, answered.neighbours.match_distances


def _every_class_in_turn(labels: NDArray[np.int32], n_rows: int) -> NDArray[np.intp]:
    by_label = np.argsort(labels, kind="stable")
    ordered = labels[by_label]
    turn = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return by_label[np.argsort(turn, kind="stable")[:n_rows]]
