from __future__ import annotations

import numpy as np
import pytest

from miwake.client.flow import Flow
from miwake.client.flow_settings import FlowSettings
from miwake.client.idle import IdleClock
from miwake.client.packed_vectors import pack
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2


class Watch:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.time_s = 100.0

    def __call__(self) -> float:
        return self.time_s


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def flow() -> Flow:
    return Flow(FlowSettings(window=10, vectors_per_message=1, timeout_s=5.0))


@pytest.fixture
def clock(flow: Flow, watch: Watch) -> IdleClock:
    return IdleClock(flow, now=watch)


def send(flow: Flow, clock: IdleClock) -> None:
    flow.take(pack(np.ones(1, dtype=np.float32)))
    clock.note_sending()
    flow.next_message()


def test_time_runs_while_an_answer_is_due_and_asked_for(flow: Flow, clock: IdleClock, watch: Watch) -> None:
    send(flow, clock)
    clock.start_asking()
    watch.time_s += 4

    assert clock.left_s() == 1.0


def test_a_slow_producer_costs_nothing(clock: IdleClock, watch: Watch) -> None:
    clock.start_asking()
    watch.time_s += 1000

    assert clock.left_s() == 5.0


def test_time_counts_from_the_sending_when_the_asking_came_first(flow: Flow, clock: IdleClock, watch: Watch) -> None:
    clock.start_asking()
    watch.time_s += 1000
    send(flow, clock)
    watch.time_s += 2

    assert clock.left_s() == 3.0


def test_a_slow_consumer_costs_nothing(flow: Flow, clock: IdleClock, watch: Watch) -> None:
    send(flow, clock)
    watch.time_s += 1000
    assert clock.left_s() == 5.0

    clock.start_asking()

    assert clock.left_s() == 5.0


def test_each_response_starts_the_wait_anew(flow: Flow, clock: IdleClock, watch: Watch) -> None:
    send(flow, clock)
    send(flow, clock)
    clock.start_asking()
    watch.time_s += 4
    clock.stop_asking()
    flow.receive(inspection_service_pb2.InspectResponse(answers=[answer_pb2.Answer()]))
    clock.start_asking()
    watch.time_s += 3

    assert clock.left_s() == 2.0


def test_more_sending_does_not_start_the_wait_anew(flow: Flow, clock: IdleClock, watch: Watch) -> None:
    send(flow, clock)
    clock.start_asking()
    watch.time_s += 4
    send(flow, clock)

    assert clock.left_s() == 1.0


def test_the_end_of_the_stream_is_waited_for_as_an_answer_is(flow: Flow, clock: IdleClock, watch: Watch) -> None:
    clock.start_asking()
    watch.time_s += 1000
    clock.note_sending()
    flow.producer_is_done = True
    watch.time_s += 6

    assert clock.left_s() == -1.0
