from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2
from miwake.server import wire
from miwake.server.compute import answer
from miwake.server.jobs import Delivery, Fault, Items, Job, Task
from support.index import N_VALUES, FakeIndex, vector_of

VALUES = [0.0, 1.0, 0.25, 0.5]


def packed(values: NDArray[np.generic], kind: int) -> vector_pb2.InspectionVector:
    return vector_pb2.InspectionVector(packed=values.tobytes(), data_type=kind)  # type: ignore[arg-type]


def read(*vectors: vector_pb2.InspectionVector, context: bytes | None = None, first_sequence: int = 0) -> Items:
    return wire.read_items(vectors, context=context, n_values=N_VALUES, first_sequence=first_sequence)


def items_of(*firsts: float) -> Items:
    return read(*[packed(vector_of(first), vector_pb2.DATA_TYPE_FLOAT32) for first in firsts])


def deliver(items: Items, *, task: Task = Task.CLASSIFY, index: FakeIndex | None = None, k: int = 3) -> Delivery:
    index = index or FakeIndex()
    answered = answer([Job(index=index, task=task, n_neighbours=k, items=items)])
    return Delivery(answered=tuple(answered), index=index, queue_ms=1.5, compute_ms=2.5, batch_size=9)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (vector_pb2.DATA_TYPE_UNSPECIFIED, "<f4"),
        (vector_pb2.DATA_TYPE_FLOAT32, "<f4"),
        (vector_pb2.DATA_TYPE_FLOAT16, "<f2"),
    ],
)
def test_packed_values_are_read_by_their_type(kind: int, dtype: DTypeLike) -> None:
    items = read(packed(np.array(VALUES, dtype=dtype), kind))

    np.testing.assert_array_equal(items.vectors, np.array([VALUES], dtype=np.float32))


def test_bytes_are_read_as_values_0_to_255() -> None:
    items = read(packed(np.array([0, 127, 128, 255], dtype=np.uint8), vector_pb2.DATA_TYPE_UINT8))

    np.testing.assert_array_equal(items.vectors, [[0.0, 127.0, 128.0, 255.0]])
    assert items.vectors.dtype == np.float32


def test_values_spelt_out_are_read() -> None:
    items = read(vector_pb2.InspectionVector(floats=vector_pb2.FloatValues(values=VALUES)))

    np.testing.assert_array_equal(items.vectors, np.array([VALUES], dtype=np.float32))


@pytest.mark.parametrize(
    ("vector", "fault", "message"),
    [
        (vector_pb2.InspectionVector(), Fault.WRONG_LENGTH, "0 values, expected 4"),
        (vector_pb2.InspectionVector(packed=bytes(12)), Fault.WRONG_LENGTH, "3 values, expected 4"),
        (
            vector_pb2.InspectionVector(packed=bytes(15)),
            Fault.WRONG_LENGTH,
            "15 bytes, expected a multiple of 4 for values of type float32",
        ),
        (
            vector_pb2.InspectionVector(floats=vector_pb2.FloatValues(values=[1.0] * 5)),
            Fault.WRONG_LENGTH,
            "5 values, expected 4",
        ),
        (
            vector_pb2.InspectionVector(packed=bytes(16), data_type=9),  # type: ignore[arg-type]
            Fault.UNSUPPORTED_DATA_TYPE,
            "data type 9, expected one of DATA_TYPE_FLOAT32, DATA_TYPE_UINT8, DATA_TYPE_FLOAT16",
        ),
    ],
)
def test_an_unreadable_vector_is_a_failure_beside_the_others(
    vector: vector_pb2.InspectionVector, fault: Fault, message: str
) -> None:
    good = packed(vector_of(0.5), vector_pb2.DATA_TYPE_FLOAT32)

    items = read(good, vector, good)

    assert len(items) == 3
    assert len(items.vectors) == 2
    assert {position: (one.fault, one.message) for position, one in items.failures.items()} == {1: (fault, message)}


def test_vectors_of_several_types_in_one_message_are_read_side_by_side() -> None:
    items = read(
        packed(np.array(VALUES, dtype="<f2"), vector_pb2.DATA_TYPE_FLOAT16),
        packed(np.array(VALUES, dtype="<f4"), vector_pb2.DATA_TYPE_FLOAT32),
        vector_pb2.InspectionVector(floats=vector_pb2.FloatValues(values=VALUES)),
    )

    np.testing.assert_array_equal(items.vectors, np.array([VALUES] * 3, dtype=np.float32))


def test_the_verdict_holds_everything_the_index_said() -> None:
    response = wire.inspect_response(deliver(items_of(0.0, 0.5)))

    assert list(response.answers) == [
        answer_pb2.Answer(id="", sequence=0, verdict=expected_verdict(0.0, 0, answer_pb2.DECISION_PASS)),
        answer_pb2.Answer(
            id="",
            sequence=1,
            verdict=expected_verdict(
                0.5,
                5,
                answer_pb2.DECISION_REJECT,
                answer_pb2.DECISION_REASON_BETWEEN_THRESHOLDS,
                answer_pb2.DECISION_REASON_LABEL_NOT_SURE,
            ),
        ),
    ]


