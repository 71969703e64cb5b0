"""The calls that are open: each is counted, refused once the server stops, and answered by the compute thread."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from miwake.server.errors import DeadlineError, OverloadedError, StoppingError
from miwake.server.jobs import Task
from miwake.server.lanes import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import grpc

    from miwake.server.batcher import Batcher
    from miwake.server.jobs import Delivery, Job
    from miwake.server.recording import Recorder
    from miwake.server.streams import Streams

STREAM_RETRY_AFTER_S = 5.0
"""When to try again where too many streams are open: they last."""


class Stream(Protocol):
    """A call that goes on until it is told to end."""

    def drain(self) -> None:
        """Accept nothing more, and say so to the caller."""


class Calls:
    """The open calls of all services of a server.

    Parameters
    ----------
    batcher : Batcher
    streams : Streams
        What is remembered of streams beyond their calls.
    max_streams : int
        Most ``Inspect`` streams open at once.
    recorder : Recorder, optional
        Given what unary calls are answered.
    """

    def __init__(
        self, batcher: Batcher, streams: Streams, *, max_streams: int, recorder: Recorder | None = None
    ) -> None:
        self._batcher = batcher
        self._parked = streams
        self._max_streams = max_streams
        self._recorder = recorder
        self._changed = threading.Condition()
        self._streams: set[Stream] = set()
        self._n_calls = 0
        self._is_stopping = False

    @property
    def n_streams(self) -> int:
        """Open ``Inspect`` streams."""
        return len(self._streams)

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new is taken."""
        return self._is_stopping

    @contextmanager
    def opened(self, stream: Stream | None = None) -> Iterator[None]:
        """Count a call for as long as it is open.

        Raises
        ------
        StoppingError
            If the server is stopping.
        OverloadedError
            If it is a stream, and too many are open.
        """
        with self._changed:
            if self._is_stopping:
                raise StoppingError
            if stream is not None:
                if len(self._streams) >= self._max_streams:
                    raise OverloadedError(
                        what="open streams", limit=self._max_streams, retry_after_s=STREAM_RETRY_AFTER_S
                    )
                self._streams.add(stream)
            self._n_calls += 1
        try:
            yield
        finally:
            with self._changed:
                if stream is not None:
                    self._streams.remove(stream)
                self._n_calls -= 1
                self._changed.notify_all()

    def answer(self, jobs: Sequence[Job], context: grpc.ServicerContext) -> list[Delivery]:
        """Have a unary call's jobs answered.

        Raises
        ------
        OverloadedError
            If the queue is full.
        DeadlineError
            If the caller is gone before the answer is there.
        """
        remaining_s = context.time_remaining()
        deadline = math.inf if remaining_s is None else perf_counter() + remaining_s
        jobs = [replace(job, expires_at=min(job.expires_at, deadline)) for job in jobs]
        arrived: SimpleQueue[Delivery | None] = SimpleQueue()
        lane = Lane(arrived.put if self._recorder is None else partial(_record, self._recorder, arrived.put))
        context.add_callback(lambda: arrived.put(None))
        self._batcher.submit(lane, jobs, wait=False)
        deliveries: list[Delivery] = []
        while sum(len(delivery.answered) for delivery in deliveries) < len(jobs):
            delivery = arrived.get()
            if delivery is None:
                self._batcher.cancel(lane)
                raise DeadlineError
            deliveries.append(delivery)
        if perf_counter() >= deadline:
            raise DeadlineError
        return deliveries

    def drain(self, timeout_s: float) -> int:
        """Take nothing new, and wait until everything accepted is answered.

        Returns
        -------
        int
            Calls that were still open when the time was over.
        """
        with self._changed:
            self._is_stopping = True
            streams = tuple(self._streams)
        for stream in streams:
            stream.drain()
        self._parked.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._n_calls, timeout_s)
            return self._n_calls


def _record(recorder: Recorder, deliver: Callable[[Delivery], object], delivery: Delivery) -> None:
    """Have verdicts recorded, and deliver them: at once, or once that is done where the caller waits for it."""

    def tell(is_recorded: bool) -> None:
        if delivery.awaits_record:
            deliver(replace(delivery, is_recorded=is_recorded))

    if delivery.task is Task.CLASSIFY:
        recorder.record(delivery, stream_id="", told=tell)
    if delivery.task is not Task.CLASSIFY or not delivery.awaits_record:
        deliver(delivery)
