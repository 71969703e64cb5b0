"""One blocking stream: a thread takes vectors from the producer while the caller's thread takes answers."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

import grpc

from miwake.client.errors import ClosedError, InvalidQueryError, MiwakeError, translate_error
from miwake.client.flow import Flow
from miwake.client.idle import IdleClock
from miwake.client.packed_vectors import pack
from miwake.client.packing import inspect_request
from miwake.client.recovery import Recovery
from miwake.client.unpacking import unpack_answers

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from miwake.client.answers import Answer
    from miwake.client.channel import Metadata
    from miwake.client.flow import Batch
    from miwake.client.flow_settings import FlowSettings
    from miwake.client.inspections import Inspection, Vector
    from miwake.client.vector_calls import VectorCalls, VectorsRequest
    from miwake.inspection.v1 import inspection_service_pb2

SLOT_WAIT_S = 0.01
"""A producer that waits for a slot looks again after this time: the consumer may be waiting for it in turn."""


class BlockingStream:
    """Sends what a producer gives and hands over the answers, with a thread for each side and one for the clock.

    Three threads live as long as ``answers`` runs: the producer's, gRPC's own, which sends, and the watcher, which
    cancels the call when an answer is overdue. All state is in ``Flow``. What the producer and the consumer do for each
    vector takes no lock: each writes counters that only it writes. Whatever concerns the sending is under one.
    """

    def __init__(
        self,
        calls: VectorCalls,
        header: inspection_service_pb2.InspectRequest,
        items: Iterable[Vector | Inspection],
        settings: FlowSettings,
        *,
        target: str,
        metadata: Metadata = (),
    ) -> None:
        self._calls = calls
        self._header = header
        self._items = iter(items)
        self._target = target
        self._metadata = metadata
        self._stream_id = settings.stream_id if settings.retry else ""
        self.flow = Flow(settings)
        self._clock = IdleClock(self.flow)
        self.recovery = Recovery(self.flow, self._clock, target=target)
        # Reentrant: the garbage collector may close an abandoned generator, and so call stop, on any line of ours.
        self._lock = threading.RLock()
        # The producer is woken for a good part of a message at once: a switch of threads for each vector would cost
        # more than everything else that happens to it here. SLOT_WAIT_S sees to the case that no more are freed.
        self._n_worth_waking = max(1, min(settings.vectors_per_message, settings.window // 4))
        self._slot_is_free = threading.Condition(self._lock)
        self._message_is_ready = threading.Condition(self._lock)
        self._is_over = threading.Event()
        self._producer_waits = False
        self._is_pulling = False
        self._failure: BaseException | None = None
        self._call: grpc.Call | None = None
        self._responses: Iterator[inspection_service_pb2.InspectResponse] | None = None
        self._producer = threading.Thread(target=self._produce, name="miwake-producer", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="miwake-watcher", daemon=True)

    def answers(self) -> Generator[Answer]:
        """Yield the answers in order, while vectors are being sent.

        Raises
        ------
        MiwakeError
            If the stream fails. What the producer raises comes through as it is, after the answers to what it gave.
        """
        if self.flow.is_stopped:
            raise ClosedError
        try:
            self._producer.start()
            self._watcher.start()
            answer: Answer | None
            while (answers := self._next_answers()) is not None:
                for answer in answers:
                    self.flow.n_handed_over += 1
                    if self._producer_waits:
                        self._free_slot()
                    yield answer
                del answers  # before the next are made: what they came in is as large
                answer = None
                self._wake_producer()
            if self._failure is not None:
                raise self._failure
        except MiwakeError as error:
            if self._failure is not None and error is not self._failure:
                raise self._failure from error
            raise
        finally:
            self.stop()

    def stop(self) -> None:
        """Cancel the call and end the threads; a producer that blocks in the caller's own code ends after it."""
        with self._lock:
            if self.flow.is_stopped:
                return
            self.flow.is_stopped = True
            is_pulling = self._is_pulling
            self._slot_is_free.notify_all()
            self._message_is_ready.notify_all()
        self._is_over.set()
        self._cancel()
        for thread in (self._watcher,) if is_pulling else (self._watcher, self._producer):
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join()

    def _produce(self) -> None:
        try:
            is_done = self._pull_all()
        except BaseException as error:  # noqa: BLE001 - whatever the caller's producer raises is raised to the caller
            self._failure = error
            is_done = True
        with self._lock:
            self._is_pulling = False
            self._clock.note_sending()
            self.flow.producer_is_done = is_done
            self._message_is_ready.notify_all()

    def _pull_all(self) -> bool:
        flow, items = self.flow, self._items
        while n_free := self._wait_for_slots():
            for _ in range(n_free):
                # In this order: stop reads them in the other one, and waits for this thread unless it pulls.
                self._is_pulling = True
                if flow.wants_no_more:
                    return False
                try:
                    item = next(items)
                except StopIteration:
                    return True
                self._take(item)
        return False

    def _wait_for_slots(self) -> int:
        """Wait until the window has room; return for how many vectors, 0 when none are wanted any more."""
        with self._lock:
            while self.flow.n_free <= 0 and not self.flow.wants_no_more:
                self._producer_waits = True
                self._slot_is_free.wait(SLOT_WAIT_S)
            self._producer_waits = False
            return 0 if self.flow.wants_no_more else self.flow.n_free

    def _take(self, item: Vector | Inspection) -> None:
        try:
            packed = pack(item)
        except InvalidQueryError as error:
            message = f"vector {self.flow.n_taken}: {error}"
            raise InvalidQueryError(message) from error
        self._is_pulling = False
        if self.flow.take(packed):
            with self._lock:
                self._message_is_ready.notify_all()

    def _next_answers(self) -> list[Answer] | None:
        """Return what the next response answers, which may be nothing; None at the end of the stream.

        Raises
        ------
        MiwakeError
            If the stream fails, or ends while something is missing.
        """
        try:
            if self._responses is None:
                self._open()
            if (response := self._next_response()) is not None:
                return self._receive(response)
            if self._failure is None:
                self.flow.check_end()
        except MiwakeError as error:
            return [] if self._reopens(error) else None
        return None

    def _open(self) -> None:
        self._clock.note_open()
        self._call = self._responses = self._calls.inspect(self._requests(self.flow.n_calls), metadata=self._metadata)
        if self._is_over.is_set():
            self._cancel()

    def _requests(self, n_calls: int) -> Iterator[VectorsRequest]:
        while (batch := self._next_batch(n_calls)) is not None:
            yield inspect_request(self._header, batch, stream_id=self._stream_id)

    def _next_batch(self, n_calls: int) -> Batch | None:
        """Wait for what goes in the next message of a call; None where none will."""
        with self._lock:
            while self.flow.n_calls == n_calls and not self.flow.has_sent_all:
                hold_s = self.flow.hold_s(monotonic())
                if self.flow.may_send and not hold_s:
                    self._clock.note_sending()
                    return self.flow.next_message()
                self._message_is_ready.wait(hold_s or None)
        return None

    def _next_response(self) -> inspection_service_pb2.InspectResponse | None:
        if self.flow.is_drained or self._responses is None:
            return None
        self._clock.start_asking()
        try:
            return next(self._responses, None)
        except grpc.RpcError as error:
            raise self._translate(error) from error

    def _receive(self, response: inspection_service_pb2.InspectResponse) -> list[Answer]:
        if response.answers or response.HasField("draining"):
            self._clock.stop_asking()
        with self._lock:
            first = self.flow.receive(response, now=monotonic())
            self._message_is_ready.notify_all()
        if response.answers:
            self.recovery.note_answers(first)
        return unpack_answers(response, first)

    def _free_slot(self) -> None:
        if self.flow.n_free >= self._n_worth_waking:
            self._wake_producer()

    def _wake_producer(self) -> None:
        with self._lock:
            self._producer_waits = False  # once is enough
            self._slot_is_free.notify()

    def _reopens(self, error: MiwakeError) -> bool:
        """Return whether another call is to be made after a failure, once it may be; false where none is needed.

        Raises
        ------
        MiwakeError
            If the failure is to be told.
        """
        with self._lock:
            if self._is_over.is_set():
                raise error
            wait_s = self.recovery.wait_s(error)
            self._message_is_ready.notify_all()
        self._cancel()
        self._responses = None
        self._wait_for_work()
        if self.flow.is_complete:
            return False
        if self._is_over.wait(wait_s):
            raise self._overdue() from error
        return True

    def _wait_for_work(self) -> None:
        with self._lock:
            while not self.flow.has_work:
                self._message_is_ready.wait()
            self._clock.note_sending()
            self.flow.is_reopening = True

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()

    def _watch(self) -> None:
        while (left_s := self._clock.left_s()) > 0:
            if self._is_over.wait(min(left_s, threading.TIMEOUT_MAX)):
                return
        self._clock.has_expired = True
        self._is_over.set()
        self._cancel()

    def _overdue(self) -> MiwakeError:
        return self.recovery.overdue() if self._clock.has_expired else ClosedError()

    def _translate(self, error: grpc.RpcError) -> MiwakeError:
        return self._overdue() if self._is_over.is_set() else translate_error(error, target=self._target)
