"""Whose turn it is: fair by vectors, so that a caller with one does not wait behind others' hundreds.

Weighted fair queueing with equal weights (Demers, Keshav and Shenker, "Analysis and simulation of a fair queueing
algorithm", SIGCOMM 1989): each job is stamped with the moment at which it would be done if the vectors of all who wait
went round one by one, on a clock that shows how many rounds there were; the smallest stamp is next. A caller with one
vector goes before those who wait with many, and nobody waits for ever: whatever comes later is stamped later.
"""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from miwake.server.jobs import Delivery, Job


class Lane:
    """One caller's jobs, in order, and whom it tells; what is told must not block.

    Parameters
    ----------
    deliver : function of Delivery
        Called on the compute thread with what is answered.
    hold_up : function of seconds, optional
        Called where the queue has been full for a while: when to look again.
    """

    def __init__(self, deliver: Callable[[Delivery], object], hold_up: Callable[[float], object] | None = None) -> None:
        self.deliver = deliver
        self.hold_up = hold_up
        self.held_up_at = -math.inf
        self.jobs: deque[Job] = deque()
        self.done_at = 0.0
        self.is_cancelled = False


class Lanes:
    """The lanes that have jobs, by whose turn is next. They know no threads."""

    def __init__(self) -> None:
        self._clock = 0.0
        self._waiting: list[tuple[float, int, Lane]] = []
        self._n_waiting = 0
        self._order = count()

    def __bool__(self) -> bool:
        return self._n_waiting > 0

    def queue(self, lane: Lane, jobs: Sequence[Job]) -> None:
        """Queue jobs, at least one, behind those of the same lane."""
        is_new = not lane.jobs
        lane.jobs.extend(jobs)
        if is_new:
            lane.done_at = max(lane.done_at, self._clock)
            self._stamp(lane)
            self._n_waiting += 1

    def forget(self, lane: Lane) -> Sequence[Job]:
        """Take all of a lane's jobs away, and return them."""
        jobs = tuple(lane.jobs)
        if jobs:
            lane.jobs = deque()
            self._n_waiting -= 1
        return jobs

    def take(self, n_items: int) -> list[tuple[Lane, Job]]:
        """Take the next jobs that go together: one at least, and no more than so many items beyond it."""
        taken: list[tuple[Lane, Job]] = []
        passed_over: list[tuple[float, int, Lane]] = []
        n_taken = 0
        while self._waiting and n_taken < n_items:
            turn = heappop(self._waiting)
            stamp, _, lane = turn
            if not lane.jobs or lane.done_at != stamp:
                continue
            job = lane.jobs[0]
            if taken and (n_taken + len(job.items) > n_items or not job.goes_with(taken[0][1])):
                passed_over.append(turn)
                continue
            taken.append((lane, lane.jobs.popleft()))
            n_taken += len(job.items)
            self._clock += len(job.items) / self._n_waiting
            if lane.jobs:
                self._stamp(lane)
            else:
                self._n_waiting -= 1
        for turn in passed_over:
            heappush(self._waiting, turn)
        return taken

    def _stamp(self, lane: Lane) -> None:
        """Stamp a lane's first job; an empty one counts as one vector."""
        lane.done_at += max(len(lane.jobs[0].items), 1)
        heappush(self._waiting, (lane.done_at, next(self._order), lane))
