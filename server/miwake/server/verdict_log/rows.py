"""From deliveries to rows of the log: a computed batch at a time, in the log's own thread."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from miwake.indexer.answers import Decision, DecisionReason, LabelMethod, ReferenceMap
from miwake.inspection.v1 import vector_pb2
from miwake.server.verdict_log.layout import ERROR, HEALTH, N_NEAREST, VERDICT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from miwake.indexer.answers import NeighbourBatch, VerdictBatch
    from miwake.server.jobs import Answered, Delivery, Results

Value = str | int | float | None
Row = tuple[Value, ...]

DECISIONS = {decision.value: decision.name for decision in Decision}
MAPS: dict[int, str | None] = {one.value: one.name if one else None for one in ReferenceMap}
METHODS = {method: method.name for method in LabelMethod}
NO_VERDICT: Row = (None,) * len(VERDICT)
NO_CONTEXT: Row = (None,) * 6

TIMES = range(-62_135_596_800, 253_402_300_800)
"""Seconds since 1970 of the years 1 to 9999, which a timestamp may tell; others are no time and would not fit."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery of verdicts that is to be written.

    Attributes
    ----------
    delivery : Delivery
    stream_id : text
        Empty where the caller gave none.
    answered_us : int
        When, in microseconds since 1970.
    """

    delivery: Delivery
    stream_id: str
    answered_us: int

    def __len__(self) -> int:
        return len(self.delivery)


class RowMaker:
    """Makes rows for one commit; what deliveries share, such as a computed batch, is turned into values once."""

    def __init__(self) -> None:
        self._verdicts: dict[int, list[Row]] = {}

    def rows(self, entry: Entry) -> Iterator[Row]:
        """Yield a row for each answer of an entry, without what it was answered by."""
        delivery = entry.delivery
        head = (entry.answered_us, entry.stream_id or None, delivery.queue_ms, delivery.compute_ms)
        for answered in delivery.answered:
            yield from self._rows_of(answered, head)

    def _rows_of(self, answered: Answered, head: Row) -> Iterator[Row]:
        items = answered.items
        outcomes = self._outcomes(answered)
        for position, (id_, context) in enumerate(zip(items.ids, items.contexts, strict=True)):
            told = NO_CONTEXT if context is None else _context_values(context)
            yield (*head, items.first_sequence + position, id_, *told, *outcomes[position])

    def _outcomes(self, answered: Answered) -> Sequence[Row]:
        """Return, for each item, the columns of its error and of its verdict."""
        judged: list[Row] = []
        for part in answered.slices:
            judged += self._verdict_rows(part.results)[part.start : part.stop]
        if not answered.failures:
            return judged
        verdicts = iter(judged)
        failures = answered.failures
        return [
            (failures[position].fault.name, failures[position].message, *NO_VERDICT)
            if position in failures
            else next(verdicts)
            for position in range(len(answered.items))
        ]

    def _verdict_rows(self, results: Results) -> list[Row]:
        found = self._verdicts.get(id(results))
        if found is None:
            found = self._verdicts[id(results)] = _verdict_rows(cast("VerdictBatch", results.batch))
        return found


def _verdict_rows(batch: VerdictBatch) -> list[Row]:
    n_rows = len(batch)
    rejects = batch.reject_probabilities
    nothing = (None,) * n_rows
    columns: list[Sequence[Value]] = [
        *(nothing for _ in ERROR),
        batch.labels.tolist(),
        batch.failure_modes,
        [DECISIONS[code] for code in batch.decisions.tolist()],
        [_reason_names(flags) for flags in batch.reasons.tolist()],
        batch.probabilities.tolist(),
        nothing if rejects is None else rejects.tolist(),
        batch.margins.tolist(),
        batch.novelty.tolist(),
        [METHODS[batch.method]] * n_rows,
        *_columns(batch.health, len(HEALTH)),
        *_nearest(batch.neighbours),
        nothing if batch.residuals is None else [MAPS[code] for code in batch.residuals.reference.tolist()],
    ]
    return list(zip(*columns, strict=True))


def _columns(values: NDArray[np.float32], n_columns: int) -> list[Sequence[Value]]:
    """Return the first columns of (Q, K) values as lists, and lists of None in place of those that are not there."""
    there: list[Sequence[Value]] = values[:, :n_columns].T.tolist()
    return there + [[None] * len(values)] * (n_columns - len(there))


def _nearest(neighbours: NeighbourBatch) -> Iterator[Sequence[Value]]:
    """Yield ids and distances of the nearest references, column by column."""
    distances = _columns(neighbours.distances, N_NEAREST)
    n_there = neighbours.labels.shape[1]
    for place in range(N_NEAREST):
        yield [ids[place] for ids in neighbours.ids] if place < n_there else [None] * len(neighbours)
        yield distances[place]


@lru_cache(maxsize=1024)
def _reason_names(flags: int) -> str:
    """Return the reasons as text, separated by commas; empty where there are none."""
    return ",".join(reason.name or "" for reason in DecisionReason if reason & flags)


@lru_cache(maxsize=1024)
def _context_values(serialised: bytes) -> Row:
    """Return the columns of an ``InspectionContext``: None for what it does not say."""
    context = vector_pb2.InspectionContext.FromString(serialised)
    time = context.inspected_at
    is_told = context.HasField("inspected_at") and time.seconds in TIMES
    return (
        context.part_id or None,
        context.job_id or None,
        context.product_id or None,
        context.recipe_id or None,
        1_000_000 * time.seconds + time.nanos // 1000 if is_told else None,
        int(context.is_simulated) if context.HasField("is_simulated") else None,
    )
