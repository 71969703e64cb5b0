from __future__ import annotations

import threading
from queue import SimpleQueue

import pytest

from miwake.server.batcher import Batcher
from miwake.server.errors import OverloadedError, StoppingError
from miwake.server.jobs import Delivery, Task
from miwake.server.lanes import Lane
from support.index import POISON, FakeIndex
from support.jobs import answered_firsts, make_job

TIMEOUT_S = 30
"""Far above what anything here takes: a test that would wait for ever fails instead."""


class Caller:
    """A lane, and what it was handed."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._deliveries: SimpleQueue[Delivery] = SimpleQueue()
        self.lane = Lane(self._deliveries.put)

    def ask(self, index: FakeIndex, *firsts: float, n_neighbours: int = 2, task: Task = Task.SEARCH) -> None:
        job = make_job(index, *firsts, n_neighbours=n_neighbours, task=task)
        self._batcher.submit(self.lane, [job], wait=False)

    def delivery(self) -> Delivery:
        return self._deliveries.get(timeout=TIMEOUT_S)

    def has_more(self) -> bool:
        return not self._deliveries.empty()


def firsts(delivery: Delivery) -> list[float]:
    return [first for answered in delivery.answered for first in answered_firsts(answered)]


def hold(batcher: Batcher, index: FakeIndex) -> None:
    """Keep the compute thread busy until the index's gate is opened."""
    Caller(batcher).ask(index, 0.0)
    assert index.entered.wait(TIMEOUT_S)


def test_a_free_thread_computes_one_vector_at_once() -> None:
    index = FakeIndex()
    with Batcher(max_batch=64, queue_limit=100) as batcher:
        caller = Caller(batcher)
        caller.ask(index, 0.5)

        assert firsts(caller.delivery()) == [0.5]


def test_what_is_queued_while_the_thread_is_busy_is_computed_together() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=64, queue_limit=100) as batcher:
        hold(batcher, index)
        first, second = Caller(batcher), Caller(batcher)
        first.ask(index, 0.125, 0.25)
        second.ask(index, 0.5)
        first.ask(index, 0.75)
        index.gate.set()

        delivery = first.delivery()
        assert firsts(delivery) == [0.125, 0.25, 0.75]
        assert delivery.batch_size == 4
        assert firsts(second.delivery()) == [0.5]
    assert index.batches == [1, 4]


def test_a_caller_with_much_to_ask_delays_the_others_by_one_batch() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=2, queue_limit=100) as batcher:
        hold(batcher, index)
        greedy, modest = Caller(batcher), Caller(batcher)
        for first in (0.125, 0.25, 0.375):
            greedy.ask(index, first)
        modest.ask(index, 0.5)
        index.gate.set()

        assert firsts(greedy.delivery()) == [0.125]
        assert firsts(modest.delivery()) == [0.5]
        assert firsts(greedy.delivery()) == [0.25, 0.375]


def test_a_batch_is_no_larger_than_allowed() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=4, queue_limit=100) as batcher:
        hold(batcher, index)
        caller = Caller(batcher)
        for _ in range(3):
            caller.ask(index, 0.1, 0.2, 0.3)
        index.gate.set()
    assert index.batches == [1, 3, 3, 3]


def test_one_batch_asks_one_index() -> None:
    old, new = FakeIndex(held=True), FakeIndex(generation="g000002")
    with Batcher(max_batch=64, queue_limit=100) as batcher:
        hold(batcher, old)
        callers = [Caller(batcher) for _ in range(3)]
        for caller, index in zip(callers, (old, new, old), strict=True):
            caller.ask(index, 0.5)
        old.gate.set()

        assert [caller.delivery().index.generation for caller in callers] == ["g000001", "g000002", "g000001"]
    assert old.batches == [1, 2]
    assert new.batches == [1]


def test_a_lane_keeps_its_order_where_its_jobs_do_not_go_together() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=64, queue_limit=100) as batcher:
        hold(batcher, index)
        caller = Caller(batcher)
        caller.ask(index, 0.125, n_neighbours=2)
        caller.ask(index, 0.25, n_neighbours=3)
        caller.ask(index, 0.5, n_neighbours=2)
        index.gate.set()

        assert [firsts(caller.delivery()) for _ in range(3)] == [[0.125], [0.25], [0.5]]


