"""Everything the client raises.

::

    MiwakeError
    ├── InvalidQueryError (ValueError)        a vector or an argument cannot be sent, or the server refused it
    ├── DataFileError (ValueError)            a file of vectors cannot be used
    ├── NotFoundError (LookupError)           the server has no such station, or it no such reference
    ├── ConflictError (ValueError)            an id stands for another reference already
    ├── AccessError (PermissionError)         the server wants other credentials
    ├── UnavailableError                      no server answers, and has not for as long as was retried
    │   └── DrainingError                     the server stopped in the middle of a stream
    ├── OverloadedError                       the server has too much to do, and had for as long as was retried
    ├── DeadlineExceededError (TimeoutError)  no answer in time
    ├── IndexUnusableError                    the station's index cannot be used as it is
    ├── UnsupportedError                      the server does not know the call
    ├── ProtocolError                         the server broke the contract
    ├── ServerError                           the server failed; the cause is in its log
    └── ClosedError (ValueError)              the client has been closed

Messages are the server's own where it sent one. A vector that cannot be judged raises nothing: its answer holds an
``ItemError``, and the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DETAILS_KEY = "grpc-status-details-bin"
"""The trailer in which gRPC carries a serialised google.rpc.Status."""

OVERSIZE_TEXT = "message larger than max"
"""What gRPC itself says, under RESOURCE_EXHAUSTED, of a message over a limit: sending it again would not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetails:
    """What the server said beside its message, by google.rpc; empty where it said nothing.

    Attributes
    ----------
    reason : text
        Of the ErrorInfo, such as ``STATION_NOT_FOUND``.
    metadata : mapping of text to text
        Of the ErrorInfo.
    violations : tuple of text
        Of the BadRequest, each ``field: description``.
    retry_after_s : float or None
        Of the RetryInfo, in seconds.
    """

    reason: str = ""
    metadata: Mapping[str, str] | None = None
    violations: tuple[str, ...] = ()
    retry_after_s: float | None = None


class MiwakeError(Exception):
    """Base of all errors of the client."""

    def __init__(self, message: str, *, details: ErrorDetails | None = None) -> None:
        super().__init__(message)
        self.details = details or ErrorDetails()


class InvalidQueryError(MiwakeError, ValueError):
    """A vector or an argument cannot be sent, or the server refused the whole call for it."""


class DataFileError(MiwakeError, ValueError):
    """A file of vectors cannot be used: something in it is missing, wrong or not understood."""


class NotFoundError(MiwakeError, LookupError):
    """The server has no such station, or the station no such reference."""


class ConflictError(MiwakeError, ValueError):
    """An id stands for another vector, label or failure mode already."""


class AccessError(MiwakeError, PermissionError):
    """The server wants credentials, or others."""


class UnavailableError(MiwakeError):
    """No server answers, or it has nothing loaded yet. Worth retrying, as the client does by itself if it may."""


class DrainingError(UnavailableError):
    """The server stopped in the middle of a stream. Everything it accepted has been answered.

    Attributes
    ----------
    n_accepted : int
        Vectors accepted and answered; the sequence of the first that was not.
    n_taken : int
        Vectors taken from the producer; those from ``n_accepted`` on have to be sent again, to another server.
    """

    def __init__(self, *, n_accepted: int, n_taken: int) -> None:
        super().__init__(
            f"the server is stopping: it accepted and answered {n_accepted} vectors, {n_taken} had been taken so far"
        )
        self.n_accepted = n_accepted
        self.n_taken = n_taken


class OverloadedError(MiwakeError):
    """The server has too much to do. Worth retrying after ``details.retry_after_s``."""


class DeadlineExceededError(MiwakeError, TimeoutError):
    """No answer came in time."""


class IndexUnusableError(MiwakeError):
    """The station's index is empty, damaged, or of another release."""


class UnsupportedError(MiwakeError):
    """The server does not know the call: it is older, or no miwake server."""


class ProtocolError(MiwakeError):
    """The server broke the contract: an answer is missing, out of order, or makes no sense."""


class ServerError(MiwakeError):
    """The server failed; the cause is in its log."""


class ClosedError(MiwakeError, ValueError):
    """The client has been closed."""

    def __init__(self) -> None:
        super().__init__("the client has been closed")


ERRORS: Mapping[grpc.StatusCode, type[MiwakeError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidQueryError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidQueryError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ConflictError,
    grpc.StatusCode.UNAUTHENTICATED: AccessError,
    grpc.StatusCode.PERMISSION_DENIED: AccessError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.ABORTED: UnavailableError,
    grpc.StatusCode.CANCELLED: UnavailableError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.FAILED_PRECONDITION: IndexUnusableError,
    grpc.StatusCode.DATA_LOSS: IndexUnusableError,
    grpc.StatusCode.UNIMPLEMENTED: UnsupportedError,
    grpc.StatusCode.INTERNAL: ServerError,
}
"""What each gRPC status becomes; what is not named here is a ``ServerError``."""


def translate_error(error: grpc.RpcError, *, target: str) -> MiwakeError:
    """Return the client's error for a failed call.

    Parameters
    ----------
    error : grpc.RpcError
        From the blocking or the asyncio stack: what either raises has a code, details and trailing metadata.
    target : text
        The address, named where the server could not be reached.
    """
    call = cast("grpc.Call", error)
    code = call.code()
    kind = ERRORS.get(code, ServerError)
    message = call.details() or code.name.lower().replace("_", " ")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and OVERSIZE_TEXT in message:
        kind = InvalidQueryError
    if kind in (UnavailableError, DeadlineExceededError):
        message = f"{target}: {message}"
    return kind(message, details=read_details(call.trailing_metadata() or ()))


def read_details(trailers: Iterable[tuple[str, str | bytes]]) -> ErrorDetails:
    """Return the google.rpc details of a failed call; empty where there are none."""
    data = next((value for key, value in trailers if key == DETAILS_KEY), None)
    if not isinstance(data, bytes):
        return ErrorDetails()
    info, request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    try:
        for detail in status_pb2.Status.FromString(data).details:
            for known in (info, request, retry):
                detail.Unpack(known)
    except DecodeError:
        return ErrorDetails()
    return ErrorDetails(
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(f"{violation.field}: {violation.description}" for violation in request.field_violations),
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )
