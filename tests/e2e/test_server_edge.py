"""The edge over real TCP, in front of an index whose speed a test decides."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2
from miwake.server.batcher import Batcher
from miwake.server.edge import SERVICE, Edge
from miwake.server.engine import Engine
from miwake.server.intake import Limits
from miwake.server.settings import Settings
from miwake.server.stations import Stations
from miwake.server.workers.part import Part
from support.index import POISON, FakeIndex, FakeStore, vector_of
from support.serving import connected, detail, open_channel

TIMEOUT_S = 60


@dataclass(frozen=True)
class Served:
    """An edge and what is behind it."""

    edge: Edge
    stations: Stations

    @property
    def address(self) -> str:
        return self.edge.address

    def health(self) -> int:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        with open_channel(self.address) as channel:
            return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S).status)


@contextmanager
def serving(
    index: FakeIndex, *, is_loaded: bool = True, queue_limit: int = 100, max_calls: int = 16
) -> Iterator[Served]:
    settings = Settings(store=Path("store"), port=0, max_streams=8, max_calls=max_calls)
    limits = Limits(max_batch=4, max_neighbours=20, max_vectors=100, max_streams=8, stream_window=8)
    stations = Stations(FakeStore(index), poll_s=1)
    with Batcher(max_batch=4, queue_limit=queue_limit) as batcher:
        edge = Edge.open(settings, Engine.of(stations, batcher, limits), Part())
        try:
            if is_loaded:
                stations.load(Path("store"), ())
                edge.set_serving()
            yield Served(edge, stations)
        finally:
            index.gate.set()
            edge.close()


def vectors(*firsts: float) -> list[vector_pb2.InspectionVector]:
    return [vector_pb2.InspectionVector(packed=vector_of(first).tobytes()) for first in firsts]


def batch(*firsts: float) -> inspection_service_pb2.ClassifyRequest:
    return inspection_service_pb2.ClassifyRequest(vectors=vectors(*firsts))


def message(*firsts: float) -> inspection_service_pb2.InspectRequest:
    return inspection_service_pb2.InspectRequest(vectors=vectors(*firsts))


def reason(error: grpc.RpcError) -> str:
    return str(detail(error, error_details_pb2.ErrorInfo).reason)


def test_until_everything_is_loaded_health_says_so_and_callers_are_told_to_come_back() -> None:
    with serving(FakeIndex(), is_loaded=False) as served, connected(served.address) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.Classify(batch(0.5), timeout=TIMEOUT_S)
        before = served.health()
        served.stations.load(Path("store"), ())
        served.edge.set_serving()
        answers = stub.Classify(batch(0.5), timeout=TIMEOUT_S).answers

        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason(caught.value) == "INDEX_NOT_LOADED"
        assert before == health_pb2.HealthCheckResponse.NOT_SERVING
        assert served.health() == health_pb2.HealthCheckResponse.SERVING
        assert len(answers) == 1


def test_a_draining_server_answers_what_it_accepted_and_takes_nothing_new() -> None:
    index = FakeIndex(held=True)
    under_way = threading.Event()

    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield message(0.1, 0.2)
        under_way.wait(TIMEOUT_S)

    with serving(index) as served, connected(served.address) as stub, connected(served.address) as late:
        call = stub.Inspect(requests(), timeout=TIMEOUT_S)
        assert index.entered.wait(TIMEOUT_S)
        draining = threading.Thread(target=lambda: served.edge.drain(TIMEOUT_S))
        draining.start()
        told = next(call)
        with pytest.raises(grpc.RpcError) as caught:
            late.Classify(batch(0.5), timeout=TIMEOUT_S)
        health = served.health()
        index.gate.set()
        rest = list(call)
        draining.join(TIMEOUT_S)
        under_way.set()

    assert told.draining.n_accepted == 2
    assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
    assert health == health_pb2.HealthCheckResponse.NOT_SERVING
    assert [answer.sequence for response in rest for answer in response.answers] == [0, 1]
    assert call.code() is grpc.StatusCode.OK


def test_a_deadline_that_passes_ends_the_call_alone() -> None:
    index = FakeIndex(held=True)
    with serving(index) as served, connected(served.address) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.Classify(batch(0.2), timeout=0.2)
        index.gate.set()
        answers = stub.Classify(batch(0.3), timeout=TIMEOUT_S).answers

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(answers) == 1


def test_a_full_queue_refuses_a_batch_and_says_when_to_come_back() -> None:
    index = FakeIndex(held=True)
    ended: SimpleQueue[Any] = SimpleQueue()
    with serving(index, queue_limit=1) as served, connected(served.address) as stub:
        computed = stub.Classify.future(batch(0.1), timeout=TIMEOUT_S)
        assert index.entered.wait(TIMEOUT_S)
        both = [stub.Classify.future(batch(0.2), timeout=TIMEOUT_S) for _ in range(2)]
        for call in both:
            call.add_done_callback(ended.put)
        refused = ended.get(timeout=TIMEOUT_S)
        index.gate.set()
        codes = {call.code() for call in [computed, *both]}

        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.details() == "the limit of 1 queued vectors is reached: try again in 0.25 s"
        assert codes == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_beyond_the_limit_of_calls_a_caller_is_told_when_to_come_back() -> None:
    index = FakeIndex(held=True)
    with serving(index, max_calls=1) as served, connected(served.address) as stub:
        computed = stub.Classify.future(batch(0.1), timeout=TIMEOUT_S)
        assert index.entered.wait(TIMEOUT_S)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Classify(batch(0.2), timeout=TIMEOUT_S)
        health = served.health()
        index.gate.set()
        n_answers = len(computed.result().answers)
        n_after = len(stub.Classify(batch(0.2), timeout=TIMEOUT_S).answers)

    assert (caught.value.code(), reason(caught.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert caught.value.details() == "the limit of 1 open calls is reached: try again in 0.25 s"
    assert health == health_pb2.HealthCheckResponse.SERVING
    assert (n_answers, n_after) == (1, 1)


def test_a_full_queue_only_slows_a_stream_down() -> None:
    index = FakeIndex(held=True)
    with serving(index, queue_limit=1) as served, connected(served.address) as stub:
        call = stub.Inspect(iter([message(0.1)] * 50), timeout=TIMEOUT_S)
        assert index.entered.wait(TIMEOUT_S)
        index.gate.set()

        assert [answer.sequence for response in call for answer in response.answers] == list(range(50))


def test_a_vector_the_index_fails_on_has_an_error_beside_its_neighbours_verdicts() -> None:
    with serving(FakeIndex()) as served, connected(served.address) as stub, capture_logs() as events:
        answers = stub.Classify(batch(0.1, POISON, 0.3), timeout=TIMEOUT_S).answers

    assert [answer.WhichOneof("outcome") for answer in answers] == ["verdict", "error", "verdict"]
    assert answers[1].error.reason == answer_pb2.ITEM_ERROR_REASON_INTERNAL
    assert answers[1].error.message == "the server failed on this vector; the cause is in its log"
    assert [event["sequence"] for event in events if event["event"] == "item_failed"] == [1]


@pytest.mark.parametrize("rpc", ["Inspect", "Classify"])
def test_a_failure_that_nobody_expected_is_internal_and_tells_nothing(rpc: str) -> None:
    index = FakeIndex()
    with serving(index) as served, open_channel(served.address) as channel, capture_logs() as events:
        del index.scale
        call = channel.stream_stream(f"/{SERVICE}/{rpc}", request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([batch(0.1).SerializeToString()]), timeout=TIMEOUT_S))

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == "the server failed on this call; the cause is in its log"
    assert reason(caught.value) == "INTERNAL"
    (failed,) = [event for event in events if event["event"] == "call_failed"]
    assert "scale" in str(failed["exc_info"])


def test_who_has_not_read_everything_when_the_time_is_over_is_cut() -> None:
    index = FakeIndex(held=True)
    with serving(index) as served, connected(served.address) as stub, capture_logs() as events:
        call = stub.Inspect(iter([message(0.1)]), timeout=TIMEOUT_S)
        assert index.entered.wait(TIMEOUT_S)
        served.edge.drain(0)
        index.gate.set()
        call.cancel()

    assert [event["n_cut"] for event in events if event["event"] == "drained"] == [1]
