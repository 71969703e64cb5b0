"""One blocking stream: a thread takes vectors from the producer while the caller's thread takes answers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import grpc

from miwake.client.errors import ClosedError, DeadlineExceededError, InvalidQueryError, MiwakeError, translate_error
from miwake.client.flow import Flow
from miwake.client.idle import IdleClock
from miwake.client.packing import inspect_request, pack
from miwake.client.unpacking import unpack_answers

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from miwake.client.answers import Answer
    from miwake.client.flow import FlowSettings
    from miwake.client.inspections import Inspection, Vector
    from miwake.inspection.v1 import inspection_service_pb2
    from miwake.inspection.v1.inspection_service_pb2_grpc import InspectionServiceStub

SLOT_WAIT_S = 0.01
"""A producer that waits for a slot looks again after this time: the consumer may be waiting for it in turn."""


class BlockingStream:
    """Sends what a producer gives and hands over the answers, with a thread for each side and one for the clock.

    Three threads live as long as ``answers`` runs: the producer's, gRPC's own, which sends, and the watcher, which
    cancels the call when an answer is overdue. All state is in ``Flow``, under one lock.
    """

    def __init__(
        self,
        stub: InspectionServiceStub,
        header: inspection_service_pb2.InspectRequest,
        items: Iterable[Vector | Inspection],
        settings: FlowSettings,
        *,
        target: str,
    ) -> None:
        self._stub = stub
        self._header = header
        self._items = iter(items)
        self._target = target
        self._flow = Flow(settings)
        self._clock = IdleClock(self._flow)
        # Reentrant: the garbage collector may close an abandoned generator, and so call stop, on any line of ours.
        self._lock = threading.RLock()
        # The producer is woken for a good part of a message at once: a switch of threads for each vector would cost
        # more than everything else that happens to it here. SLOT_WAIT_S sees to the case that no more are freed.
        self._n_worth_waking = max(1, min(settings.vectors_per_message, settings.window // 4))
        self._slot_is_free = threading.Condition(self._lock)
        self._message_is_ready = threading.Condition(self._lock)
        self._has_ended = threading.Event()
        self._is_pulling = False
        self._failure: BaseException | None = None
        self._call: grpc.Call | None = None
        self._producer = threading.Thread(target=self._produce, name="miwake-producer", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="miwake-watcher", daemon=True)

    def answers(self) -> Generator[Answer]:
        """Yield the answers in order, while vectors are being sent.

        Raises
        ------
        MiwakeError
            If the stream fails. What the producer raises comes through as it is, after the answers to what it gave.
        """
        if self._flow.is_stopped:
            raise ClosedError
        try:
            call = self._stub.Inspect(self._requests())
            self._call = call
            self._producer.start()
            self._watcher.start()
            while (response := self._next_response(call)) is not None:
                for answer in self._receive(response):
                    self._free_slot()
                    yield answer
                self._wake_producer()
            self._check_end()
        except MiwakeError as error:
            if self._failure is not None and error is not self._failure:
                raise self._failure from error
            raise
        finally:
            self.stop()

    def stop(self) -> None:
        """Cancel the call and end the threads; a producer that blocks in the caller's own code ends after it."""
        with self._lock:
            if self._flow.is_stopped:
                return
            self._flow.is_stopped = True
            self._slot_is_free.notify_all()
            self._message_is_ready.notify_all()
            is_pulling = self._is_pulling
        self._has_ended.set()
        if self._call is not None:
            self._call.cancel()
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
            self._flow.producer_is_done = is_done
            self._message_is_ready.notify()

    def _pull_all(self) -> bool:
        while self._wait_for_slot():
            try:
                item = next(self._items)
            except StopIteration:
                return True
            self._take(item)
        return False

    def _wait_for_slot(self) -> bool:
        with self._lock:
            while self._flow.n_free <= 0 and not self._flow.wants_no_more:
                self._slot_is_free.wait(SLOT_WAIT_S)
            self._is_pulling = not self._flow.wants_no_more
            return self._is_pulling

    def _take(self, item: Vector | Inspection) -> None:
        try:
            packed = pack(item)
        except InvalidQueryError as error:
            message = f"vector {self._flow.n_taken}: {error}"
            raise InvalidQueryError(message) from error
        with self._lock:
            self._is_pulling = False
            self._flow.take(packed)
            if self._flow.may_send:
                self._message_is_ready.notify()

    def _requests(self) -> Iterator[inspection_service_pb2.InspectRequest]:
        while True:
            with self._lock:
                while not (self._flow.may_send or self._flow.has_sent_all):
                    self._message_is_ready.wait()
                if self._flow.has_sent_all:
                    return
                self._clock.note_sending()
                vectors = self._flow.next_message()
            yield inspect_request(self._header, vectors)

    def _next_response(
        self, responses: Iterator[inspection_service_pb2.InspectResponse]
    ) -> inspection_service_pb2.InspectResponse | None:
        if self._flow.is_drained:
            return None
        self._clock.start_asking()
        try:
            return next(responses, None)
        except grpc.RpcError as error:
            raise self._translate(error) from error
        finally:
            self._clock.stop_asking()

    def _receive(self, response: inspection_service_pb2.InspectResponse) -> list[Answer]:
        with self._lock:
            first = self._flow.receive(response)
            self._message_is_ready.notify()
        return unpack_answers(response, first)

    def _free_slot(self) -> None:
        with self._lock:
            self._flow.n_handed_over += 1
            if self._flow.n_free >= self._n_worth_waking:
                self._slot_is_free.notify()

    def _wake_producer(self) -> None:
        with self._lock:
            self._slot_is_free.notify()

    def _watch(self) -> None:
        while (left_s := self._clock.left_s()) > 0:
            if self._has_ended.wait(min(left_s, threading.TIMEOUT_MAX)):
                return
        self._clock.has_expired = True
        if self._call is not None:
            self._call.cancel()

    def _check_end(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._flow.check_end()

    def _translate(self, error: grpc.RpcError) -> MiwakeError:
        if self._clock.has_expired:
            return DeadlineExceededError(self._flow.overdue_text(self._target))
        if self._flow.is_stopped:
            return ClosedError()
        return translate_error(error, target=self._target)
