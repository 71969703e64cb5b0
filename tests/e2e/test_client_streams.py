"""Streams of both clients against a gRPC server behind a socket: order, back-pressure, ends good and bad.

One module, since every test asks the same in-memory service by the same driver of both clients.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from miwake.client import (
    Answer,
    AsyncClient,
    Client,
    ClosedError,
    DeadlineExceededError,
    DrainingError,
    Inspection,
    InvalidQueryError,
    ItemErrorReason,
    ProtocolError,
)
from support.clients import KINDS, inspect
from support.service import InMemoryService, queries, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from numpy.typing import NDArray

    from miwake.inspection.v1 import answer_pb2

PATIENCE_S = 30.0
VECTOR = queries(1)[0]


@pytest.fixture
def service() -> InMemoryService:
    return InMemoryService()


@pytest.fixture
def target(service: InMemoryService) -> Iterator[str]:
    with serving(service) as address:
        yield address


def endless() -> Iterator[NDArray[np.float32]]:
    while True:
        yield VECTOR


@pytest.mark.parametrize("kind", KINDS)
def test_every_vector_gets_its_answer_in_order(kind: str, target: str) -> None:
    items = [Inspection(vector=vector, id=f"part {place}") for place, vector in enumerate(queries(1000))]

    answers, error = inspect(kind, target, items)

    assert error is None
    assert [answer.sequence for answer in answers] == list(range(1000))
    assert [answer.id for answer in answers] == [f"part {place}" for place in range(1000)]
    assert [answer.verdict.label for answer in answers if answer.verdict] == [place % 3 for place in range(1000)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_that_cannot_be_judged_gets_an_error_and_the_stream_goes_on(kind: str, target: str) -> None:
    items = [VECTOR, VECTOR[:-1], np.full_like(VECTOR, np.nan), VECTOR]

    answers, error = inspect(kind, target, items)

    assert error is None
    assert [answer.error and answer.error.reason for answer in answers] == [
        None,
        ItemErrorReason.WRONG_LENGTH,
        ItemErrorReason.NON_FINITE,
        None,
    ]
    assert [answer.verdict is None for answer in answers] == [False, True, True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_inspect_is_no_answers(kind: str, target: str) -> None:
    assert inspect(kind, target, []) == ([], None)


def test_an_answer_comes_while_the_producer_is_still_at_work(target: str) -> None:
    first_is_answered = threading.Event()

    def camera() -> Iterator[NDArray[np.float32]]:
        yield VECTOR
        assert first_is_answered.wait(PATIENCE_S)
        yield VECTOR

    with Client(target) as client:
        answers = client.inspect(camera())
        first = next(answers)
        first_is_answered.set()
        rest = list(answers)

    assert first.sequence == 0
    assert [answer.sequence for answer in rest] == [1]


def test_an_answer_comes_while_an_asynchronous_producer_is_still_at_work(target: str) -> None:
    async def run() -> list[int]:
        first_is_answered = asyncio.Event()

        async def camera() -> AsyncIterator[NDArray[np.float32]]:
            yield VECTOR
            await asyncio.wait_for(first_is_answered.wait(), PATIENCE_S)
            yield VECTOR

        sequences = []
        async with AsyncClient(target) as client:
            async for answer in client.inspect(camera()):
                first_is_answered.set()
                sequences.append(answer.sequence)
        return sequences

    assert asyncio.run(run()) == [0, 1]


def test_a_vector_goes_out_alone_while_the_server_keeps_up(service: InMemoryService, target: str) -> None:
    answered = threading.Semaphore(1)

    def camera() -> Iterator[NDArray[np.float32]]:
        for _ in range(20):
            assert answered.acquire(timeout=PATIENCE_S)
            yield VECTOR

    with Client(target) as client:
        for _ in client.inspect(camera()):
            answered.release()

    assert service.message_sizes == [1] * 20


def labels_in(answer: Answer) -> NDArray[np.int32]:
    assert answer.verdict is not None
    return answer.verdict.anchors.labels


def test_a_stream_that_waits_keeps_nothing_of_its_last_answer(target: str) -> None:
    is_freed = threading.Event()
    were_freed: list[bool] = []

    def camera() -> Iterator[NDArray[np.float32]]:
        yield VECTOR
        were_freed.append(is_freed.wait(PATIENCE_S))
        yield VECTOR

    with Client(target) as client:
        answers = client.inspect(camera())
        kept = weakref.ref(labels_in(next(answers)), lambda _: is_freed.set())
        next(answers)

    assert were_freed == [True]
    assert kept() is None


def test_an_asyncio_stream_that_waits_keeps_nothing_of_its_last_answer(target: str) -> None:
    async def run() -> None:
        is_freed = asyncio.Event()

        async def camera() -> AsyncIterator[NDArray[np.float32]]:
            yield VECTOR
            await asyncio.wait_for(is_freed.wait(), PATIENCE_S)
            yield VECTOR

        async with AsyncClient(target) as client:
            answers = client.inspect(camera())
            kept = weakref.ref(labels_in(await anext(answers)), lambda _: is_freed.set())
            await anext(answers)
            assert kept() is None

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_share_messages_when_the_server_is_behind(kind: str, service: InMemoryService, target: str) -> None:
    service.gate.clear()

    def camera() -> Iterator[NDArray[np.float32]]:
        for _ in range(200):
            yield VECTOR
        service.gate.set()

    answers, error = inspect(kind, target, camera())

    assert error is None
    assert len(answers) == 200
    # Two go out while nothing is in flight yet, the rest in full messages and one that is not.
    assert len(service.message_sizes) <= 6
    assert max(service.message_sizes) == 64


@pytest.mark.parametrize("kind", KINDS)
def test_no_message_is_larger_than_asked(kind: str, service: InMemoryService, target: str) -> None:
    answers, error = inspect(kind, target, queries(100), vectors_per_message=3)

    assert error is None
    assert len(answers) == 100
    assert max(service.message_sizes) <= 3


@pytest.mark.parametrize("window", [1, 2, 7, 64])
def test_the_producer_is_never_further_ahead_than_the_window(window: int, target: str) -> None:
    n_taken = 0
    n_answered = 0
    furthest = 0

    def camera() -> Iterator[NDArray[np.float32]]:
        nonlocal n_taken, furthest
        for _ in range(300):
            n_taken += 1
            furthest = max(furthest, n_taken - n_answered)
            yield VECTOR

    with Client(target) as client:
        for _ in client.inspect(camera(), window=window):
            n_answered += 1

    assert n_answered == 300
    # The answer that is on its way to this loop counts as taken by it.
    assert furthest <= window + 1


def test_a_consumer_may_wait_for_its_producer_at_every_answer(target: str) -> None:
    given = threading.Semaphore(0)

    def camera() -> Iterator[NDArray[np.float32]]:
        for _ in range(100):
            given.release()
            yield VECTOR

    def wait_for(n_given: int) -> None:
        for _ in range(n_given):
            assert given.acquire(timeout=PATIENCE_S)

    with Client(target) as client:
        answers = client.inspect(camera(), window=40)
        next(answers)
        # One of the 40 is answered: the producer must come to give the 41st without another answer being taken.
        wait_for(41)
        for _ in range(59):
            next(answers)
            wait_for(1)
        rest = list(answers)

    assert [answer.sequence for answer in rest] == list(range(60, 100))


def test_an_asynchronous_producer_is_never_further_ahead_than_the_window(target: str) -> None:
    async def run() -> tuple[int, int]:
        n_taken = n_answered = furthest = 0

        async def camera() -> AsyncIterator[NDArray[np.float32]]:
            nonlocal n_taken, furthest
            for _ in range(300):
                n_taken += 1
                furthest = max(furthest, n_taken - n_answered)
                yield VECTOR

        async with AsyncClient(target) as client:
            async for _ in client.inspect(camera(), window=7):
                n_answered += 1
        return n_answered, furthest

    n_answered, furthest = asyncio.run(run())

    assert n_answered == 300
    assert furthest <= 8


def test_closing_the_generator_ends_the_call_and_the_threads(service: InMemoryService, target: str) -> None:
    with Client(target) as client:
        answers = client.inspect(endless())
        next(answers)
        answers.close()

        assert service.ended.wait(PATIENCE_S)
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("miwake-")]


def test_leaving_the_loop_early_ends_an_asynchronous_call(service: InMemoryService, target: str) -> None:
    async def run() -> set[str]:
        async with AsyncClient(target) as client:
            answers = client.inspect(endless())
            async for _ in answers:
                break
            await answers.aclose()
            assert await asyncio.to_thread(service.ended.wait, PATIENCE_S)
            return {repr(task.get_coro()) for task in asyncio.all_tasks() if task is not asyncio.current_task()}

    assert not [text for text in asyncio.run(run()) if "AsyncStream" in text]


def test_a_producer_that_blocks_does_not_hold_up_closing(target: str) -> None:
    may_end = threading.Event()

    def camera() -> Iterator[NDArray[np.float32]]:
        yield VECTOR
        may_end.wait(PATIENCE_S)

    with Client(target) as client:
        answers = client.inspect(camera())
        next(answers)
        answers.close()

    may_end.set()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_producer_raises_comes_after_the_answers_to_what_it_gave(kind: str, target: str) -> None:
    def camera() -> Iterator[NDArray[np.float32]]:
        yield from queries(3)
        message = "camera unplugged"
        raise RuntimeError(message)

    answers, error = inspect(kind, target, camera())

    assert [answer.sequence for answer in answers] == [0, 1, 2]
    assert isinstance(error, RuntimeError)
    assert str(error) == "camera unplugged"


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_that_is_no_vector_is_named_by_its_position(kind: str, target: str) -> None:
    answers, error = inspect(kind, target, [VECTOR, VECTOR, np.stack([VECTOR, VECTOR])])

    assert len(answers) == 2
    assert isinstance(error, InvalidQueryError)
    assert str(error).startswith("vector 2: a vector of shape (2, 12), expected (V,)")


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_does_not_answer_in_time_is_given_up(kind: str, service: InMemoryService, target: str) -> None:
    service.gate.clear()

    answers, error = inspect(kind, target, [VECTOR], timeout_s=0.2)

    assert answers == []
    assert isinstance(error, DeadlineExceededError)
    assert isinstance(error, TimeoutError)
    assert str(error) == f"{target}: no answer within 0.2 s; 0 of 1 vectors sent have been answered"


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_does_not_end_the_stream_is_given_up(kind: str, service: InMemoryService, target: str) -> None:
    service.never_ends = True

    answers, error = inspect(kind, target, [VECTOR], timeout_s=0.2)

    assert len(answers) == 1
    assert isinstance(error, DeadlineExceededError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_draining_server_answers_what_it_accepted_and_the_rest_is_told(
    kind: str, service: InMemoryService, target: str
) -> None:
    service.drain_after = 5

    answers, error = inspect(kind, target, endless(), window=16)

    assert [answer.sequence for answer in answers] == [0, 1, 2, 3, 4]
    assert isinstance(error, DrainingError)
    assert error.n_accepted == 5
    assert 5 <= error.n_taken <= 5 + 16
    assert str(error).startswith("the server is stopping: it accepted and answered 5 vectors")


def out_of_order(answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
    answers[0].sequence = 7
    return answers


def double_one(answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
    return [*answers, answers[-1]]


def without_outcome(answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
    answers[0].ClearField("outcome")
    return answers


def with_an_unknown_decision(answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
    answers[0].verdict.decision = 9  # type: ignore[assignment]
    return answers


def with_ragged_neighbours(answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
    answers[0].verdict.neighbours.labels.pop()
    return answers


def none_at_all(answers: Sequence[answer_pb2.Answer]) -> Sequence[answer_pb2.Answer]:
    return answers[:0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (out_of_order, "an answer with sequence 7, expected 0"),
        (double_one, "2 answers to 1 vectors accepted, of 1 sent"),
        (without_outcome, "answer 0 holds neither a verdict nor an error"),
        (
            with_an_unknown_decision,
            "answers 0 … 0: row 0: a verdict with the decision 9, expected one of [1, 2, 3, 4]",
        ),
        (with_ragged_neighbours, "answers 0 … 0: neighbours.labels of 16 bytes, expected 20 for 1 rows of int32"),
        (none_at_all, "the server closed the stream after 0 answers to 1 vectors"),
    ],
)
def test_answers_that_break_the_contract_end_the_stream(kind: str, tamper: Any, expected: str) -> None:
    with serving(InMemoryService(tamper=tamper)) as target:
        answers, error = inspect(kind, target, [VECTOR])

    assert answers == []
    assert isinstance(error, ProtocolError)
    assert str(error) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_answers_that_do_not_say_what_gave_them_are_refused(kind: str, service: InMemoryService, target: str) -> None:
    service.has_provenance = False

    answers, error = inspect(kind, target, [VECTOR])

    assert answers == []
    assert isinstance(error, ProtocolError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_the_server_ends_too_early_is_an_error(kind: str, service: InMemoryService, target: str) -> None:
    service.ends_early = True

    answers, error = inspect(kind, target, endless(), window=8)

    assert len(answers) >= 1
    assert isinstance(error, ProtocolError)
    assert str(error).startswith(f"the server closed the stream after {len(answers)} answers to ")


def test_closing_the_client_ends_its_streams(target: str) -> None:
    with Client(target) as client:
        answers = client.inspect(endless(), window=4)
        next(answers)
    with pytest.raises(ClosedError):
        list(answers)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("miwake-")]


def test_closing_the_asyncio_client_ends_its_streams(target: str) -> None:
    async def run() -> None:
        async with AsyncClient(target) as client:
            answers = client.inspect(endless(), window=4)
            await anext(answers)
        with pytest.raises(ClosedError):
            [answer async for answer in answers]

    asyncio.run(run())


def test_a_closed_client_takes_no_calls(target: str) -> None:
    client = Client(target)
    client.close()

    with pytest.raises(ClosedError, match="the client has been closed"):
        client.classify(queries(1))
    with pytest.raises(ClosedError):
        client.inspect(queries(1))


@pytest.mark.parametrize("option", ["window", "vectors_per_message", "timeout_s"])
def test_a_stream_refuses_settings_that_cannot_work(option: str) -> None:
    options: dict[str, Any] = {option: 0}

    with Client("127.0.0.1:1") as client, pytest.raises(InvalidQueryError, match=f"{option} 0, expected more than 0"):
        client.inspect([VECTOR], **options)
