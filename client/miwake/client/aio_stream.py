"""One asyncio stream: a task takes vectors from the producer while the caller takes answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from miwake.client.aio_status import ReceivedStatus
from miwake.client.errors import ClosedError, DeadlineExceededError, InvalidQueryError, MiwakeError, translate_error
from miwake.client.flow import Flow
from miwake.client.idle import IdleClock
from miwake.client.packing import inspect_request, pack
from miwake.client.unpacking import unpack_answers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from miwake.client.answers import Answer
    from miwake.client.flow import FlowSettings
    from miwake.client.inspections import Inspection, Vector
    from miwake.inspection.v1 import inspection_service_pb2
    from miwake.inspection.v1.inspection_service_pb2_grpc import InspectionServiceAsyncStub

TURN_S = 0.001
"""How long a plain iterable may run before the event loop has a turn: a fast one fills messages, and a slow one is sent
vector by vector."""


class AsyncStream:
    """Sends what a producer gives and hands over the answers, with a task for the producer and one for the clock.

    All state is in ``Flow``; nothing here is shared between threads.
    """

    def __init__(
        self,
        stub: InspectionServiceAsyncStub,
        header: inspection_service_pb2.InspectRequest,
        items: Iterable[Vector | Inspection] | AsyncIterable[Vector | Inspection],
        settings: FlowSettings,
        *,
        target: str,
    ) -> None:
        self._stub = stub
        self._header = header
        self._items = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        self._target = target
        self._flow = Flow(settings)
        self._clock = IdleClock(self._flow)
        self._slot_is_free = asyncio.Event()
        self._message_is_ready = asyncio.Event()
        self._last_turn_s = monotonic()
        self._failure: BaseException | None = None
        self._call: grpc.aio.Call | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def answers(self) -> AsyncGenerator[Answer]:
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
            status = ReceivedStatus(call)
            self._tasks = [asyncio.create_task(self._produce()), asyncio.create_task(self._watch())]
            responses = aiter(call)
            while (response := await self._next_response(responses, status)) is not None:
                for answer in self._receive(response):
                    self._flow.n_handed_over += 1
                    self._slot_is_free.set()
                    yield answer
            self._check_end()
        except MiwakeError as error:
            if self._failure is not None and error is not self._failure:
                raise self._failure from error
            raise
        finally:
            self.stop()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """Cancel the call and the tasks."""
        self._flow.is_stopped = True
        self._slot_is_free.set()
        self._message_is_ready.set()
        if self._call is not None:
            self._call.cancel()
        for task in self._tasks:
            task.cancel()

    async def _produce(self) -> None:
        try:
            is_done = await self._pull_all()
        except BaseException as error:
            if self._flow.is_stopped:
                raise
            self._failure = error
            is_done = True
        self._clock.note_sending()
        self._flow.producer_is_done = is_done
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
        while self._flow.n_free <= 0 and not self._flow.wants_no_more:
            self._slot_is_free.clear()
            await self._slot_is_free.wait()
        return not self._flow.wants_no_more

    def _take(self, item: Vector | Inspection) -> None:
        try:
            self._flow.take(pack(item))
        except InvalidQueryError as error:
            message = f"vector {self._flow.n_taken}: {error}"
            raise InvalidQueryError(message) from error
        self._message_is_ready.set()

    async def _requests(self) -> AsyncIterator[inspection_service_pb2.InspectRequest]:
        while True:
            while not (self._flow.may_send or self._flow.has_sent_all):
                self._message_is_ready.clear()
                await self._message_is_ready.wait()
            if self._flow.has_sent_all:
                return
            self._clock.note_sending()
            yield inspect_request(self._header, self._flow.next_message())

    async def _next_response(
        self, responses: AsyncIterator[inspection_service_pb2.InspectResponse], status: ReceivedStatus
    ) -> inspection_service_pb2.InspectResponse | None:
        if self._flow.is_drained:
            return None
        self._clock.start_asking()
        try:
            return await anext(responses, None)
        except grpc.aio.AioRpcError as error:
            ended_with = await status.instead_of(error)
            if ended_with is None:
                return None
            raise self._translate(ended_with) from error
        except asyncio.CancelledError as error:
            # gRPC raises this where the call was cancelled from here, as asyncio does for the task.
            if _is_task_being_cancelled() or not (self._clock.has_expired or self._flow.is_stopped):
                raise
            raise self._translate(None) from error
        finally:
            self._clock.stop_asking()

    def _receive(self, response: inspection_service_pb2.InspectResponse) -> list[Answer]:
        first = self._flow.receive(response)
        self._message_is_ready.set()
        return unpack_answers(response, first)

    async def _watch(self) -> None:
        while (left_s := self._clock.left_s()) > 0:  # noqa: ASYNC110 - time is all that is waited for
            await asyncio.sleep(left_s)
        self._clock.has_expired = True
        if self._call is not None:
            self._call.cancel()

    def _check_end(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._flow.check_end()

    def _translate(self, error: grpc.RpcError | None) -> MiwakeError:
        if self._clock.has_expired:
            return DeadlineExceededError(self._flow.overdue_text(self._target))
        if self._flow.is_stopped or error is None:
            return ClosedError()
        return translate_error(error, target=self._target)


def _is_task_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
