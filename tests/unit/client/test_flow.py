from __future__ import annotations

import numpy as np
import pytest

from miwake.client.errors import DrainingError, InvalidQueryError, ProtocolError
from miwake.client.flow import MESSAGE_BYTES, Flow
from miwake.client.flow_settings import FlowSettings
from miwake.client.packed_vectors import PackedVector, pack
from miwake.client.retry import Retry
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2

PACKED = pack(np.ones(4, dtype=np.float32))


def flow(*, window: int = 100, vectors_per_message: int = 10, retry: Retry | None = None) -> Flow:
    return Flow(FlowSettings(window=window, vectors_per_message=vectors_per_message, timeout_s=1.0, retry=retry))


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
    take(stream, 5, PackedVector(bytes(MESSAGE_BYTES // 2), PACKED.data_type))

    assert [len(stream.next_message().vectors) for _ in range(3)] == [2, 2, 1]


def test_a_vector_beyond_the_size_of_a_message_goes_alone() -> None:
    stream = flow()
    take(stream, 2, PackedVector(bytes(MESSAGE_BYTES + 1), PACKED.data_type))

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


def acknowledged(n_accepted: int, n_recorded: int | None = None) -> inspection_service_pb2.InspectResponse:
    acknowledgement = inspection_service_pb2.Acknowledgement(n_accepted=n_accepted, n_recorded=n_recorded)
    return inspection_service_pb2.InspectResponse(acknowledgement=acknowledgement)


def broken_after(n_answers: int) -> Flow:
    """Return a stream of 25 vectors in messages of 10, broken after some answers."""
    stream = flow(retry=Retry())
    take(stream, 25)
    for _ in range(3):
        stream.next_message()
    stream.receive(acknowledged(25))
    stream.receive(answers(n_answers))
    stream.resume()
    return stream


def test_what_has_no_answer_is_sent_again_under_its_own_sequence() -> None:
    stream = broken_after(7)

    first, second = stream.next_message(), stream.next_message()

    assert (first.is_first, first.first_sequence, first.n_received, len(first.vectors)) == (True, 7, 7, 10)
    assert (second.is_first, second.first_sequence, second.n_received, len(second.vectors)) == (False, 17, 7, 8)


def test_a_new_stream_does_not_claim_to_have_been_there() -> None:
    stream = flow()
    take(stream, 1)

    assert stream.next_message().n_received is None


def test_answers_that_the_server_kept_come_before_their_vectors_are_sent_again() -> None:
    stream = broken_after(7)
    stream.next_message()

    assert stream.receive(answers(16)) == 7

    batch = stream.next_message()
    assert (batch.first_sequence, len(batch.vectors)) == (23, 2)
    stream.receive(answers(2))
    stream.producer_is_done = True
    assert stream.is_complete


def test_a_server_that_drains_before_it_has_heard_of_the_stream_is_followed_all_the_same() -> None:
    stream = broken_after(7)
    stream.next_message()

    stream.receive(answers(0, n_accepted=0))

    assert stream.is_drained
    with pytest.raises(DrainingError):
        stream.check_end()
    stream.resume()
    assert stream.next_message().first_sequence == 7


def test_a_draining_server_is_no_end_for_the_producer_where_another_is_asked() -> None:
    stream = flow(retry=Retry())
    take(stream, 2)
    stream.next_message()

    stream.receive(answers(2, n_accepted=2))

    assert stream.has_sent_all
    assert not stream.wants_no_more


def test_a_stream_whose_server_never_acknowledged_cannot_be_taken_up_again() -> None:
    stream = flow(retry=Retry())
    take(stream, 2)
    stream.next_message()
    assert stream.may_resume

    stream.receive(answers(1))
    assert not stream.may_resume

    stream.receive(acknowledged(2))
    assert stream.may_resume


def test_what_is_accepted_and_recorded_is_known_from_the_acknowledgements() -> None:
    stream = flow()
    take(stream, 5)
    stream.next_message()

    stream.receive(acknowledged(5, n_recorded=3))

    assert (stream.n_accepted, stream.n_recorded) == (5, 3)


def test_a_server_with_too_much_to_do_is_left_alone_until_it_answers_or_the_time_is_over() -> None:
    stream = flow()
    take(stream, 1)
    stream.next_message()
    back_off = inspection_service_pb2.BackOff()
    back_off.retry_after.FromMilliseconds(500)

    stream.receive(inspection_service_pb2.InspectResponse(back_off=back_off), now=100.0)

    assert stream.hold_s(100.2) == pytest.approx(0.3)
    assert stream.hold_s(100.6) == 0.0
    stream.receive(answers(1), now=100.3)
    assert stream.hold_s(100.3) == 0.0


def test_nothing_is_due_while_a_broken_stream_has_nothing_to_send() -> None:
    stream = flow(retry=Retry())
    take(stream, 1)
    stream.next_message()
    stream.receive(answers(1, n_accepted=1))

    stream.resume()

    assert not stream.has_work
    assert not stream.is_answer_due
