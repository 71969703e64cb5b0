"""One asyncio stream: a task takes vectors from the producer while the caller takes answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from miwake.client.aio_status import ReceivedStatus
from miwake.client.errors import ClosedError, InvalidQueryError, MiwakeError, translate_error
from miwake.client.flow import Flow
from miwake.client.idle import IdleClock
from miwake.client.packed_vectors import pack
from miwake.client.packing import inspect_request
from miwake.client.recovery import Recovery
from miwake.client.unpacking import unpack_answers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from miwake.client.answers import Answer
    from miwake.client.channel import Metadata
    from miwake.client.flow import Batch
    from miwake.client.flow_settings import FlowSettings
    from miwake.client.inspections import Inspection, Vector
    from miwake.client.vector_calls import VectorCalls, VectorsRequest
    from miwake.inspection.v1 import inspection_service_pb2

TURN_S = 0.001
"""How long a plain iterable may run before the event loop has a turn: a fast one fills messages, and a slow one is sent
vector by vector."""


class AsyncStream:
    """Sends what a producer gives and hands over the answers, with a task for the producer and one for the clock.

    All state is in ``Flow``; nothing here is shared between threads.
    """

    def __init__(
        self,
        calls: VectorCalls,
        header: inspection_service_pb2.InspectRequest,
        items: Iterable[Vector | Inspection] | AsyncIterable[Vector | Inspection],
        settings: FlowSettings,
        *,
        target: str,
        metadata: Metadata = (),
    ) -> None:
        self._calls = calls
        self._header = header
        self._items = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        self._target = target
        self._metadata = metadata
        self._stream_id = settings.stream_id if settings.retry else ""
        self.flow = Flow(settings)
        self._clock = IdleClock(self.flow)
        self.recovery = Recovery(self.flow, self._clock, target=target)
        self._slot_is_free = asyncio.Event()
        self._message_is_ready = asyncio.Event()
        self._is_over = asyncio.Event()
        self._last_turn_s = monotonic()
        self._failure: BaseException | None = None
        self._call: grpc.aio.Call | None = None
        self._status: ReceivedStatus | None = None
        self._responses: AsyncIterator[inspection_service_pb2.InspectResponse] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def answers(self) -> AsyncGenerator[Answer]:
        """Yield the answers in order, while vectors are being sent.

        Raises
        ------
        MiwakeError
            If the stream fails. What the producer raises comes through as it is, after the answers to what it gave.
        """
        if self.flow.is_stopped:
            raise ClosedError
        try:
            self._tasks = [asyncio.create_task(self._produce()), asyncio.create_task(self._watch())]
            answer: Answer | None
            while (answers := await self._next_answers()) is not None:
                for answer in answers:
                    self.flow.n_handed_over += 1
                    self._slot_is_free.set()
                    yield answer
                del answers  # before the next are made: what they came in is as large
                answer = None
            if self._failure is not None:
                raise self._failure
        except MiwakeError as error:
            if self._failure is not None and error is not self._failure:
                raise self._failure from error
            raise
        finally:
            self.stop()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """Cancel the call and the tasks."""
        self.flow.is_stopped = True
        for event in (self._slot_is_free, self._message_is_ready, self._is_over):
            event.set()
        self._cancel()
        for task in self._tasks:
            task.cancel()

    async def _produce(self) -> None:
        try:
            is_done = await self._pull_all()
        except BaseException as error:
            if self.flow.is_stopped:
                raise
            self._failure = error
            is_done = True
        self._clock.note_sending()
        self.flow.producer_is_done = is_done
        self._message_is_ready.set()

    async def _pull_all(self) -> bool:
        while await self._wait_for_slot():
            try:
                self._take(await self._pull())
            except StopAsyncIteration:
                return True
        return False

    async def _pull(self) -> Vector | Inspection:
        if isinstance(self._items, AsyncIterator):
            return await anext(self._items)
        if monotonic() - self._last_turn_s > TURN_S:
            await asyncio.sleep(0)
            self._last_turn_s = monotonic()
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None

    async def _wait_for_slot(self) -> bool:
        while self.flow.n_free <= 0 and not self.flow.wants_no_more:
            self._slot_is_free.clear()
            await self._slot_is_free.wait()
        return not self.flow.wants_no_more

    def _take(self, item: Vector | Inspection) -> None:
        try:
            packed = pack(item)
        except InvalidQueryError as error:
            message = f"vector {self.flow.n_taken}: {error}"
            raise InvalidQueryError(message) from error
        if self.flow.take(packed):
            self._message_is_ready.set()

    async def _next_answers(self) -> list[Answer] | None:
        """Return what the next response answers, which may be nothing; None at the end of the stream.

        Raises
        ------
        MiwakeError
            If the stream fails, or ends while something is missing.
        """
        try:
            if self._responses is None:
                self._open()
            if (response := await self._next_response()) is not None:
                return self._receive(response)
            if self._failure is None:
                self.flow.check_end()
        except MiwakeError as error:
            return [] if await self._reopens(error) else None
        return None

    def _open(self) -> None:
        self._clock.note_open()
        call = self._call = self._calls.inspect(self._requests(self.flow.n_calls), metadata=self._metadata)
        self._status = ReceivedStatus(call)
        self._responses = aiter(call)

    async def _requests(self, n_calls: int) -> AsyncIterator[VectorsRequest]:
        while (batch := await self._next_batch(n_calls)) is not None:
            yield inspect_request(self._header, batch, stream_id=self._stream_id)

    async def _next_batch(self, n_calls: int) -> Batch | None:
        """Wait for what goes in the next message of a call; None where none will."""
        while self.flow.n_calls == n_calls and not self.flow.has_sent_all:
            hold_s = self.flow.hold_s(monotonic())
            if self.flow.may_send and not hold_s:
                self._clock.note_sending()
                return self.flow.next_message()
            self._message_is_ready.clear()
            await wait_at_most(hold_s or None, self._message_is_ready)
        return None

    async def _next_response(self) -> inspection_service_pb2.InspectResponse | None:
        if self.flow.is_drained or self._responses is None or self._status is None:
            return None
        self._clock.start_asking()
        try:
            return await anext(self._responses, None)
        except grpc.aio.AioRpcError as error:
            ended_with = await self._status.instead_of(error)
            if ended_with is None:
                return None
            raise self._translate(ended_with) from error
        except asyncio.CancelledError as error:
            # gRPC raises this where the call was cancelled from here, as asyncio does for the task.
            if _is_task_being_cancelled() or not self._is_over.is_set():
                raise
            raise self._overdue() from error

    def _receive(self, response: inspection_service_pb2.InspectResponse) -> list[Answer]:
        if response.answers or response.HasField("draining"):
            self._clock.stop_asking()
        first = self.flow.receive(response, now=monotonic())
        self._message_is_ready.set()
        if response.answers:
            self.recovery.note_answers(first)
        return unpack_answers(response, first)

    async def _reopens(self, error: MiwakeError) -> bool:
        """Return whether another call is to be made after a failure, once it may be; false where none is needed.

        Raises
        ------
        MiwakeError
            If the failure is to be told.
        """
        if self._is_over.is_set():
            raise error
        wait_s = self.recovery.wait_s(error)
        self._message_is_ready.set()
        self._cancel()
        self._responses = None
        await self._wait_for_work()
        if self.flow.is_complete:
            return False
        await wait_at_most(wait_s, self._is_over)
        if self._is_over.is_set():
            raise self._overdue() from error
        return True

    async def _wait_for_work(self) -> None:
        while not self.flow.has_work:
            self._message_is_ready.clear()
            await self._message_is_ready.wait()
        self._clock.note_sending()
        self.flow.is_reopening = True

    def _cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()

    async def _watch(self) -> None:
        while (left_s := self._clock.left_s()) > 0:  # noqa: ASYNC110 - time is all that is waited for
            await asyncio.sleep(left_s)
        self._clock.has_expired = True
        self._is_over.set()
        self._cancel()

    def _overdue(self) -> MiwakeError:
        return self.recovery.overdue() if self._clock.has_expired else ClosedError()

    def _translate(self, error: grpc.RpcError) -> MiwakeError:
        return self._overdue() if self._is_over.is_set() else translate_error(error, target=self._target)


async def wait_at_most(timeout_s: float | None, event: asyncio.Event) -> None:
    """Wait for an event, but no longer than so many seconds; None: for as long as it takes."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return


def _is_task_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