def test_verdicts_and_searches_are_asked_apart() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=64, queue_limit=100) as batcher:
        hold(batcher, index)
        searcher, judge = Caller(batcher), Caller(batcher)
        searcher.ask(index, 0.5)
        judge.ask(index, 0.5, task=Task.CLASSIFY)
        index.gate.set()
    assert index.batches == [1, 1, 1]


def test_a_full_queue_refuses_who_does_not_wait() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=64, queue_limit=2) as batcher:
        hold(batcher, index)
        caller = Caller(batcher)
        caller.ask(index, 0.1, 0.2)
        with pytest.raises(OverloadedError, match="the limit of 2 queued vectors is reached") as caught:
            caller.ask(index, 0.3)
        index.gate.set()

        assert caught.value.retry_after_s > 0
        assert firsts(caller.delivery()) == pytest.approx([0.1, 0.2])


def test_a_full_queue_lets_who_waits_in_as_soon_as_there_is_room() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=64, queue_limit=2) as batcher:
        hold(batcher, index)
        caller, patient = Caller(batcher), Caller(batcher)
        caller.ask(index, 0.125, 0.25)
        job = make_job(index, 0.5)
        waiting = threading.Thread(target=lambda: batcher.submit(patient.lane, [job], wait=True))
        waiting.start()
        index.gate.set()

        assert firsts(patient.delivery()) == [0.5]
        waiting.join(TIMEOUT_S)
    assert index.batches == [1, 2, 1]


def test_what_a_cancelled_caller_queued_is_not_computed() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=64, queue_limit=2) as batcher:
        hold(batcher, index)
        gone, other = Caller(batcher), Caller(batcher)
        gone.ask(index, 0.1, 0.2)
        batcher.cancel(gone.lane)
        other.ask(index, 0.5)
        index.gate.set()

        assert firsts(other.delivery()) == [0.5]
    assert index.batches == [1, 1]
    assert not gone.has_more()


def test_a_cancelled_caller_waits_for_room_no_longer() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=64, queue_limit=1) as batcher:
        hold(batcher, index)
        filler, gone = Caller(batcher), Caller(batcher)
        filler.ask(index, 0.5)
        job = make_job(index, 0.1)
        waiting = threading.Thread(target=lambda: batcher.submit(gone.lane, [job], wait=True))
        waiting.start()
        batcher.cancel(gone.lane)
        waiting.join(TIMEOUT_S)

        assert not waiting.is_alive()
        index.gate.set()
    assert index.batches == [1, 1]


def test_a_poisoned_vector_touches_no_other_caller() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=64, queue_limit=100) as batcher:
        hold(batcher, index)
        poisoner, other = Caller(batcher), Caller(batcher)
        poisoner.ask(index, POISON)
        other.ask(index, 0.5)
        index.gate.set()

        assert firsts(other.delivery()) == [0.5]
        assert list(poisoner.delivery().answered[0].failures) == [0]
        other.ask(index, 0.25)
        assert firsts(other.delivery()) == [0.25]


def test_all_that_is_queued_is_answered_before_the_batcher_leaves() -> None:
    index = FakeIndex(held=True)
    with Batcher(max_batch=2, queue_limit=100) as batcher:
        hold(batcher, index)
        caller = Caller(batcher)
        for first in (0.125, 0.25, 0.5):
            caller.ask(index, first)
        index.gate.set()

    assert firsts(caller.delivery()) + firsts(caller.delivery()) == [0.125, 0.25, 0.5]


def test_a_closed_batcher_takes_nothing() -> None:
    with Batcher(max_batch=2, queue_limit=100) as batcher:
        caller = Caller(batcher)

    with pytest.raises(StoppingError):
        caller.ask(FakeIndex(), 0.5)


def test_a_delivery_says_how_long_it_waited_and_was_computed() -> None:
    index = FakeIndex()
    with Batcher(max_batch=64, queue_limit=100) as batcher:
        caller = Caller(batcher)
        caller.ask(index, 0.5, 0.25)
        delivery = caller.delivery()

    assert delivery.queue_ms >= 0
    assert delivery.compute_ms > 0
    assert delivery.batch_size == 2
