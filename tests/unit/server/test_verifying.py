from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from miwake.indexer.errors import RateNotShownError
from miwake.inspection.v1 import answer_pb2, vector_pb2, verification_pb2
from miwake.server.batcher import Batcher
from miwake.server.engine import Engine
from miwake.server.errors import RequestError
from miwake.server.intake import Limits
from miwake.server.stations import Stations
from miwake.server.verifying import verify_jobs, verify_response
from support.index import POISON, FakeIndex, FakeStore, vector_of

LIMITS = Limits(max_batch=4, max_neighbours=20, max_vectors=20, max_streams=1, stream_window=8)


class Context:
    """The methods of a gRPC context that a call uses."""

    def add_callback(self, callback: object) -> bool:
        del callback
        return True

    def time_remaining(self) -> float | None:
        return None


def pair(query: float, reference: float, *, id_: str = "") -> verification_pb2.VectorPair:
    return verification_pb2.VectorPair(
        id=id_,
        query=vector_pb2.InspectionVector(packed=vector_of(query).tobytes()),
        reference=vector_pb2.InspectionVector(packed=vector_of(reference).tobytes()),
    )


@contextmanager
def open_engine(index: FakeIndex) -> Iterator[Engine]:
    stations = Stations(FakeStore(index), poll_s=1)
    stations.load(Path("store"), ())
    with Batcher(max_batch=LIMITS.max_batch, queue_limit=100) as batcher:
        yield Engine.of(stations, batcher, LIMITS)


def verify(
    *pairs: verification_pb2.VectorPair, index: FakeIndex | None = None, rate: float | None = None
) -> verification_pb2.VerifyResponse:
    index = index or FakeIndex()
    request = verification_pb2.VerifyRequest(pairs=pairs, max_false_accept_rate=rate)
    with open_engine(index) as engine:
        asked = verify_jobs(request, index, LIMITS)
        return verify_response(engine.calls.answer(asked.jobs, Context()), asked)  # type: ignore[arg-type]


def test_pairs_are_the_same_up_to_the_threshold() -> None:
    response = verify(pair(0.5, 0.5), pair(0.75, 0.5), pair(0.765625, 0.5))

    assert [answer.verification.is_same for answer in response.answers] == [True, True, False]
    assert [answer.verification.distance for answer in response.answers] == [0, 0.25, 0.265625]
    assert (response.threshold.distance, response.threshold.at_most) == (verification_pb2.PAIR_DISTANCE_EUCLIDEAN, 0.25)
    assert not response.threshold.HasField("max_false_accept_rate")
    assert (response.threshold.n_impostor_pairs, response.threshold.n_genuine_pairs, response.threshold.n_parts) == (
        (200, 100, 400)
    )


def test_a_rate_that_is_promised_moves_the_threshold_and_is_told() -> None:
    response = verify(pair(0.75, 0.5), rate=0.05)

    assert not response.answers[0].verification.is_same
    assert (response.threshold.at_most, response.threshold.max_false_accept_rate) == (0.125, 0.01)


def test_query_and_reference_are_not_exchanged() -> None:
    response = verify(pair(0.5, 0.25), pair(0.25, 0.5))

    assert [answer.verification.beta for answer in response.answers] == [2, 0.5]


def test_many_pairs_are_answered_in_order_over_several_batches() -> None:
    index = FakeIndex()
    response = verify(*(pair(row / 16, 0.5, id_=str(row)) for row in range(9)), index=index)

    assert [(answer.id, answer.sequence) for answer in response.answers] == [(str(row), row) for row in range(9)]
    assert [answer.verification.distance for answer in response.answers] == [abs(row / 16 - 0.5) for row in range(9)]
    assert index.batches == [4, 4, 1]


def test_a_bad_vector_is_an_error_that_says_which_and_leaves_the_others_alone() -> None:
    short = pair(0.5, 0.5)
    short.reference.packed = b"1234"
    response = verify(
        pair(0.5, 0.25), pair(math.nan, 0.5), short, pair(math.nan, math.nan), pair(0.5, 4.0), pair(1.0, 0.25)
    )

    errors = [(answer.error_member, answer.error.reason) for answer in response.answers if answer.HasField("error")]
    query, reference = verification_pb2.PAIR_MEMBER_QUERY, verification_pb2.PAIR_MEMBER_REFERENCE
    assert errors == [
        (query, answer_pb2.ITEM_ERROR_REASON_NON_FINITE),
        (reference, answer_pb2.ITEM_ERROR_REASON_WRONG_LENGTH),
        (query, answer_pb2.ITEM_ERROR_REASON_NON_FINITE),
        (reference, answer_pb2.ITEM_ERROR_REASON_OUT_OF_RANGE),
    ]
    assert response.answers[2].error.message.startswith("reference: ")
    assert [answer.verification.distance for answer in response.answers] == [0.25, 0, 0, 0, 0, 0.75]


def test_a_pair_that_the_index_fails_on_leaves_the_others_alone() -> None:
    response = verify(pair(0.5, 0.25), pair(POISON, 0.5))

    assert response.answers[0].verification.distance == 0.25
    assert response.answers[1].error.reason == answer_pb2.ITEM_ERROR_REASON_INTERNAL
    assert response.answers[1].error_member == verification_pb2.PAIR_MEMBER_UNSPECIFIED


def test_only_bad_pairs_are_answered_and_the_index_is_not_asked() -> None:
    index = FakeIndex()
    response = verify(pair(math.nan, 0.5), index=index)

    assert [answer.WhichOneof("outcome") for answer in response.answers] == ["error"]
    assert index.batches == []


def test_no_pairs_are_no_answers_but_say_what_would_decide() -> None:
    response = verify()

    assert len(response.answers) == 0
    assert response.threshold.at_most == 0.25


def test_the_context_of_a_query_stands_before_that_of_the_request() -> None:
    own = pair(0.5, 0.5)
    own.query.context.part_id = "board-7"
    own.reference.context.part_id = "golden"
    request = verification_pb2.VerifyRequest(
        pairs=[own, pair(0.5, 0.5)], context=vector_pb2.InspectionContext(part_id="any")
    )
    with open_engine(FakeIndex()) as engine:
        asked = verify_jobs(request, FakeIndex(), LIMITS)
        response = verify_response(engine.calls.answer(asked.jobs, Context()), asked)  # type: ignore[arg-type]

    assert [answer.context.part_id for answer in response.answers] == ["board-7", "any"]


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.5, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(RequestError, match=r"max_false_accept_rate: .*, expected more than 0 and at most 1"):
        verify(pair(0.5, 0.5), rate=rate)


def test_a_rate_that_was_not_shown_is_refused() -> None:
    with pytest.raises(
        RateNotShownError, match=r"0\.001 is not shown by 400 calibration parts: what is shown is 0\.01"
    ):
        verify(pair(0.5, 0.5), rate=0.001)


def test_more_pairs_than_vectors_are_allowed_are_refused() -> None:
    with pytest.raises(RequestError, match=r"pairs: 11 in one message, expected at most 10"):
        verify(*[pair(0.5, 0.5)] * 11)


def test_values_of_either_type_are_compared_alike() -> None:
    mixed = pair(0.5, 0.5)
    mixed.query.packed = vector_of(0.5).astype(np.float16).tobytes()
    mixed.query.data_type = vector_pb2.DATA_TYPE_FLOAT16

    assert verify(mixed).answers[0].verification.distance == 0
