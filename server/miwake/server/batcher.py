"""One compute thread for all callers: it takes what is queued when it is free, and waits for nothing else.

Every caller has a lane, a queue of its own, whose jobs are answered in their order; lanes take turns. A batch asks one
index once: one generation, one number of neighbours.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Self

from miwake.server.compute import answer
from miwake.server.errors import OverloadedError, StoppingError
from miwake.server.jobs import Delivery
from miwake.server.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from miwake.indexer.answers import NeighbourBatch, PairBatch, VerdictBatch
    from miwake.server.index import Index
    from miwake.server.jobs import Answered, Job
    from miwake.server.lanes import Lane

RETRY_AFTER_S = 0.25
"""When a refused caller should try again: the queue's worth of vectors is computed in about that time."""


HELD_UP_S = 0.05
"""A caller who has waited this long for room in the queue is told so."""

TOLD_EVERY_S = 5.0
"""No caller is told more often than this: in a lasting overload telling them must not add to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """One computed batch, all callers' shares of it.

    Attributes
    ----------
    index : Index
        What answered.
    answered : sequence of Answered
        The outcome of each job.
    waits_s : sequence of float
        How long each job waited for the compute thread, in seconds.
    compute_s : float
        How long the batch was computed, in seconds.
    n_items : int
        Items in it, those without an answer included.
    """

    index: Index
    answered: Sequence[Answered]
    waits_s: Sequence[float]
    compute_s: float
    n_items: int

    def batches(self) -> list[VerdictBatch | NeighbourBatch | PairBatch]:
        """Return what the index returned: once for all jobs, or for each vector where it failed on all together."""
        results = {id(part.results): part.results for answered in self.answered for part in answered.slices}
        return [one.batch for one in results.values()]


class Batcher:
    """The queue and its compute thread; a context manager, which answers all that is queued before it leaves.

    Parameters
    ----------
    max_batch : int
        Most items in a batch.
    queue_limit : int
        Items that may wait.
    observe : function of Computed, optional
        Called on the compute thread after each batch is delivered; it must neither block nor raise.
    """

    def __init__(
        self, *, max_batch: int, queue_limit: int, observe: Callable[[Computed], object] | None = None
    ) -> None:
        self._max_batch = max_batch
        self._queue_limit = queue_limit
        self._observe = observe
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._lanes = Lanes()
        self._n_queued = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="compute")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_closed = True
            self._work.notify()
            self._room.notify_all()
        self._thread.join()

    @property
    def n_queued(self) -> int:
        """Items that wait for the compute thread."""
        return self._n_queued

    def submit(self, lane: Lane, jobs: Sequence[Job], *, wait: bool) -> None:
        """Queue jobs behind those of the same lane; drop them quietly where the lane is cancelled.

        A full queue still takes the request that finds it one item short of full, whatever its size.

        Raises
        ------
        OverloadedError
            If the queue is full and ``wait`` is false.
        StoppingError
            If the batcher is closed.
        """
        with self._lock:
            waits_from = perf_counter()
            while self._n_queued >= self._queue_limit and not (lane.is_cancelled or self._is_closed):
                if not wait:
                    raise OverloadedError(what="queued vectors", limit=self._queue_limit, retry_after_s=RETRY_AFTER_S)
                self._wait_for_room(lane, waits_from)
            if lane.is_cancelled:
                return
            if self._is_closed:
                raise StoppingError
            self._lanes.queue(lane, jobs)
            self._n_queued += sum(len(job.items) for job in jobs)
            self._work.notify()

    def _wait_for_room(self, lane: Lane, waits_from: float) -> None:
        """Wait until there may be room, and tell the caller where that takes long."""
        now = perf_counter()
        if lane.hold_up is None or now - lane.held_up_at < TOLD_EVERY_S:
            self._room.wait()
        elif now - waits_from < HELD_UP_S:
            self._room.wait(HELD_UP_S - (now - waits_from))
        else:
            lane.held_up_at = now
            lane.hold_up(RETRY_AFTER_S)

    def cancel(self, lane: Lane) -> None:
        """Forget what a caller has queued; it is computed no more, and nothing further is taken from it."""
        with self._lock:
            lane.is_cancelled = True
            self._n_queued -= sum(len(job.items) for job in self._lanes.forget(lane))
            self._room.notify_all()

    def _run(self) -> None:
        while batch := self._take():
            self._compute(batch)

    def _take(self) -> list[tuple[Lane, Job]]:
        """Return what the next batch is made of; nothing once all is answered and the batcher is closed."""
        with self._lock:
            while not self._lanes and not self._is_closed:
                self._work.wait()
            batch = self._lanes.take(self._max_batch)
            n_taken = sum(len(job.items) for _, job in batch)
            self._n_queued -= n_taken
            self._room.notify(n_taken)
            return batch

    def _compute(self, batch: list[tuple[Lane, Job]]) -> None:
        # A caller's jobs lie together, so that what is answered to it is one piece of what the index returns.
        shares: dict[Lane, list[Job]] = {}
        for lane, job in batch:
            shares.setdefault(lane, []).append(job)
        jobs = [job for of_lane in shares.values() for job in of_lane]
        started = perf_counter()
        answered = answer(jobs, now=started)
        compute_s = perf_counter() - started
        batch_size = sum(len(job.items) for job in jobs)
        outcomes = iter(answered)
        for lane, of_lane in shares.items():
            first = of_lane[0]
            lane.deliver(
                Delivery(
                    answered=tuple(islice(outcomes, len(of_lane))),
                    index=first.index,
                    queue_ms=1e3 * (started - first.queued_at),
                    compute_ms=1e3 * compute_s,
                    batch_size=batch_size,
                    task=first.task,
                    awaits_record=first.wishes.await_record,
                )
            )
        if self._observe is not None:
            self._observe(
                Computed(
                    index=jobs[0].index,
                    answered=answered,
                    waits_s=[started - job.queued_at for job in jobs],
                    compute_s=compute_s,
                    n_items=batch_size,
                )
            )
