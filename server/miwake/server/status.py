"""Which gRPC status each error becomes, with its google.rpc details; the client's ``errors.py`` is the other side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from miwake.indexer.errors import (
    ArtifactCorruptError,
    ArtifactVersionError,
    DataError,
    EmbedderError,
    InvalidVectorError,
    PairsNotCalibratedError,
    RateNotShownError,
    ReferenceConflictError,
    ReferenceNotFoundError,
    StationNotFoundError,
    StoreBusyError,
    StoreError,
)
from miwake.server.errors import (
    BusyStationError,
    DeadlineError,
    IndexNotLoadedError,
    MissingGenerationError,
    OverloadedError,
    RequestError,
    StoppingError,
    StreamTakenOverError,
    UnauthenticatedError,
    UnknownGenerationError,
    UnknownMethodError,
    UnknownOperationError,
    UnknownStationError,
    UnusableGenerationError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

DOMAIN = "miwake"
"""The ``domain`` of every ErrorInfo."""

RETRY_AFTER_S = 1.0
"""When to try again where the server is about to be ready, or about to be replaced."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A status code, and the ErrorInfo's reason."""

    code: grpc.StatusCode
    reason: str


STATUSES: Mapping[type[Exception], Mapped] = {
    RequestError: Mapped(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    InvalidVectorError: Mapped(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VECTOR"),
    UnknownStationError: Mapped(grpc.StatusCode.NOT_FOUND, "STATION_NOT_FOUND"),
    StationNotFoundError: Mapped(grpc.StatusCode.NOT_FOUND, "STATION_NOT_FOUND"),
    UnknownGenerationError: Mapped(grpc.StatusCode.NOT_FOUND, "GENERATION_NOT_FOUND"),
    MissingGenerationError: Mapped(grpc.StatusCode.NOT_FOUND, "GENERATION_NOT_FOUND"),
    UnusableGenerationError: Mapped(grpc.StatusCode.FAILED_PRECONDITION, "GENERATION_UNUSABLE"),
    StreamTakenOverError: Mapped(grpc.StatusCode.ABORTED, "STREAM_TAKEN_OVER"),
    UnknownOperationError: Mapped(grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND"),
    BusyStationError: Mapped(grpc.StatusCode.FAILED_PRECONDITION, "REBUILD_UNDER_WAY"),
    IndexNotLoadedError: Mapped(grpc.StatusCode.UNAVAILABLE, "INDEX_NOT_LOADED"),
    StoppingError: Mapped(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING"),
    OverloadedError: Mapped(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    DeadlineError: Mapped(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    UnauthenticatedError: Mapped(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    UnknownMethodError: Mapped(grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND"),
    PairsNotCalibratedError: Mapped(grpc.StatusCode.FAILED_PRECONDITION, "PAIRS_NOT_CALIBRATED"),
    RateNotShownError: Mapped(grpc.StatusCode.FAILED_PRECONDITION, "RATE_NOT_SHOWN"),
    DataError: Mapped(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REFERENCE"),
    ReferenceNotFoundError: Mapped(grpc.StatusCode.NOT_FOUND, "REFERENCE_NOT_FOUND"),
    ReferenceConflictError: Mapped(grpc.StatusCode.ALREADY_EXISTS, "REFERENCE_CONFLICT"),
    StoreBusyError: Mapped(grpc.StatusCode.UNAVAILABLE, "STORE_BUSY"),
    StoreError: Mapped(grpc.StatusCode.FAILED_PRECONDITION, "STORE_UNUSABLE"),
    ArtifactVersionError: Mapped(grpc.StatusCode.FAILED_PRECONDITION, "ARTIFACT_VERSION"),
    EmbedderError: Mapped(grpc.StatusCode.FAILED_PRECONDITION, "EMBEDDER_UNUSABLE"),
    ArtifactCorruptError: Mapped(grpc.StatusCode.DATA_LOSS, "ARTIFACT_CORRUPT"),
}
"""Errors that a caller is told. Any other is INTERNAL, with a fixed text; its cause goes to the log."""

TOLD: Mapping[type[Exception], Mapping[str, str]] = {
    UnknownStationError: {"station": "station", "served": "served"},
    UnknownGenerationError: {"station": "station", "generation": "generation", "served": "served"},
    MissingGenerationError: {"station": "station", "generation": "generation"},
    UnusableGenerationError: {"station": "station", "generation": "generation"},
    StreamTakenOverError: {"stream_id": "stream_id"},
    BusyStationError: {"station": "station", "operation": "operation"},
    ReferenceNotFoundError: {"station": "station", "id": "reference_id"},
    OverloadedError: {"what": "what", "limit": "limit"},
    PairsNotCalibratedError: {"station": "station", "generation": "generation"},
    RateNotShownError: {"shown": "shown", "n_parts": "n_parts"},
}
"""The ErrorInfo's metadata: by name, the attribute of the error."""

INTERNAL = Mapped(grpc.StatusCode.INTERNAL, "INTERNAL")
INTERNAL_TEXT = "the server failed on this call; the cause is in its log"


def mapping_of(error: Exception) -> Mapped | None:
    """Return what a caller is told of an error, None where the cause stays in the log."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)


def status_of(error: Exception) -> Any:
    """Return the ``grpc.Status`` for an error, with details that programs can read."""
    mapped = mapping_of(error)
    text = INTERNAL_TEXT if mapped is None else str(error)
    mapped = mapped or INTERNAL
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=mapped.reason, domain=DOMAIN, metadata=_metadata(error))
    ]
    if isinstance(error, RequestError):
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.problem)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if mapped.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
        delay = duration_pb2.Duration()
        delay.FromMicroseconds(round(1e6 * getattr(error, "retry_after_s", RETRY_AFTER_S)))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(
        code=mapped.code.value[0],
        message=text,
        details=[_packed(detail) for detail in details],
    )
    return rpc_status.to_status(status)


def _metadata(error: Exception) -> Mapping[str, str]:
    told = next((TOLD[kind] for kind in type(error).__mro__ if kind in TOLD), {})
    values = {name: getattr(error, attribute) for name, attribute in told.items()}
    return {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in values.items()
    }


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
