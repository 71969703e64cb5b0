from __future__ import annotations

import math
from typing import Any

import pytest

from miwake.inspection.v1 import filter_pb2, inspection_service_pb2, search_options_pb2, vector_pb2
from miwake.server.errors import RequestError
from miwake.server.intake import VALUES_TOGETHER, Limits, search_jobs, verdict_jobs
from miwake.server.jobs import Task
from support.index import N_VALUES, FakeIndex, vector_of

LIMITS = Limits(max_batch=4, max_neighbours=20, max_vectors=10, max_streams=1, stream_window=1)


def classify(n_vectors: int, n_neighbours: int | None = None) -> inspection_service_pb2.ClassifyRequest:
    return inspection_service_pb2.ClassifyRequest(
        vectors=[vector_pb2.InspectionVector(packed=vector_of(0.5).tobytes()) for _ in range(n_vectors)],
        options=inspection_service_pb2.AnswerOptions(n_neighbours=n_neighbours),
    )


def test_a_request_is_cut_into_jobs_that_fit_a_batch() -> None:
    index = FakeIndex()

    jobs = verdict_jobs(classify(10), index, LIMITS, first_sequence=100)

    assert [(job.items.first_sequence, len(job.items)) for job in jobs] == [(100, 4), (104, 4), (108, 2)]
    assert all(job.index is index and job.task is Task.CLASSIFY for job in jobs)


def test_vectors_that_are_passed_over_are_in_no_job() -> None:
    request = classify(7)
    for position, vector in enumerate(request.vectors):
        vector.id = str(position)

    jobs = verdict_jobs(request, FakeIndex(), LIMITS, first_sequence=100, n_passed_over=2)

    assert [(job.items.first_sequence, *job.items.ids) for job in jobs] == [(100, "2", "3", "4", "5"), (104, "6")]


def test_an_answer_that_is_wanted_soon_expires_so_long_after_it_was_read() -> None:
    request = classify(1)
    request.options.answer_within.FromMilliseconds(1500)

    (job,) = verdict_jobs(request, FakeIndex(), LIMITS)

    assert job.expires_at - job.queued_at == pytest.approx(1.5)
    assert verdict_jobs(classify(1), FakeIndex(), LIMITS)[0].expires_at == math.inf


@pytest.mark.parametrize("milliseconds", [0, -1])
def test_an_answer_that_is_wanted_at_no_time_is_refused(milliseconds: int) -> None:
    request = classify(1)
    request.options.answer_within.FromMilliseconds(milliseconds)

    with pytest.raises(RequestError, match="expected more than 0") as refused:
        verdict_jobs(request, FakeIndex(), LIMITS)
    assert refused.value.field == "options.answer_within"


def test_no_record_can_be_awaited_where_none_is_kept() -> None:
    request = classify(1)
    request.options.await_record = True

    with pytest.raises(RequestError, match="this server keeps no verdict log"):
        verdict_jobs(request, FakeIndex(), LIMITS)
    assert verdict_jobs(request, FakeIndex(), LIMITS, is_recording=True)[0].wishes.await_record


def test_a_request_without_vectors_is_one_empty_job() -> None:
    (job,) = verdict_jobs(classify(0), FakeIndex(), LIMITS)

    assert len(job.items) == 0


def test_15_neighbours_are_returned_unless_another_number_is_asked_for() -> None:
    assert verdict_jobs(classify(1), FakeIndex(), LIMITS)[0].n_neighbours == 15
    assert verdict_jobs(classify(1, 20), FakeIndex(), LIMITS)[0].n_neighbours == 20


@pytest.mark.parametrize("n_neighbours", [0, 21])
def test_a_number_of_neighbours_outside_the_limits_is_refused(n_neighbours: int) -> None:
    with pytest.raises(RequestError, match=rf"^options\.n_neighbours: {n_neighbours}, expected 1 … 20$") as caught:
        verdict_jobs(classify(1, n_neighbours), FakeIndex(), LIMITS)

    assert caught.value.field == "options.n_neighbours"


def test_a_search_names_its_own_field() -> None:
    request = inspection_service_pb2.SearchNeighboursRequest(n_neighbours=0)

    with pytest.raises(RequestError, match=r"^n_neighbours: 0, expected 1 … 20$"):
        search_jobs(request, FakeIndex(), LIMITS)


def test_too_many_vectors_in_a_message_are_refused() -> None:
    with pytest.raises(RequestError, match=r"^vectors: 11 in one message, expected at most 10$"):
        verdict_jobs(classify(11), FakeIndex(), LIMITS)


def search(**wanted: Any) -> inspection_service_pb2.SearchNeighboursRequest:
    return inspection_service_pb2.SearchNeighboursRequest(vectors=classify(8).vectors, **wanted)


def test_few_vectors_go_together_where_each_meets_every_reference() -> None:
    exhaustive = search(options=search_options_pb2.SearchOptions(exhaustive=True))
    filtered = search(where=filter_pb2.Filter(labels=filter_pb2.FilterLabels(labels=[1])))
    large = FakeIndex(n_references=VALUES_TOGETHER // (2 * N_VALUES))

    assert [len(job.items) for job in search_jobs(exhaustive, large, LIMITS)] == [2, 2, 2, 2]
    assert [len(job.items) for job in search_jobs(filtered, large, LIMITS)] == [4, 4]
    assert [len(job.items) for job in search_jobs(exhaustive, FakeIndex(), LIMITS)] == [4, 4]
    assert [len(job.items) for job in search_jobs(search(), large, LIMITS)] == [4, 4]


def test_jobs_that_meet_every_reference_are_computed_apart() -> None:
    first, second = search_jobs(search(options=search_options_pb2.SearchOptions(exhaustive=True)), FakeIndex(), LIMITS)

    assert not first.goes_with(second)


def test_jobs_of_one_wish_go_together_and_of_two_do_not() -> None:
    index = FakeIndex()
    (one, _), (same, _), (other, _) = (
        search_jobs(search(options=search_options_pb2.SearchOptions(p_eta=p_eta)), index, LIMITS) for p_eta in (1, 1, 2)
    )

    assert one.goes_with(same)
    assert not one.goes_with(other)


def test_verdicts_without_neighbours_ask_the_index_for_none() -> None:
    request = classify(1)
    request.options.omit_neighbours = True

    (job,) = verdict_jobs(request, FakeIndex(), LIMITS)

    assert job.n_neighbours == 0