def expected_verdict(
    first: float,
    label: int,
    decision: answer_pb2.Decision.ValueType,
    *reasons: answer_pb2.DecisionReason.ValueType,
) -> answer_pb2.Verdict:
    return answer_pb2.Verdict(
        label=label,
        failure_mode=f"mode {label}",
        decision=decision,
        reasons=reasons,
        health=[first] * 6,
        probability=0.75,
        reject_probability=0.25,
        margin=0.5,
        novelty=first,
        method=answer_pb2.LABEL_METHOD_VOTE,
        method_labels=[
            answer_pb2.MethodLabel(method=answer_pb2.LABEL_METHOD_NEAREST_ANCHOR, label=label),
            answer_pb2.MethodLabel(method=answer_pb2.LABEL_METHOD_VOTE, label=label),
            answer_pb2.MethodLabel(method=answer_pb2.LABEL_METHOD_SOART3_VOTE, label=label + 1),
        ],
        anchors=answer_pb2.AnchorDistances(labels=[0, 200, -3], distances=[first, first + 1, first + 2]),
        neighbours=expected_neighbours(first),
    )


def expected_neighbours(first: float) -> answer_pb2.Neighbours:
    columns = np.float32(first) + np.arange(3, dtype=np.float32)
    return answer_pb2.Neighbours(
        reference_ids=["reference-0", "reference-1", "reference-2"],
        labels=[-40, 0, 40],
        failure_modes=["mode 0", "mode 1", "mode 2"],
        distances=columns.tolist(),
        betas=(1 - columns).tolist(),
        etas=(columns / 2).tolist(),
        gammas=(columns / 4).tolist(),
        match_distances=(columns / (1 + columns)).tolist(),
    )


def test_label_0_is_sent_as_present() -> None:
    response = wire.classify_response([deliver(items_of(0.0))])

    assert response.answers[0].verdict.HasField("label")
    assert response.answers[0].verdict.method_labels[0].HasField("label")


def test_without_pass_labels_the_reject_probability_is_absent() -> None:
    response = wire.classify_response([deliver(items_of(0.5), index=FakeIndex(has_pass_labels=False))])

    assert not response.answers[0].verdict.HasField("reject_probability")


def test_a_search_is_answered_with_neighbours_or_an_error() -> None:
    items = read(packed(vector_of(0.25), vector_pb2.DATA_TYPE_FLOAT32), vector_pb2.InspectionVector())

    response = wire.search_response([deliver(items, task=Task.SEARCH)])

    assert response.answers[0].neighbours == expected_neighbours(0.25)
    assert response.answers[1].WhichOneof("outcome") == "error"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.0, np.nan, 0.5, 1.0], answer_pb2.ITEM_ERROR_REASON_NON_FINITE),
        ([0.0, np.inf, 0.5, 1.0], answer_pb2.ITEM_ERROR_REASON_NON_FINITE),
        ([0.0, 1.2, 0.5, 1.0], answer_pb2.ITEM_ERROR_REASON_OUT_OF_RANGE),
        ([0.0, 0.0, 0.0, 0.0], answer_pb2.ITEM_ERROR_REASON_FLAT),
        ([0.0, 0.5, 1.0], answer_pb2.ITEM_ERROR_REASON_WRONG_LENGTH),
    ],
)
def test_a_refused_vector_is_answered_with_its_reason_and_leaves_the_others_alone(
    values: list[float], reason: answer_pb2.ItemErrorReason.ValueType
) -> None:
    good = packed(vector_of(0.5), vector_pb2.DATA_TYPE_FLOAT32)
    bad = packed(np.array(values, dtype=np.float32), vector_pb2.DATA_TYPE_FLOAT32)

    response = wire.inspect_response(deliver(read(good, bad, good, first_sequence=40)))

    assert [one.sequence for one in response.answers] == [40, 41, 42]
    assert [one.WhichOneof("outcome") for one in response.answers] == ["verdict", "error", "verdict"]
    assert response.answers[1].error.reason == reason
    assert response.answers[1].error.message


def test_a_vectors_own_context_comes_before_the_requests() -> None:
    request = inspection_service_pb2.InspectRequest(
        context=vector_pb2.InspectionContext(job_id="order 7", is_simulated=False),
        vectors=[
            vector_pb2.InspectionVector(id="a", context=vector_pb2.InspectionContext(part_id="p1")),
            vector_pb2.InspectionVector(id="b"),
        ],
    )

    response = wire.inspect_response(deliver(read(*request.vectors, context=wire.read_context(request))))

    assert [one.id for one in response.answers] == ["a", "b"]
    assert response.answers[0].context == vector_pb2.InspectionContext(part_id="p1")
    assert response.answers[1].context == vector_pb2.InspectionContext(job_id="order 7", is_simulated=False)


def test_where_nothing_is_said_about_the_part_no_context_is_sent() -> None:
    response = wire.inspect_response(deliver(items_of(0.5)))

    assert not response.answers[0].HasField("context")


def test_the_provenance_names_what_answered() -> None:
    response = wire.inspect_response(deliver(items_of(0.5)))

    assert response.provenance == answer_pb2.Provenance(
        station="line1",
        embedder="0123456789ab",
        generation="g000001",
        revision=7,
        threshold_set="t1",
        queue_ms=1.5,
        compute_ms=2.5,
        batch_size=9,
    )


def test_a_request_computed_in_two_batches_is_answered_in_one_message() -> None:
    response = wire.classify_response([deliver(items_of(0.5)), deliver(items_of(0.25))])

    assert [one.verdict.novelty for one in response.answers] == [0.5, 0.25]
    assert response.provenance.compute_ms == 5.0


def test_the_draining_message_says_how_many_were_accepted() -> None:
    response = wire.draining_response(12)

    assert response.draining.n_accepted == 12
    assert not response.HasField("provenance")
