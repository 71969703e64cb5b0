"""Canary queries: a few vectors stored with their answers, replayed whenever a generation is opened.

Hashes show that the files are the ones that were written; canaries show that this machine, with its libraries, makes of
them what the builder's machine made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.residuals.comparing import MEASURES
from miwake.indexer.storage.files import names_in_npz, read_npz, to_npz

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

_ALWAYS = ("labels", "anchor_distances", "match_distances")
_OPTIONAL = ("templates", "residuals")

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
    templates : (Q, V) float32, or None
        Beside the queries; None where the generation weighs none.
    residuals : (Q, 9) float32, or None
        Of the queries against their reference maps; None where the generation weighs none.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int32]
    anchor_distances: NDArray[np.float32]
    match_distances: NDArray[np.float32]
    templates: NDArray[np.float32] | None = None
    residuals: NDArray[np.float32] | None = None

    def to_npz(self) -> bytes:
        """Return the canaries as the bytes of an NPZ file."""
        arrays = {name: getattr(self, name) for name in self.__slots__}
        return to_npz(**{name: one for name, one in arrays.items() if one is not None})

    def replay(self, index: InspectionIndex) -> None:
        """Ask the index again.

        Raises
        ------
        ArtifactCorruptError
            If an answer differs by more than rounding.
        """
        answered = index.classify(self.vectors, templates=self.templates, n_neighbours=N_NEIGHBOURS)
        told = _told(answered)
        for name in told._fields:
            same = _is_same(getattr(self, name), getattr(told, name))
            if not same:
                message = (
                    f"{index.station}/{index.generation}: canary queries are answered differently from when it was "
                    f"built ({name}): this machine or its libraries compute something else"
                )
                raise ArtifactCorruptError(message)


def canary_rows(labels: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return which of N known rows canaries are taken from: some of every class, by their (N,) labels."""
    return _every_class_in_turn(labels, min(8 * N_CANARIES, len(labels)))


def make_canaries(
    index: InspectionIndex,
    vectors: NDArray[np.float32],
    labels: NDArray[np.int32],
    templates: NDArray[np.float32] | None = None,
) -> Canaries:
    """Return canaries of every class in turn from (N, V) known vectors with their (N,) labels.

    ``templates`` are those of ``canary_rows``, where the generation weighs them.
    """
    rows = canary_rows(labels)
    margins = index.classify(vectors[rows], templates=templates, n_neighbours=1).margins
    order = np.argsort(margins < CLEAR_MARGIN, kind="stable")[:N_CANARIES]
    chosen, own = vectors[rows[order]], None if templates is None else templates[order]
    told = _told(index.classify(chosen, templates=own, n_neighbours=N_NEIGHBOURS))
    return Canaries(chosen, told.labels, told.anchor_distances, told.match_distances, own, told.residuals)


def read_canaries(folder: Path) -> Canaries:
    """Read the canaries of a generation.

    Raises
    ------
    ArtifactCorruptError
        If the file holds something else.
    """
    path = folder / CANARIES_FILE
    there = [name for name in _OPTIONAL if name in names_in_npz(path)]
    names = ("vectors", *_ALWAYS, *there)
    return Canaries(**dict(zip(names, read_npz(path, names), strict=True)))


class _Told(NamedTuple):
    """What is answered to canaries, as ``Canaries`` holds it."""

    labels: NDArray[np.int32]
    anchor_distances: NDArray[np.float32]
    match_distances: NDArray[np.float32]
    residuals: NDArray[np.float32] | None


def _told(answered: VerdictBatch) -> _Told:
    found = answered.residuals
    residuals = None if found is None else np.column_stack([getattr(found, name) for name in MEASURES])
    return _Told(answered.labels, answered.anchor_distances, answered.neighbours.match_distances, residuals)


def _is_same(then: NDArray[Any] | None, now: NDArray[Any] | None) -> bool:
    if then is None or now is None:
        return then is None and now is None
    return then.shape == now.shape and np.allclose(then, now, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


def _every_class_in_turn(labels: NDArray[np.int32], n_rows: int) -> NDArray[np.intp]:
    by_label = np.argsort(labels, kind="stable")
    ordered = labels[by_label]
    turn = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return by_label[np.argsort(turn, kind="stable")[:n_rows]]
