"""Answers in arrays over a whole message: columns of computed batches as bytes, row after row."""

from __future__ import annotations

from dataclasses import fields
from itertools import chain
from typing import TYPE_CHECKING, cast

import numpy as np

from miwake.indexer.answers import ResidualBatch
from miwake.server.columns import METHODS
from miwake.server.jobs import Slice
from miwake.server.residual_columns import encoded_residuals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from miwake.indexer.answers import NeighbourBatch, VerdictBatch
    from miwake.inspection.v1 import answer_pb2

INT32, UINT32, UINT8, FLOAT32 = "<i4", "<u4", "u1", "<f4"


class Rows:
    """Rows of computed batches, one after another, all of one index and with the same evidence.

    Parameters
    ----------
    slices : sequence of Slice
        At least one.
    """

    def __init__(self, slices: Sequence[Slice]) -> None:
        self._slices = _in_one_piece(slices)

    def verdicts(self, message: answer_pb2.VerdictArrays) -> None:
        """Fill an empty message with the verdicts in these rows."""
        parts = [(cast("VerdictBatch", one.results.batch), slice(one.start, one.stop)) for one in self._slices]
        first, _ = parts[0]
        message.labels = _joined([batch.labels[rows] for batch, rows in parts], INT32)
        message.failure_modes.extend(chain.from_iterable(batch.failure_modes[rows] for batch, rows in parts))
        message.decisions = _joined([batch.decisions[rows] for batch, rows in parts], UINT8)
        message.probabilities = _joined([batch.probabilities[rows] for batch, rows in parts], FLOAT32)
        rejects = [batch.reject_probabilities[rows] for batch, rows in parts if batch.reject_probabilities is not None]
        message.reject_probabilities = _joined(rejects, FLOAT32)
        message.margins = _joined([batch.margins[rows] for batch, rows in parts], FLOAT32)
        message.novelty = _joined([batch.novelty[rows] for batch, rows in parts], FLOAT32)
        message.method = METHODS[first.method]
        message.methods.extend(METHODS.values())
        message.method_labels = _joined([batch.method_labels[rows] for batch, rows in parts], INT32)
        message.reasons = _joined([batch.reasons[rows] for batch, rows in parts], UINT32)
        message.health = _joined([batch.health[rows] for batch, rows in parts], FLOAT32)
        message.anchor_labels = _joined([batch.anchor_labels[rows] for batch, rows in parts], INT32)
        message.anchor_distances = _joined([batch.anchor_distances[rows] for batch, rows in parts], FLOAT32)
        if first.neighbours.labels.shape[1]:
            _fill_neighbours(message.neighbours, [(batch.neighbours, rows) for batch, rows in parts])

    def neighbours(self, message: answer_pb2.NeighbourArrays) -> None:
        """Fill an empty message with the neighbours in these rows, which are those of a search."""
        parts = [(cast("NeighbourBatch", one.results.batch), slice(one.start, one.stop)) for one in self._slices]
        _fill_neighbours(message, parts)


def _fill_neighbours(message: answer_pb2.NeighbourArrays, parts: Sequence[tuple[NeighbourBatch, slice]]) -> None:
    message.reference_ids.extend(chain.from_iterable(ids for batch, rows in parts for ids in batch.ids[rows]))
    message.labels = _joined([batch.labels[rows] for batch, rows in parts], INT32)
    modes = list(chain.from_iterable(modes for batch, rows in parts for modes in batch.failure_modes[rows]))
    places = {name: place for place, name in enumerate(dict.fromkeys(modes))}
    message.failure_mode_names.extend(places)
    message.failure_modes = np.fromiter(map(places.__getitem__, modes), dtype=UINT32, count=len(modes)).tobytes()
    message.distances = _joined([batch.distances[rows] for batch, rows in parts], FLOAT32)
    message.betas = _joined([batch.beta[rows] for batch, rows in parts], FLOAT32)
    message.etas = _joined([batch.eta[rows] for batch, rows in parts], FLOAT32)
    message.gammas = _joined([batch.gamma[rows] for batch, rows in parts], FLOAT32)
    message.match_distances = _joined([batch.match_distances[rows] for batch, rows in parts], FLOAT32)


def residuals_of(part: Slice) -> list[bytes]:
    """Return a verdict with nothing but its residuals, serialised, for each row; empty bytes where it has none."""
    residuals = cast("VerdictBatch", part.results.batch).residuals
    if residuals is None or part.results.omits_residuals:
        return [b""] * len(part)
    rows = {field.name: getattr(residuals, field.name)[part.start : part.stop] for field in fields(residuals)}
    return encoded_residuals(ResidualBatch(**rows))


def _in_one_piece(slices: Sequence[Slice]) -> list[Slice]:
    """Return the same rows as few slices: of one batch, a caller's lie together, whatever messages asked for them."""
    pieces: list[Slice] = []
    for one in slices:
        last = pieces[-1] if pieces else None
        if last is not None and last.results is one.results and last.stop == one.start:
            pieces[-1] = Slice(last.results, last.start, one.stop)
        else:
            pieces.append(one)
    return pieces


def _joined(parts: Sequence[NDArray[np.generic]], dtype: DTypeLike) -> bytes:
    """Return rows of one column as bytes."""
    if not parts:
        return b""
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return values.astype(dtype, copy=False).tobytes()
