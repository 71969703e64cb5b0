"""The status a server ended an asyncio call with, which gRPC for asyncio may lose.

When a server ends a stream while a message is being written, the write fails, and grpc.aio puts INTERNAL in the place
of the status that the server sent: https://github.com/grpc/grpc/issues/36066. Every status passes by here before it can
be overwritten. Where none comes, the connection is what failed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

FAILED_WRITE_TEXT = "Internal error from Core"
"""What grpc.aio says when a write failed, whatever the reason."""

PATIENCE_S = 0.5
"""How long the server's own status is waited for after a failed write; if it comes, it comes within milliseconds."""

BROKEN_TEXT = "the connection broke while a message was being written"

T = TypeVar("T")


class ReceivedStatus:
    """Remembers the first status of a call that is more than a failed write."""

    def __init__(self, call: grpc.aio.Call) -> None:
        self._error: grpc.aio.AioRpcError | None = None
        self._has_come = asyncio.Event()
        call.add_done_callback(self._note)

    async def instead_of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError | None:
        """Return what the call really ended with, None if all was well."""
        if error.details() != FAILED_WRITE_TEXT:
            return error
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._has_come.wait()
        except TimeoutError:
            return _broken(error)
        return self._error

    def _note(self, call: grpc.aio.Call) -> None:
        details = _result_now(call.details())
        if details == FAILED_WRITE_TEXT or self._has_come.is_set():
            return
        self._has_come.set()
        code = _result_now(call.code())
        if code is not grpc.StatusCode.OK:
            trailers = _result_now(call.trailing_metadata())
            self._error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details)


def _broken(error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
    """Return what a failed write means where the server has said nothing: there is no server any more."""
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, error.initial_metadata(), error.trailing_metadata(), BROKEN_TEXT
    )


def _result_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that has nothing left to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    message = "the status of a call that has ended is not there"
    raise RuntimeError(message)
