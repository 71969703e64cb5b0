from __future__ import annotations

from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from miwake.client.errors import AccessError, DrainingError, ErrorDetails, read_details


def test_an_error_of_the_system_keeps_its_message_and_details() -> None:
    error = AccessError("bad token", details=ErrorDetails(reason="EXPIRED"))

    assert str(error) == "bad token"
    assert error.details.reason == "EXPIRED"


def test_a_draining_error_says_how_far_it_came() -> None:
    error = DrainingError(n_accepted=3, n_taken=5)

    assert str(error) == "the server is stopping: it accepted and answered 3 vectors, 5 had been taken so far"


def test_trailers_without_details_are_no_details() -> None:
    assert read_details([("x-trace", "1")]) == ErrorDetails()


def test_what_the_server_said_beside_its_message_is_read() -> None:
    status = status_pb2.Status(code=8, message="busy")
    for detail in (
        error_details_pb2.ErrorInfo(reason="OVERLOADED", metadata={"limit": "4096"}),
        error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=250_000_000)),
    ):
        status.details.add().Pack(detail)

    details = read_details([("grpc-status-details-bin", status.SerializeToString())])

    assert details == ErrorDetails(reason="OVERLOADED", metadata={"limit": "4096"}, retry_after_s=0.25)


def test_details_that_are_no_message_are_no_details() -> None:
    assert read_details([("grpc-status-details-bin", b"\xff\xff")]) == ErrorDetails()
