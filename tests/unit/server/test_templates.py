from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.inspection.v1 import answer_pb2, vector_pb2
from miwake.server import wire
from miwake.server.compute import answer
from miwake.server.jobs import Delivery, Fault, Items, Job, Task, Wishes
from support.index import N_VALUES, POISON, FakeIndex, vector_of

FLOAT32 = vector_pb2.DATA_TYPE_FLOAT32
UINT8 = vector_pb2.DATA_TYPE_UINT8
GOOD = vector_of(0.25)


def vector(first: float, template: NDArray[np.generic] | None = None) -> vector_pb2.InspectionVector:
    beside = b"" if template is None else template.tobytes()
    return vector_pb2.InspectionVector(packed=vector_of(first).tobytes(), data_type=FLOAT32, template=beside)


def read(*vectors: vector_pb2.InspectionVector, first_sequence: int = 0) -> Items:
    return wire.read_items(vectors, context=None, n_values=N_VALUES, first_sequence=first_sequence, with_templates=True)


def answers_to(*items: Items, index: FakeIndex | None = None, wishes: Wishes | None = None) -> list[answer_pb2.Answer]:
    index = index or FakeIndex()
    jobs = [Job(index=index, task=Task.CLASSIFY, n_neighbours=1, items=one, wishes=wishes or Wishes()) for one in items]
    delivery = Delivery(answered=tuple(answer(jobs)), index=index, queue_ms=0.0, compute_ms=0.0, batch_size=1)
    return list(wire.inspect_response(delivery).answers)


def test_without_templates_nothing_is_kept_for_them() -> None:
    assert read(vector(0.5), vector(0.75)).templates is None


def test_vectors_with_and_without_a_template_stand_side_by_side() -> None:
    items = read(vector(0.5, vector_of(0.25)), vector(0.75), vector(1.0, vector_of(0.125)))

    assert items.templates is not None
    np.testing.assert_array_equal(items.templates, [vector_of(0.25), [np.nan] * N_VALUES, vector_of(0.125)])


def test_a_template_has_the_type_of_its_vector() -> None:
    values = np.array([0, 127, 128, 255], dtype=np.uint8)

    items = read(vector_pb2.InspectionVector(packed=values.tobytes(), template=values[::-1].tobytes(), data_type=UINT8))

    np.testing.assert_array_equal(items.templates, [[255.0, 128.0, 127.0, 0.0]])


def test_a_template_beside_values_spelt_out_is_spelt_out_or_packed() -> None:
    floats = vector_pb2.FloatValues(values=GOOD.tolist())
    both_spelt_out = vector_pb2.FloatValues(values=GOOD.tolist(), template=[1.0, 0.5, 0.25, 0.0])

    items = read(
        vector_pb2.InspectionVector(floats=both_spelt_out),
        vector_pb2.InspectionVector(floats=floats, template=GOOD.tobytes()),
        vector_pb2.InspectionVector(floats=floats),
    )

    assert not items.failures
    np.testing.assert_array_equal(items.templates, [[1.0, 0.5, 0.25, 0.0], GOOD, [np.nan] * N_VALUES])


def test_templates_that_are_all_spelt_out_are_read() -> None:
    floats = vector_pb2.FloatValues(values=GOOD.tolist(), template=[1.0, 0.5, 0.25, 0.0])

    np.testing.assert_array_equal(read(vector_pb2.InspectionVector(floats=floats)).templates, [[1.0, 0.5, 0.25, 0.0]])


