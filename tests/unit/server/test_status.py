from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

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
from miwake.server.status import STATUSES, status_of

DETAILS_KEY = "grpc-status-details-bin"

CASES = [
    (RequestError(field="k", problem="0, expected 1 … 9"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    (InvalidVectorError(expected="(Q, 4)", actual=(3,)), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VECTOR"),
    (UnknownStationError("x", served=("a",)), grpc.StatusCode.NOT_FOUND, "STATION_NOT_FOUND"),
    (
        UnknownGenerationError("g2", station="a", served="g1"),
        grpc.StatusCode.NOT_FOUND,
        "GENERATION_NOT_FOUND",
    ),
    (MissingGenerationError("g2", station="a"), grpc.StatusCode.NOT_FOUND, "GENERATION_NOT_FOUND"),
    (
        UnusableGenerationError("g2", station="a", problem="x"),
        grpc.StatusCode.FAILED_PRECONDITION,
        "GENERATION_UNUSABLE",
    ),
    (StreamTakenOverError("s"), grpc.StatusCode.ABORTED, "STREAM_TAKEN_OVER"),
    (StationNotFoundError("x"), grpc.StatusCode.NOT_FOUND, "STATION_NOT_FOUND"),
    (IndexNotLoadedError(), grpc.StatusCode.UNAVAILABLE, "INDEX_NOT_LOADED"),
    (StoppingError(), grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING"),
    (
        OverloadedError(what="open streams", limit=3, retry_after_s=0.25),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "OVERLOADED",
    ),
    (DeadlineError(), grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    (UnknownOperationError("rebuild-1"), grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND"),
    (
        BusyStationError("a", operation="rebuild-1"),
        grpc.StatusCode.FAILED_PRECONDITION,
        "REBUILD_UNDER_WAY",
    ),
    (UnauthenticatedError("x"), grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    (UnknownMethodError("/a/B"), grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND"),
    (
        PairsNotCalibratedError(station="a", generation="g1"),
        grpc.StatusCode.FAILED_PRECONDITION,
        "PAIRS_NOT_CALIBRATED",
    ),
    (
        RateNotShownError(0.001, shown=(0.01, 0.1), n_parts=400),
        grpc.StatusCode.FAILED_PRECONDITION,
        "RATE_NOT_SHOWN",
    ),
    (DataError("x"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REFERENCE"),
    (ReferenceNotFoundError("r1", station="a"), grpc.StatusCode.NOT_FOUND, "REFERENCE_NOT_FOUND"),
    (ReferenceConflictError("x"), grpc.StatusCode.ALREADY_EXISTS, "REFERENCE_CONFLICT"),
    (StoreBusyError("x"), grpc.StatusCode.UNAVAILABLE, "STORE_BUSY"),
    (StoreError("x"), grpc.StatusCode.FAILED_PRECONDITION, "STORE_UNUSABLE"),
    (ArtifactVersionError("x"), grpc.StatusCode.FAILED_PRECONDITION, "ARTIFACT_VERSION"),
    (EmbedderError("x"), grpc.StatusCode.FAILED_PRECONDITION, "EMBEDDER_UNUSABLE"),
    (ArtifactCorruptError("x"), grpc.StatusCode.DATA_LOSS, "ARTIFACT_CORRUPT"),
]


def details_of(error: Exception) -> status_pb2.Status:
    (value,) = [value for key, value in status_of(error).trailing_metadata if key == DETAILS_KEY]
    return status_pb2.Status.FromString(value)


@pytest.mark.parametrize(("error", "code", "reason"), CASES)
def test_an_error_has_its_status_its_own_text_and_a_reason(
    error: Exception, code: grpc.StatusCode, reason: str
) -> None:
    status = status_of(error)

    info = error_details_pb2.ErrorInfo()
    assert details_of(error).details[0].Unpack(info)
    assert (status.code, status.details) == (code, str(error))
    assert (info.reason, info.domain) == (reason, "miwake")


def test_every_mapped_error_is_among_the_cases() -> None:
    assert {type(error) for error, _, _ in CASES} == set(STATUSES)


def test_a_refused_request_names_its_field() -> None:
    request = error_details_pb2.BadRequest()
    assert details_of(CASES[0][0]).details[1].Unpack(request)

    assert request.field_violations[0].field == "k"
    assert request.field_violations[0].description == "0, expected 1 … 9"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(OverloadedError(what="open streams", limit=3, retry_after_s=0.25), 0.25), (StoppingError(), 1.0)],
)
def test_what_may_pass_says_when_to_try_again(error: Exception, seconds: float) -> None:
    retry = error_details_pb2.RetryInfo()
    assert details_of(error).details[1].Unpack(retry)

    assert retry.retry_delay.ToMilliseconds() == 1000 * seconds


def test_any_other_error_is_internal_and_tells_nothing() -> None:
    status = status_of(KeyError("secret"))

    assert status.code is grpc.StatusCode.INTERNAL
    assert "secret" not in status.details
    assert b"secret" not in details_of(KeyError("secret")).SerializeToString()


def test_a_narrower_error_is_told_as_the_one_it_is_made_of() -> None:
    class NarrowerError(RequestError):
        pass

    assert status_of(NarrowerError(field="k", problem="no")).code is grpc.StatusCode.INVALID_ARGUMENT
