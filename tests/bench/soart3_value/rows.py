"""The rows that everything here is measured on: references, parts that fit a mix, and held-out parts that are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.embedder import Embedder
from miwake.indexer.search.rows import to_unit_scale
from miwake.indexer.sources.reader import read_records
from miwake.indexer.verdict.measuring import Sample
from miwake.indexer.verdict.votes import Classes
from miwake.training.ablation.paired import counts_of, difference
from miwake.training.division import divide
from miwake.training.evaluate import held_out_sides

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.training.ablation.paired import Counts, Interval


@dataclass(frozen=True, slots=True)
class Side:
    """Some records with their embeddings (N, D), their maps (N, V) on a scale of 0 … 1, and their parts' numbers."""

    records: Records
    embeddings: NDArray[np.float32]
    maps: NDArray[np.float32]
    parts: NDArray[np.intp]

    @property
    def labels(self) -> NDArray[np.int32]:
        """(N,) int32."""
        return self.records.labels


@dataclass(frozen=True, slots=True)
class Rows:
    """Fit rows, which are the references; calibration rows, which nothing but a mix is fitted on; held-out rows.

    ``folder`` is that of the embedder, ``value_range`` the scale of the raw vectors.
    """

    folder: Path
    value_range: tuple[float, float]
    fit: Side
    calibration: Side
    held_out: Side
    classes: Classes

    def sample(self) -> tuple[Sample, NDArray[np.intp], NDArray[np.intp]]:
        """Return all rows one after another, and which of them are for calibration and which are held out."""
        sides = (self.fit, self.calibration, self.held_out)
        sizes = np.cumsum([len(side.labels) for side in sides])
        sample = Sample(
            embeddings=np.concatenate([side.embeddings for side in sides]),
            vectors=np.concatenate([side.records.vectors for side in sides]),
            labels=np.concatenate([side.labels for side in sides]),
            value_range=self.value_range,
        )
        return sample, np.arange(sizes[0], sizes[1]), np.arange(sizes[1], sizes[2])

    def means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of some values (N, ·) of the references for each class, (C, ·)."""
        found = [values[self.fit.labels == label].mean(axis=0, dtype=np.float64) for label in self.classes.labels]
        return np.stack(found).astype(np.float32)


def read_rows(data: str, embedder_folder: Path) -> Rows:
    """Return the rows of DATA as its embedder was trained: nothing was fitted on calibration or held-out parts."""
    embedder = Embedder.open(embedder_folder)
    records = read_records(data)
    divided = divide(records)
    _, held_out = held_out_sides(records)
    known = np.isin(held_out.labels, divided.fit.labels)
    calibration = divided.calibration.take(np.isin(divided.calibration.labels, divided.fit.labels))
    return Rows(
        embedder_folder,
        embedder.card.value_range,
        _side(divided.fit, embedder),
        _side(calibration, embedder),
        _side(held_out.take(known), embedder),
        Classes.of(divided.fit.labels, records.pass_labels),
    )


def _side(records: Records, embedder: Embedder) -> Side:
    named = [part or f"\0{row}" for row, part in enumerate(records.parts)]
    parts = np.unique(np.array(named), return_inverse=True)[1]
    maps = to_unit_scale(records.vectors, embedder.card.value_range)
    return Side(records, embedder.embed(records.vectors), maps, parts)


def accuracy_difference(
    side: Side, first: Sequence[NDArray[np.int32]], second: Sequence[NDArray[np.int32]]
) -> Interval:
    """Return by how much more often the second labels are right, each the answers by one of several embedders.

    The interval is over parts, and over embedders where there are several.
    """
    return difference(*([right_counts(side, labels == side.labels) for labels in one] for one in (first, second)))


def right_counts(side: Side, right: NDArray[np.bool_]) -> Counts:
    """Return what the share of rows that are right is made of."""
    found = counts_of(right, np.zeros(len(right), dtype=np.intp), side.parts, int(side.parts.max()) + 1)
    if found is None:
        message = "no held-out rows"
        raise ValueError(message)
    return found


def told(found: Interval) -> str:
    """Return a difference in points with its interval, a star where that excludes 0."""
    star = " *" if found.excludes_zero else ""
    return f"{100 * found.value:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]{star}"
