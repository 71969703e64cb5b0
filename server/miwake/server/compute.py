"""Asking the index for a batch so that one bad item never touches its neighbours' answers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from miwake.indexer.scale import Refusal
from miwake.server.jobs import Answered, Fault, ItemFailure, Results, Slice, Task
from miwake.server.templates import bad_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.server.index import Index
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
    return Answered(
        _without_templates(job.items), {**dict.fromkeys(range(len(job.items)), failure), **job.items.failures}, ()
    )


def _answer_timely(jobs: Sequence[Job]) -> list[Answered]:
    try:
        return _answer_together(jobs)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the thread or other callers' answers
        log.warning("batch_failed", **_about(jobs[0]), batch_size=sum(map(_n_vectors, jobs)), error=repr(error))
        return [_answer_apart(job) for job in jobs]


def _answer_together(jobs: Sequence[Job]) -> list[Answered]:
    """Share one answer of the index among the jobs: each has as many rows of it as items without a failure."""
    vectors = jobs[0].items.vectors if len(jobs) == 1 else np.concatenate([job.items.vectors for job in jobs])
    templates = _templates(jobs)
    failures: Sequence[Mapping[int, ItemFailure]] = [job.items.failures for job in jobs]
    if len(vectors) and jobs[0].task is not Task.VERIFY:  # pairs have been looked at before
        refused = _refused(jobs[0].index, vectors, templates)
        if refused:
            is_good = ~np.isin(np.arange(len(vectors)), list(refused))
            vectors, templates = vectors[is_good], None if templates is None else templates[is_good]
            failures = _with_refused(jobs, refused)
    items = [_without_templates(job.items) for job in jobs]
    if not len(vectors):
        return [Answered(asked, failed, ()) for asked, failed in zip(items, failures, strict=True)]
    results = _ask(jobs[0], vectors, templates)
    answered = []
    stop = 0
    for asked, failed in zip(items, failures, strict=True):
        start, stop = stop, stop + len(asked) - len(failed)
        answered.append(Answered(asked, failed, (Slice(results, start, stop),)))
    return answered


def _without_templates(items: Items) -> Items:
    """Return items as they go out: answers may wait for long, and nobody looks at a template any more."""
    return items if items.templates is None else replace(items, templates=None)


def _templates(jobs: Sequence[Job]) -> NDArray[np.float32] | None:
    """Return the templates of all jobs' vectors, all of it NaN where there is none; None where no job has any."""
    if all(job.items.templates is None for job in jobs):
        return None
    parts = ((job.items.vectors, job.items.templates) for job in jobs)
    return np.concatenate([np.full_like(vectors, np.nan) if own is None else own for vectors, own in parts])


def _refused(
    index: Index, vectors: NDArray[np.float32], templates: NDArray[np.float32] | None
) -> dict[int, ItemFailure]:
    """Return why some of the vectors are not asked, by row."""
    refused: dict[int, ItemFailure] = {}
    if templates is not None:
        refused = {row: bad_template(why) for row, why in enumerate(index.refuse_templates(templates)) if why}
    codes = index.scale.refusals(vectors)
    for row in np.flatnonzero(codes).tolist():
        code = int(codes[row])
        refused[row] = ItemFailure(FAULTS[code], index.scale.explain(code, vectors[row]))
    return refused


def _with_refused(jobs: Sequence[Job], refused: Mapping[int, ItemFailure]) -> list[Mapping[int, ItemFailure]]:
    found: list[Mapping[int, ItemFailure]] = []
    start = 0
    for job in jobs:
        rows = enumerate(_positions(job.items), start)
        found.append({**job.items.failures, **{position: refused[row] for row, position in rows if row in refused}})
        start += len(job.items.vectors)
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
    return Answered(_without_templates(job.items), failures, tuple(slices))


def _only(items: Items, position: int, row: int) -> Items:
    """Return the one item that is at ``position`` among the items and at ``row`` among their vectors."""
    return replace(
        items,
        first_sequence=items.first_sequence + position,
        ids=items.ids[position : position + 1],
        contexts=items.contexts[position : position + 1],
        failures={},
        vectors=items.vectors[row : row + 1],
        templates=None if items.templates is None else items.templates[row : row + 1],
    )


def _ask(job: Job, vectors: NDArray[np.float32], templates: NDArray[np.float32] | None) -> Results:
    wanted = job.wishes
    if job.task is Task.SEARCH:
        found = job.index.search(vectors, n_neighbours=job.n_neighbours, where=wanted.where, options=wanted.options)
        return Results(found)
    if job.task is Task.VERIFY:
        return Results(job.index.verify(*np.split(vectors, 2, axis=1)))
    batch = job.index.classify(vectors, templates=templates, n_neighbours=job.n_neighbours, options=wanted.options)
    if wanted.omit_anchors:
        none = slice(None), slice(0)
        batch = replace(batch, anchor_labels=batch.anchor_labels[none], anchor_distances=batch.anchor_distances[none])
    return Results(batch, omits_residuals=wanted.omit_residuals)


def _positions(items: Items) -> list[int]:
    """Return the positions among the items of those that are in ``vectors``."""
    return [position for position in range(len(items)) if position not in items.failures]


def _n_vectors(job: Job) -> int:
    return len(job.items.vectors)


def _about(job: Job) -> dict[str, str]:
    return {"station": job.index.station, "generation": job.index.generation, "task": job.task.value}
