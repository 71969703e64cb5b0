from __future__ import annotations

import numpy as np
import pytest

from miwake.client.errors import DrainingError, InvalidQueryError, ProtocolError
from miwake.client.flow import MESSAGE_BYTES, Flow, FlowSettings
from miwake.client.packing import PackedVector, pack
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2

PACKED = pack(np.ones(4, dtype=np.float32))


def flow(*, window: int = 100, vectors_per_message: int = 10) -> Flow:
    return Flow(FlowSettings(window=window, vectors_per_message=vectors_per_message, timeout_s=1.0))


def take(flow: Flow, n_vectors: int, packed: PackedVector = PACKED) -> None:
    for _ in range(n_vectors):
        flow.take(packed)


def answers(n_answers: int, *, n_accepted: int | None = None) -> inspection_service_pb2.InspectResponse:
    draining = None if n_accepted is None else inspection_service_pb2.Draining(n_accepted=n_accepted)
    return inspection_service_pb2.InspectResponse(
        answers=[answer_pb2.Answer() for _ in range(n_answers)], draining=draining
    )


def test_a_vector_goes_out_at_once_when_nothing_is_in_flight() -> None:
    stream = flow()
    take(stream, 1)

    assert stream.may_send
    assert len(stream.next_message().vectors) == 1


def test_vectors_are_gathered_while_two_messages_are_unanswered() -> None:
    stream = flow()
    take(stream, 1)
    stream.next_message()
    take(stream, 1)
    stream.next_message()

    take(stream, 9)
    assert not stream.may_send
    take(stream, 1)
    assert stream.may_send
    assert len(stream.next_message().vectors) == 10


def test_an_answer_releases_what_was_gathered() -> None:
    stream = flow()
    for _ in range(2):
        take(stream, 1)
        stream.next_message()
    take(stream, 3)

    stream.receive(answers(1))

    assert stream.may_send
    assert len(stream.next_message().vectors) == 3


def test_a_message_answered_in_part_is_still_in_flight() -> None:
    stream = flow()
    for _ in range(2):
        take(stream, 2)
        stream.next_message()
    take(stream, 1)

    stream.receive(answers(1))

    assert not stream.may_send


def test_the_last_vectors_do_not_wait_for_company() -> None:
    stream = flow()
    for _ in range(3):
        take(stream, 1)
        if stream.may_send:
            stream.next_message()
    assert not stream.may_send

    stream.producer_is_done = True

    assert stream.may_send
    assert not stream.has_sent_all
    stream.next_message()
    assert stream.has_sent_all


def test_large_vectors_make_smaller_messages() -> None:
    stream = flow()
    take(stream, 5, PackedVector(PACKED.message, MESSAGE_BYTES // 2))

    assert [len(stream.next_message().vectors) for _ in range(3)] == [2, 2, 1]


def test_a_vector_beyond_the_size_of_a_message_goes_alone() -> None:
    stream = flow()
    take(stream, 2, PackedVector(PACKED.message, MESSAGE_BYTES + 1))

    assert [len(stream.next_message().vectors) for _ in range(2)] == [1, 1]


def test_the_window_counts_what_is_taken_and_not_handed_over() -> None:
    stream = flow(window=3)
    take(stream, 3)
    assert stream.n_free == 0
    stream.next_message()
    stream.receive(answers(3))
    assert stream.n_free == 0

    stream.n_handed_over += 1

    assert stream.n_free == 1


def test_answers_are_counted_on_from_the_last() -> None:
    stream = flow()
    take(stream, 5)
    stream.next_message()

    assert [stream.receive(answers(2)), stream.receive(answers(3))] == [0, 2]


def test_more_answers_than_vectors_are_refused() -> None:
    stream = flow()
    take(stream, 1)
    stream.next_message()

    with pytest.raises(ProtocolError, match="2 answers to 1 vectors accepted, of 1 sent"):
        stream.receive(answers(2))


@pytest.mark.parametrize("n_accepted", [1, 6])
def test_a_server_cannot_accept_fewer_than_it_answered_or_more_than_it_got(n_accepted: int) -> None:
    stream = flow()
    take(stream, 5)
    stream.next_message()
    stream.receive(answers(2))

    with pytest.raises(ProtocolError):
        stream.receive(answers(0, n_accepted=n_accepted))


def test_a_draining_server_gets_nothing_more() -> None:
    stream = flow()
    take(stream, 4)
    stream.next_message()
    take(stream, 1)

    stream.receive(answers(1, n_accepted=3))

    assert stream.wants_no_more
    assert stream.has_sent_all
    assert not stream.is_drained
    stream.receive(answers(2))
    assert stream.is_drained
    with pytest.raises(DrainingError, match="accepted and answered 3 vectors, 5 had been taken") as caught:
        stream.check_end()
    assert (caught.value.n_accepted, caught.value.n_taken) == (3, 5)


def test_draining_is_no_error_when_all_there_is_was_accepted() -> None:
    stream = flow()
    take(stream, 2)
    stream.producer_is_done = True
    stream.next_message()

    stream.receive(answers(2, n_accepted=2))

    stream.check_end()
    assert stream.is_drained


def test_draining_is_told_when_the_producer_may_have_more() -> None:
    stream = flow()
    take(stream, 2)
    stream.next_message()

    stream.receive(answers(2, n_accepted=2))

    with pytest.raises(DrainingError):
        stream.check_end()


def test_a_stream_that_ends_with_answers_missing_is_an_error() -> None:
    stream = flow()
    take(stream, 2)
    stream.producer_is_done = True
    stream.next_message()
    stream.receive(answers(1))

    with pytest.raises(ProtocolError, match="the server closed the stream after 1 answers to 2 vectors"):
        stream.check_end()


def test_an_answer_is_due_while_one_is_missing_or_the_end_is() -> None:
    stream = flow()
    assert not stream.is_answer_due
    take(stream, 1)
    stream.next_message()
    assert stream.is_answer_due
    stream.receive(answers(1))
    assert not stream.is_answer_due

    stream.producer_is_done = True

    assert stream.is_answer_due


@pytest.mark.parametrize(("name", "value"), [("window", 0), ("vectors_per_message", -1), ("timeout_s", float("nan"))])
def test_settings_that_cannot_work_are_refused(name: str, value: float) -> None:
    settings = {"window": 1, "vectors_per_message": 1, "timeout_s": 1.0, name: value}

    with pytest.raises(InvalidQueryError, match=f"{name} {value}, expected more than 0"):
        FlowSettings(**settings)  # type: ignore[arg-type]