def test_a_template_of_nothing_but_nan_is_no_missing_one() -> None:
    good, bad = vector(0.5, GOOD), vector(0.5, np.full(4, np.nan, dtype=np.float32))

    items = read(good, bad, good)

    assert {position: one.fault for position, one in items.failures.items()} == {1: Fault.BAD_TEMPLATE}
    np.testing.assert_array_equal(items.templates, [GOOD, GOOD])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (vector(0.5, GOOD[:3]), "template: 3 values, expected 4"),
        (
            vector_pb2.InspectionVector(packed=GOOD.tobytes(), template=bytes(15)),
            "template: 15 bytes, expected a multiple of 4 for values of type float32",
        ),
        (vector(0.5, np.full(4, np.nan, dtype=np.float32)), "template: value 0 is nan, expected finite numbers"),
        (
            vector_pb2.InspectionVector(
                floats=vector_pb2.FloatValues(values=GOOD.tolist(), template=GOOD.tolist()), template=GOOD.tobytes()
            ),
            "template: packed and spelt out as floats, expected one of them",
        ),
        (vector(0.5, np.array([0.0, np.inf, 1, 1], dtype=np.float32)), "template: value 1 is inf, expected finite"),
        (vector(0.5, np.array([0, 7.0, 1, 1], dtype=np.float32)), "template: values 0 … 7 leave the trained range"),
    ],
)
def test_a_bad_template_is_an_error_of_its_vector_alone(bad: vector_pb2.InspectionVector, message: str) -> None:
    index = FakeIndex()

    answers = answers_to(read(vector(0.5, GOOD), bad, vector(0.75), first_sequence=8), index=index)

    assert [one.sequence for one in answers] == [8, 9, 10]
    assert [one.WhichOneof("outcome") for one in answers] == ["verdict", "error", "verdict"]
    assert answers[1].error.reason == answer_pb2.ITEM_ERROR_REASON_BAD_TEMPLATE
    assert answers[1].error.message.startswith(message)
    assert [one.verdict.novelty for one in (answers[0], answers[2])] == [0.5, 0.75]
    assert [one.verdict.HasField("residuals") for one in answers] == [True, False, False]
    assert index.batches == [2]


def test_of_a_bad_vector_with_a_bad_template_the_vector_is_told() -> None:
    (failed,) = answers_to(read(vector(np.nan, np.full(4, 7.0, dtype=np.float32))))

    assert failed.error.reason == answer_pb2.ITEM_ERROR_REASON_NON_FINITE


def test_a_vector_that_cannot_be_read_is_told_before_its_template() -> None:
    items = read(vector_pb2.InspectionVector(packed=bytes(12), template=bytes(8)))

    assert items.failures[0].fault is Fault.WRONG_LENGTH


def test_jobs_with_and_without_templates_share_a_batch() -> None:
    index = FakeIndex()
    bad = vector(0.1, GOOD[:2])

    answers = answers_to(
        read(vector(0.5)), read(bad, vector(0.75, GOOD)), read(vector(0.625), vector(np.inf)), index=index
    )

    assert index.batches == [3]
    assert [one.verdict.novelty for one in answers] == [0.5, 0.0, 0.75, 0.625, 0.0]
    assert [one.WhichOneof("outcome") for one in answers] == ["verdict", "error", "verdict", "verdict", "error"]
    assert [one.verdict.HasField("residuals") for one in answers] == [False, False, True, False, False]


def test_residuals_are_those_of_the_vectors_own_template() -> None:
    answers = answers_to(read(vector(0.5, vector_of(0.25)), vector(0.75, vector_of(0.125))))

    assert [(one.verdict.residuals.beta, one.verdict.residuals.eta) for one in answers] == [(0.5, 0.25), (0.75, 0.125)]
    assert [one.verdict.residuals.reference for one in answers] == [answer_pb2.REFERENCE_MAP_TEMPLATE] * 2
    assert [(one.verdict.residuals.shift_rows, one.verdict.residuals.shift_columns) for one in answers] == [(-2, 1)] * 2


def test_where_the_index_fails_each_vector_is_asked_with_its_own_template() -> None:
    answers = answers_to(read(vector(0.5, vector_of(0.25)), vector(POISON, GOOD), vector(0.75, vector_of(0.125))))

    assert [one.WhichOneof("outcome") for one in answers] == ["verdict", "error", "verdict"]
    assert [answers[0].verdict.residuals.eta, answers[2].verdict.residuals.eta] == [0.25, 0.125]


@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize("omitted", [False, True])
def test_residuals_are_left_out_where_that_is_asked_for(omitted: bool, as_arrays: bool) -> None:
    items = replace(read(vector(0.5, GOOD)), as_arrays=as_arrays)

    (answered,) = answers_to(items, wishes=Wishes(omit_residuals=omitted))

    assert answered.verdict.HasField("residuals") is not omitted
    assert answered.verdict.HasField("row") is as_arrays


@pytest.mark.parametrize(("first", "expires_at"), [(0.5, math.inf), (POISON, math.inf), (0.5, 1.0)])
def test_answers_keep_no_templates(first: float, expires_at: float) -> None:
    items = read(vector(first, GOOD))
    job = Job(index=FakeIndex(), task=Task.CLASSIFY, n_neighbours=1, items=items, expires_at=expires_at)

    (answered,) = answer([job], now=2.0)

    assert answered.items.templates is None
