"""Turns every error of a service into a status: the only place that knows both, and the outermost one of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import structlog

from miwake.server.status import mapping_of, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Handler = grpc.RpcMethodHandler[Any, Any]

log = structlog.get_logger()


class ErrorInterceptor(grpc.ServerInterceptor):
    """Maps errors for the methods of some services; those of others (health, reflection) are left as they are."""

    def __init__(self, *services: str) -> None:
        self._prefixes = tuple(f"/{service}/" for service in services)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the method's handler with its errors mapped."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(self._prefixes):
            return handler
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _mapping_stream(handler.stream_stream, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _mapping_stream(handler.unary_stream, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _mapping_unary(handler.unary_unary, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return handler


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
