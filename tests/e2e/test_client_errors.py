"""The table of errors, walked through a real server by both clients."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from miwake.client import (
    AccessError,
    Client,
    ConflictError,
    DeadlineExceededError,
    IndexUnusableError,
    InvalidQueryError,
    MiwakeError,
    NotFoundError,
    OverloadedError,
    Retry,
    ServerError,
    UnavailableError,
    UnsupportedError,
)
from support.clients import KINDS, classify, error_of, inspect, search_neighbours
from support.service import Failure, InMemoryService, queries, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from miwake.inspection.v1 import answer_pb2

TABLE = [
    (grpc.StatusCode.INVALID_ARGUMENT, InvalidQueryError, ValueError),
    (grpc.StatusCode.OUT_OF_RANGE, InvalidQueryError, ValueError),
    (grpc.StatusCode.NOT_FOUND, NotFoundError, LookupError),
    (grpc.StatusCode.UNAUTHENTICATED, AccessError, PermissionError),
    (grpc.StatusCode.PERMISSION_DENIED, AccessError, PermissionError),
    (grpc.StatusCode.UNAVAILABLE, UnavailableError, MiwakeError),
    (grpc.StatusCode.ABORTED, UnavailableError, MiwakeError),
    (grpc.StatusCode.CANCELLED, UnavailableError, MiwakeError),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError, MiwakeError),
    (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceededError, TimeoutError),
    (grpc.StatusCode.FAILED_PRECONDITION, IndexUnusableError, MiwakeError),
    (grpc.StatusCode.DATA_LOSS, IndexUnusableError, MiwakeError),
    (grpc.StatusCode.UNIMPLEMENTED, UnsupportedError, MiwakeError),
    (grpc.StatusCode.INTERNAL, ServerError, MiwakeError),
    (grpc.StatusCode.UNKNOWN, ServerError, MiwakeError),
    (grpc.StatusCode.ALREADY_EXISTS, ConflictError, ValueError),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("code", "expected", "base"), TABLE, ids=lambda value: getattr(value, "name", ""))
def test_every_status_has_its_error_with_the_words_of_the_server(
    kind: str, code: grpc.StatusCode, expected: type[MiwakeError], base: type[Exception]
) -> None:
    service = InMemoryService(failure=Failure(code, "said by the server"))

    with serving(service) as target:
        called = error_of(lambda: classify(kind, target, queries(1)))
        searched = error_of(lambda: search_neighbours(kind, target, queries(1)))
        _, streamed = inspect(kind, target, queries(1))

    assert [type(error) for error in (called, searched, streamed)] == [expected] * 3
    assert isinstance(called, base)
    assert [str(error).endswith("said by the server") for error in (called, searched, streamed)] == [True] * 3


def test_a_status_is_not_lost_when_the_server_ends_a_stream_that_is_being_written() -> None:
    with serving(InMemoryService(failure=Failure(grpc.StatusCode.DATA_LOSS))) as target:
        errors = [inspect("asyncio", target, queries(1))[1] for _ in range(200)]

    assert {type(error) for error in errors} == {IndexUnusableError}


def test_the_table_of_the_tests_is_the_whole_table() -> None:
    assert {code for code, _, _ in TABLE} == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize("kind", KINDS)
def test_the_details_of_an_error_are_read(kind: str) -> None:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason="STATION_REQUIRED", domain="miwake", metadata={"stations": "a, b"}),
        error_details_pb2.BadRequest(
            field_violations=[error_details_pb2.BadRequest.FieldViolation(field="station", description="is empty")]
        ),
        error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1, nanos=500_000_000)),
    ]
    failure = Failure(
        grpc.StatusCode.INVALID_ARGUMENT, "which station?", (("grpc-status-details-bin", packed(details)),)
    )

    with serving(InMemoryService(failure=failure)) as target:
        error = error_of(lambda: classify(kind, target, queries(1)))

    assert str(error) == "which station?"
    assert error.details.reason == "STATION_REQUIRED"
    assert error.details.metadata == {"stations": "a, b"}
    assert error.details.violations == ("station: is empty",)
    assert error.details.retry_after_s == 1.5


def packed(details: Sequence[Message]) -> bytes:
    status = status_pb2.Status(code=3, message="which station?")
    for detail in details:
        wrapped = any_pb2.Any()
        wrapped.Pack(detail)
        status.details.append(wrapped)
    return bytes(status.SerializeToString())


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_details_do_not_hide_the_error(kind: str) -> None:
    failure = Failure(grpc.StatusCode.NOT_FOUND, "no such station", (("grpc-status-details-bin", b"\x0a\xff"),))

    with serving(InMemoryService(failure=failure)) as target:
        error = error_of(lambda: classify(kind, target, queries(1)))

    assert isinstance(error, NotFoundError)
    assert error.details.reason == ""


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_where_nobody_listens_is_named(kind: str) -> None:
    with serving(InMemoryService()) as target:
        pass

    called = error_of(lambda: classify(kind, target, queries(1)))
    answers, streamed = inspect(kind, target, queries(1))

    assert isinstance(called, UnavailableError)
    assert str(called).startswith(f"{target}: ")
    assert answers == []
    assert isinstance(streamed, UnavailableError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_stops_while_a_stream_connects_is_told_at_once(kind: str) -> None:
    errors = [stream_to_a_stopping_server(kind) for _ in range(100)]

    # Some streams are answered before the server stops; none may wait for its deadline, or for ever.
    assert {type(error) for error in errors} <= {UnavailableError, type(None)}


def stream_to_a_stopping_server(kind: str) -> Exception | None:
    errors: list[Exception | None] = []
    with serving(InMemoryService()) as target:
        thread = threading.Thread(target=lambda: errors.append(inspect(kind, target, queries(3), timeout_s=10)[1]))
        thread.start()
    thread.join(30)
    return errors[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_without_an_answer_ends_at_its_deadline(kind: str) -> None:
    over = threading.Event()

    def wait(answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
        over.wait(30)
        return answers

    with serving(InMemoryService(tamper=wait)) as target:
        error = error_of(lambda: classify(kind, target, queries(1), timeout_s=0.1))
        over.set()

    assert isinstance(error, DeadlineExceededError)


BUSY = Failure(
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "busy",
    (
        (
            "grpc-status-details-bin",
            packed([error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=100_000_000))]),
        ),
    ),
)
GONE = Failure(grpc.StatusCode.UNAVAILABLE, "gone")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("failure", [BUSY, GONE], ids=["busy", "gone"])
@pytest.mark.parametrize("call", ["inspect", "classify"])
def test_what_may_pass_is_asked_again_until_it_has_passed(kind: str, failure: Failure, call: str) -> None:
    service = InMemoryService(failure=failure)
    retry = Retry(first_s=0.02, longest_s=0.05)
    with serving(service) as target:
        threading.Timer(0.3, setattr, (service, "failure", None)).start()
        if call == "classify":
            answers, error = classify(kind, target, queries(3), retry=retry), None
        else:
            answers, error = inspect(kind, target, queries(3), retry=retry)

    assert [answer.sequence for answer in answers] == [0, 1, 2]
    assert error is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_pass_is_raised_as_it_last_was_before_the_deadline(kind: str) -> None:
    with serving(InMemoryService(failure=GONE)) as target:
        error = error_of(
            lambda: classify(kind, target, queries(1), retry=Retry(first_s=0.02, longest_s=0.05), timeout_s=0.3)
        )

    assert isinstance(error, UnavailableError)
    assert str(error) == f"{target}: gone"


def test_a_message_over_the_limit_of_the_server_is_the_callers_error_and_no_overload() -> None:
    with serving(InMemoryService()) as target, Client(target) as client:
        vectors = [queries(1)[0].repeat(100_000)]

        with pytest.raises(InvalidQueryError, match="message larger than max"):
            client.classify(vectors)
