from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from miwake.indexer.answers import VerdictBatch
from miwake.indexer.filters import LabelIn
from miwake.indexer.search.options import SearchOptions
from miwake.server.compute import answer
from miwake.server.jobs import Answered, Fault, Task, Wishes
from support.index import POISON, FakeIndex
from support.jobs import answered_firsts
from support.jobs import make_job as job


def faults(answered: Answered) -> dict[int, Fault]:
    return {position: failure.fault for position, failure in answered.failures.items()}


def test_jobs_that_go_together_are_asked_in_one_batch() -> None:
    index = FakeIndex()

    first, second = answer([job(index, 0.1, 0.2), job(index, 0.3)])

    assert index.batches == [3]
    assert answered_firsts(first) == pytest.approx([0.1, 0.2])
    assert answered_firsts(second) == pytest.approx([0.3])


def test_refused_vectors_are_not_asked() -> None:
    index = FakeIndex()

    first, second = answer([job(index, 0.125, np.nan, unreadable=(0,)), job(index, np.nan, 0.25, 0.5)])

    assert index.batches == [3]
    assert faults(first) == {0: Fault.WRONG_LENGTH, 2: Fault.NON_FINITE}
    assert answered_firsts(first) == [0.125]
    assert faults(second) == {0: Fault.NON_FINITE}
    assert answered_firsts(second) == [0.25, 0.5]


def test_a_batch_of_nothing_but_refused_vectors_asks_nothing() -> None:
    index = FakeIndex()

    (answered,) = answer([job(index, np.nan, np.nan)])

    assert index.batches == []
    assert faults(answered) == {0: Fault.NON_FINITE, 1: Fault.NON_FINITE}


def test_unreadable_items_alone_ask_nothing() -> None:
    index = FakeIndex()

    (answered,) = answer([job(index, unreadable=(0, 1))])

    assert index.batches == []
    assert faults(answered) == {0: Fault.WRONG_LENGTH, 1: Fault.WRONG_LENGTH}


def test_a_poisoned_vector_fails_alone() -> None:
    index = FakeIndex()

    with capture_logs():
        first, second = answer([job(index, 0.125, POISON, 0.25, unreadable=(0,)), job(index, 0.5, np.nan)])

    assert faults(first) == {0: Fault.WRONG_LENGTH, 2: Fault.INTERNAL}
    assert answered_firsts(first) == [0.125, 0.25]
    assert faults(second) == {1: Fault.NON_FINITE}
    assert answered_firsts(second) == [0.5]


def test_a_batch_whose_scale_fails_is_answered_with_errors() -> None:
    index = FakeIndex()
    del index.scale

    with capture_logs():
        first, second = answer([job(index, 0.125), job(index, 0.25, unreadable=(0,))])

    assert faults(first) == {0: Fault.INTERNAL}
    assert faults(second) == {0: Fault.WRONG_LENGTH, 1: Fault.INTERNAL}


def test_the_cause_of_a_failure_is_in_the_log_and_not_in_the_answer() -> None:
    with capture_logs() as events:
        (answered,) = answer([job(FakeIndex(), 0.125, POISON, first_sequence=10)])

    assert "fake" not in answered.failures[1].message
    (failed,) = [event for event in events if event["event"] == "item_failed"]
    assert failed["sequence"] == 11
    assert failed["station"] == "line1"
    assert failed["exc_info"]


def test_a_refusal_says_what_was_expected_and_what_came() -> None:
    (answered,) = answer([job(FakeIndex(), 1.5)])

    assert answered.failures[0].message.startswith("values 0 … 1.5 leave the trained range 0 … 1")


def test_the_index_is_asked_as_the_caller_wishes() -> None:
    index = FakeIndex()
    wishes = Wishes(where=LabelIn((1,)), options=SearchOptions(p_eta=1))

    answer([job(index, 0.5, wishes=wishes)])

    assert index.asked == [(LabelIn((1,)), SearchOptions(p_eta=1))]


def test_anchors_that_nobody_wants_are_left_out() -> None:
    (answered,) = answer([job(FakeIndex(), 0.5, task=Task.CLASSIFY, wishes=Wishes(omit_anchors=True))])

    batch = answered.slices[0].results.batch
    assert isinstance(batch, VerdictBatch)
    assert batch.anchor_labels.shape == batch.anchor_distances.shape == (1, 0)
    assert batch.labels.tolist() == [5]


def test_what_has_expired_is_not_computed_and_its_neighbours_are() -> None:
    index = FakeIndex()
    late = replace(job(index, 0.25, 0.5, unreadable=(1,)), queued_at=10.0, expires_at=10.05)

    first, expired, last = answer([job(index, 0.125), late, job(index, 0.75)], now=10.06)

    assert index.batches == [2]
    assert answered_firsts(first) + answered_firsts(last) == [0.125, 0.75]
    assert faults(expired) == {0: Fault.EXPIRED, 1: Fault.WRONG_LENGTH, 2: Fault.EXPIRED}
    assert expired.failures[0].message == "waited 60 ms for its turn, at most 50 ms were wanted"
    assert not expired.slices


def test_where_everything_has_expired_nothing_is_asked() -> None:
    index = FakeIndex()

    (expired,) = answer([replace(job(index, 0.25), expires_at=10.0)], now=10.0)

    assert index.batches == []
    assert faults(expired) == {0: Fault.EXPIRED}
