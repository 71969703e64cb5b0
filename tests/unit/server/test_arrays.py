from __future__ import annotations

import numpy as np

from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2
from miwake.server import wire
from miwake.server.compute import answer
from miwake.server.jobs import Delivery, Items, Job, Task, Wishes
from support.index import N_VALUES, POISON, FakeIndex, vector_of
from support.plain_arrays import neighbours_in, verdict_in


def items_of(*firsts: float, as_arrays: bool = True, first_sequence: int = 0) -> Items:
    vectors = [vector_pb2.InspectionVector(id=str(first), packed=vector_of(first).tobytes()) for first in firsts]
    return wire.read_items(vectors, context=None, n_values=N_VALUES, first_sequence=first_sequence, as_arrays=as_arrays)


def deliver(*items: Items, task: Task = Task.CLASSIFY, wishes: Wishes | None = None) -> Delivery:
    index = FakeIndex()
    jobs = [Job(index=index, task=task, n_neighbours=3, items=one, wishes=wishes or Wishes()) for one in items]
    return Delivery(answered=tuple(answer(jobs)), index=index, queue_ms=1.5, compute_ms=2.5, batch_size=9)


def plainly(response: inspection_service_pb2.InspectResponse) -> list[answer_pb2.Answer]:
    """Return the answers as they would be without arrays."""
    found = []
    for one in response.answers:
        plain = answer_pb2.Answer.FromString(one.SerializeToString())
        if one.verdict.HasField("row"):
            plain.verdict.ClearField("row")
            plain.verdict.MergeFrom(verdict_in(response.arrays, one.verdict.row))
        found.append(plain)
    return found


def test_answers_in_arrays_say_what_plain_ones_do() -> None:
    in_arrays = wire.inspect_response(deliver(items_of(0.5, np.nan, 0.25), items_of(0.75, first_sequence=3)))
    plain = wire.inspect_response(
        deliver(items_of(0.5, np.nan, 0.25, as_arrays=False), items_of(0.75, as_arrays=False, first_sequence=3))
    )

    assert plainly(in_arrays) == list(plain.answers)
    assert [one.verdict.row for one in in_arrays.answers if one.HasField("verdict")] == [0, 1, 2]


def test_one_message_may_answer_some_vectors_in_arrays_and_others_plainly() -> None:
    mixed = wire.inspect_response(deliver(items_of(0.5), items_of(0.25, as_arrays=False), items_of(0.75)))
    plain = wire.inspect_response(deliver(*(items_of(one, as_arrays=False) for one in (0.5, 0.25, 0.75))))

    assert plainly(mixed) == list(plain.answers)
    assert [one.verdict.HasField("row") for one in mixed.answers] == [True, False, True]


def test_a_batch_that_the_index_fails_on_is_answered_in_arrays_vector_by_vector() -> None:
    response = wire.inspect_response(deliver(items_of(0.5, POISON, 0.25)))

    assert [one.WhichOneof("outcome") for one in response.answers] == ["verdict", "error", "verdict"]
    assert [verdict_in(response.arrays, row).novelty for row in (0, 1)] == [0.5, 0.25]


def test_a_response_without_its_first_answers_keeps_the_rows_of_the_others() -> None:
    response = wire.without_first(wire.inspect_response(deliver(items_of(0.5, 0.25, 0.75))), 1)

    assert [one.verdict.row for one in response.answers] == [1, 2]
    assert verdict_in(response.arrays, 2).novelty == 0.75


def test_where_no_vector_has_a_verdict_there_are_no_arrays() -> None:
    response = wire.inspect_response(deliver(items_of(np.nan)))

    assert not response.HasField("arrays")


def test_evidence_that_is_left_out_is_left_out_of_the_arrays() -> None:
    response = wire.inspect_response(deliver(items_of(0.5), wishes=Wishes(omit_anchors=True)))

    assert not response.arrays.anchor_labels
    assert not response.arrays.anchor_distances
    assert response.arrays.neighbours.reference_ids


def test_a_search_is_answered_in_arrays_or_with_an_error() -> None:
    in_arrays = wire.search_response([deliver(items_of(0.25, np.nan, 0.5), task=Task.SEARCH)])
    plain = wire.search_response([deliver(items_of(0.25, np.nan, 0.5, as_arrays=False), task=Task.SEARCH)])

    assert [one.neighbours.row for one in in_arrays.answers if one.HasField("neighbours")] == [0, 1]
    assert neighbours_in(in_arrays.arrays, 2, 1) == plain.answers[2].neighbours
    assert in_arrays.answers[1] == plain.answers[1]
