"""Asking the index for a batch so that one bad item never touches its neighbours' answers."""

from __future__ import annotations

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


def answer(jobs: Sequence[Job]) -> list[Answered]:
    """Return the outcomes of jobs that go together, in their order.

    What the index's scale refuses is not asked. Where the index fails on the batch, every vector is asked alone, and
    only those that it still fails on have no answer.
    """
    vectors = jobs[0].items.vectors if len(jobs) == 1 else np.concatenate([job.items.vectors for job in jobs])
    if not len(vectors):
        return [Answered(job.items, job.items.failures, ()) for job in jobs]
    refusals = jobs[0].index.scale.refusals(vectors)
    if refusals.any():
        return _answer_the_rest(jobs, vectors, refusals)
    return _answer_all(jobs, vectors, [job.items.failures for job in jobs])


def _answer_the_rest(jobs: Sequence[Job], vectors: NDArray[np.float32], refusals: NDArray[np.int8]) -> list[Answered]:
    """Name what is refused, and answer what is not."""
    codes = iter(refusals.tolist())
    failures = [_with_refusals(job, list(islice(codes, len(job.items.vectors)))) for job in jobs]
    return _answer_all(jobs, vectors[refusals == Refusal.NONE], failures)


def _with_refusals(job: Job, codes: Sequence[int]) -> Mapping[int, ItemFailure]:
    refused = {
        position: ItemFailure(FAULTS[code], job.index.scale.explain(code, vector))
        for position, code, vector in zip(_positions(job.items), codes, job.items.vectors, strict=True)
        if code != Refusal.NONE
    }
    return {**job.items.failures, **refused}


def _answer_all(
    jobs: Sequence[Job], vectors: NDArray[np.float32], failures: Sequence[Mapping[int, ItemFailure]]
) -> list[Answered]:
    """Share one answer of the index among the jobs: each has as many rows of it as items without a failure."""
    try:
        results = _ask(jobs[0], vectors) if len(vectors) else None
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the thread or other callers' answers
        log.warning("batch_failed", **_about(jobs[0]), batch_size=len(vectors), error=repr(error))
        return [_answer_one_by_one(job, failed) for job, failed in zip(jobs, failures, strict=True)]
    answered = []
    start = 0
    for job, failed in zip(jobs, failures, strict=True):
        stop = start + len(job.items) - len(failed)
        answered.append(Answered(job.items, failed, (Slice(results, start, stop),) if results is not None else ()))
        start = stop
    return answered


def _answer_one_by_one(job: Job, failures: Mapping[int, ItemFailure]) -> Answered:
    found = dict(failures)
    slices = []
    for position, vector in zip(_positions(job.items), job.items.vectors, strict=True):
        if position in failures:
            continue
        try:
            slices.append(Slice(_ask(job, vector[np.newaxis]), 0, 1))
        except Exception:
            log.exception("item_failed", **_about(job), sequence=job.items.first_sequence + position)
            found[position] = FAILED
    return Answered(job.items, found, tuple(slices))


def _ask(job: Job, vectors: NDArray[np.float32]) -> Results:
    ask = job.index.classify if job.task is Task.CLASSIFY else job.index.search
    return Results(ask(vectors, n_neighbours=job.n_neighbours))


def _positions(items: Items) -> list[int]:
    """Return the positions among the items of those that are in ``vectors``."""
    return [position for position in range(len(items)) if position not in items.failures]


def _about(job: Job) -> dict[str, str]:
    return {"station": job.index.station, "generation": job.index.generation, "task": job.task.value}
