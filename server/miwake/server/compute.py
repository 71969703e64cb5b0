"""Asking the index for a batch so that one bad item never touches its neighbours' answers."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import structlog

from miwake.indexer.scale import Refusal
from miwake.server.jobs import Answered, Fault, ItemFailure, Results, Slice, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.server.jobs import Items, Job

log = structlog.get_logger()

FAULTS: Mapping[int, Fault] = {
    Refusal.WRONG_LENGTH: Fault.WRONG_LENGTH,
    Refusal.NON_FINITE: Fault.NON_FINITE,
    Refusal.OUT_OF_RANGE: Fault.OUT_OF_RANGE,
    Refusal.FLAT: Fault.FLAT,
}

FAILED = ItemFailure(Fault.INTERNAL, "the server failed on this vector; the cause is in its log")


def answer(jobs: Sequence[Job], *, now: float = -math.inf) -> list[Answered]:
    """Return the outcomes of jobs that go together, in their order.

    What has expired by ``now``, as ``perf_counter`` tells, or is refused by the index's scale, is not asked. Where the
    index fails on the batch, every vector is asked alone, and only those that it still fails on have no answer.
    """
    timely = [job for job in jobs if now < job.expires_at]
    if len(timely) == len(jobs):
        return _answer_timely(jobs)
    answered = iter(_answer_timely(timely) if timely else ())
    return [next(answered) if now < job.expires_at else _expired(job, now) for job in jobs]


def _expired(job: Job, now: float) -> Answered:
    """Answer none of the items; what could not be read keeps its own failure."""
    wanted_ms, waited_ms = (round(1e3 * (end - job.queued_at)) for end in (job.expires_at, now))
    failure = ItemFailure(Fault.EXPIRED, f"waited {waited_ms} ms for its turn, at most {wanted_ms} ms were wanted")
    return Answered(job.items, {**dict.fromkeys(range(len(job.items)), failure), **job.items.failures}, ())


def _answer_timely(jobs: Sequence[Job]) -> list[Answered]:
    try:
        return _answer_together(jobs)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the thread or other callers' answers
        log.warning("batch_failed", **_about(jobs[0]), batch_size=sum(map(_n_vectors, jobs)), error=repr(error))
        return [_answer_apart(job) for job in jobs]


def _answer_together(jobs: Sequence[Job]) -> list[Answered]:
    """Share one answer of the index among the jobs: each has as many rows of it as items without a failure."""
    vectors = jobs[0].items.vectors if len(jobs) == 1 else np.concatenate([job.items.vectors for job in jobs])
    failures: Sequence[Mapping[int, ItemFailure]] = [job.items.failures for job in jobs]
    if len(vectors) and jobs[0].task is not Task.VERIFY:  # pairs have been looked at before
        refusals = jobs[0].index.scale.refusals(vectors)
        if refusals.any():
            vectors = vectors[refusals == Refusal.NONE]
            failures = _with_refusals(jobs, refusals)
    if not len(vectors):
        return [Answered(job.items, failed, ()) for job, failed in zip(jobs, failures, strict=True)]
    results = _ask(jobs[0], vectors)
    answered = []
    stop = 0
    for job, failed in zip(jobs, failures, strict=True):
        start, stop = stop, stop + len(job.items) - len(failed)
        answered.append(Answered(job.items, failed, (Slice(results, start, stop),)))
    return answered


def _with_refusals(jobs: Sequence[Job], refusals: NDArray[np.int8]) -> list[Mapping[int, ItemFailure]]:
    codes = iter(refusals.tolist())
    found: list[Mapping[int, ItemFailure]] = []
    for job in jobs:
        items, scale = job.items, job.index.scale
        judged = zip(_positions(items), islice(codes, len(items.vectors)), items.vectors, strict=True)
        refused = {
            position: ItemFailure(FAULTS[code], scale.explain(code, vector))
            for position, code, vector in judged
            if code != Refusal.NONE
        }
        found.append({**items.failures, **refused})
    return found


def _answer_apart(job: Job) -> Answered:
    """Ask for each vector alone."""
    failures = dict(job.items.failures)
    slices: list[Slice] = []
    for row, position in enumerate(_positions(job.items)):
        try:
            (alone,) = _answer_together([replace(job, items=_only(job.items, position, row))])
        except Exception:
            log.exception("item_failed", **_about(job), sequence=job.items.first_sequence + position)
            failures[position] = FAILED
        else:
            slices.extend(alone.slices)
            for failure in alone.failures.values():
                failures[position] = failure
    return Answered(job.items, failures, tuple(slices))


def _only(items: Items, position: int, row: int) -> Items:
    """Return the one item that is at ``position`` among the items and at ``row`` among their vectors."""
    return replace(
        items,
        first_sequence=items.first_sequence + position,
        ids=items.ids[position : position + 1],
        contexts=items.contexts[position : position + 1],
        failures={},
        vectors=items.vectors[row : row + 1],
    )


def _ask(job: Job, vectors: NDArray[np.float32]) -> Results:
    wanted = job.wishes
    if job.task is Task.SEARCH:
        found = job.index.search(vectors, n_neighbours=job.n_neighbours, where=wanted.where, options=wanted.options)
        return Results(found)
    if job.task is Task.VERIFY:
        return Results(job.index.verify(*np.split(vectors, 2, axis=1)))
    batch = job.index.classify(vectors, n_neighbours=job.n_neighbours, options=wanted.options)
    if wanted.omit_anchors:
        none = slice(None), slice(0)
        batch = replace(batch, anchor_labels=batch.anchor_labels[none], anchor_distances=batch.anchor_distances[none])
    return Results(batch)


def _positions(items: Items) -> list[int]:
    """Return the positions among the items of those that are in ``vectors``."""
    return [position for position in range(len(items)) if position not in items.failures]


def _n_vectors(job: Job) -> int:
    return len(job.items.vectors)


def _about(job: Job) -> dict[str, str]:
    return {"station": job.index.station, "generation": job.index.generation, "task": job.task.value}
