from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from miwake.server.lanes import Lane, Lanes
from support.index import FakeIndex
from support.jobs import make_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.server.jobs import Delivery, Job

INDEX = FakeIndex()


def ignore(_: Delivery) -> None:
    """Nothing is delivered here."""


def job_of(n_items: int, *, n_neighbours: int = 2) -> Job:
    return make_job(INDEX, *[0.5] * n_items, n_neighbours=n_neighbours)


def turns(lanes: Lanes, n_items: int) -> Iterator[list[Lane]]:
    while lanes:
        yield [lane for lane, _ in lanes.take(n_items)]


def test_one_vector_does_not_wait_behind_the_hundreds_of_others() -> None:
    lanes = Lanes()
    for _ in range(50):
        lanes.queue(Lane(ignore), [job_of(64), job_of(64)])
    lanes.take(64)
    modest = Lane(ignore)
    lanes.queue(modest, [job_of(1)])

    assert modest in next(turns(lanes, 64))


def test_who_sends_much_is_not_kept_waiting_by_ever_new_callers_with_little() -> None:
    lanes = Lanes()
    greedy = Lane(ignore)
    lanes.queue(greedy, [job_of(64)])
    n_before = 0
    while True:
        lanes.queue(Lane(ignore), [job_of(1)])
        ((lane, _),) = lanes.take(1)
        if lane is greedy:
            break
        n_before += 1

    assert n_before <= 2 * 64


def test_callers_who_always_wait_get_equal_shares() -> None:
    lanes = Lanes()
    small, large = Lane(ignore), Lane(ignore)
    lanes.queue(small, [job_of(4)] * 100)
    lanes.queue(large, [job_of(32)] * 100)
    n_items = {small: 0, large: 0}
    while small.jobs and large.jobs:
        for lane, job in lanes.take(1):
            n_items[lane] += len(job.items)

    assert abs(n_items[small] - n_items[large]) <= 32


def test_what_is_forgotten_is_not_taken_and_what_comes_later_is() -> None:
    lanes = Lanes()
    left, stays = Lane(ignore), Lane(ignore)
    lanes.queue(left, [job_of(1), job_of(2)])
    lanes.queue(stays, [job_of(3)])

    assert [len(job.items) for job in lanes.forget(left)] == [1, 2]
    lanes.queue(left, [job_of(5)])
    assert list(turns(lanes, 4)) == [[stays], [left]]
    assert not lanes.take(4)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(2, 3)), min_size=1), min_size=1, max_size=6),
    st.integers(1, 8),
)
def test_every_job_is_taken_once_in_its_lanes_order_with_those_it_goes_with(
    asked: list[list[tuple[int, int]]], n_items: int
) -> None:
    lanes = Lanes()
    queued = {Lane(ignore): [job_of(n, n_neighbours=k) for n, k in jobs] for jobs in asked}
    for lane, jobs in queued.items():
        lanes.queue(lane, jobs)
    taken: dict[Lane, list[Job]] = {lane: [] for lane in queued}
    while lanes:
        batch = lanes.take(n_items)
        assert batch
        assert all(job.goes_with(batch[0][1]) for _, job in batch)
        assert sum(len(job.items) for _, job in batch) <= max(n_items, len(batch[0][1].items))
        for lane, job in batch:
            taken[lane].append(job)

    assert taken == queued
