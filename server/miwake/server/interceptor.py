"""Turns every error of a service into a status: the only place that knows both, and the outermost one of a call."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import structlog

from miwake.server.access import refusing
from miwake.server.errors import OverloadedError, UnknownMethodError
from miwake.server.status import mapping_of, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Handler = grpc.RpcMethodHandler[Any, Any]

log = structlog.get_logger()

CALL_RETRY_AFTER_S = 0.25
"""When to try again where too many calls are open: they are short."""


class OpenCalls:
    """How many calls with one request each are open, those who ask for health or reflection left out.

    Parameters
    ----------
    limit : int
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._n_open = 0
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a call for as long as it is open.

        Raises
        ------
        OverloadedError
            If too many are.
        """
        with self._lock:
            if self._n_open >= self._limit:
                raise OverloadedError(what="open calls", limit=self._limit, retry_after_s=CALL_RETRY_AFTER_S)
            self._n_open += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_open -= 1


class ErrorInterceptor(grpc.ServerInterceptor):
    """Maps errors for the methods of some services; those of others (health, reflection) are left as they are.

    Parameters
    ----------
    services : texts
    max_calls : int
        Calls of these services, but for streams in both directions, that are open at once.
    """

    def __init__(self, *services: str, max_calls: int) -> None:
        self._prefixes = tuple(f"/{service}/" for service in services)
        self._calls = OpenCalls(max_calls)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the method's handler with its errors mapped; for a method that there is not, one that says so."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return refusing(UnknownMethodError(method))
        if not method.startswith(self._prefixes):
            return handler
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _mapping_stream(handler.stream_stream, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _mapping_stream(self._counting_stream(handler.unary_stream), method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _mapping_unary(self._counting_unary(handler.unary_unary), method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return handler

    def _counting_unary(self, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        def counted(request: Any, context: grpc.ServicerContext) -> Any:
            with self._calls.one():
                return behaviour(request, context)

        return counted

    def _counting_stream(self, behaviour: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def counted(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self._calls.one():
                yield from behaviour(request, context)

        return counted


def _mapping_unary(behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
    def mapped(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return behaviour(request, context)
        except Exception as error:  # noqa: BLE001 - the outermost place of a call
            _abort(context, method, error)

    return mapped


def _mapping_stream(behaviour: Callable[..., Iterator[Any]], method: str) -> Callable[..., Iterator[Any]]:
    def mapped(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from behaviour(requests, context)
        except Exception as error:  # noqa: BLE001 - the outermost place of a call
            _abort(context, method, error)

    return mapped


def _abort(context: grpc.ServicerContext, method: str, error: Exception) -> None:
    if mapping_of(error) is None:
        log.error("call_failed", method=method, exc_info=error)
    context.abort_with_status(status_of(error))
