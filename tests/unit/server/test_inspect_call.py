from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from miwake.inspection.v1 import inspection_service_pb2, vector_pb2
from miwake.server.batcher import Batcher
from miwake.server.engine import Engine
from miwake.server.errors import RequestError, UnknownStationError
from miwake.server.inspect_call import InspectCall
from miwake.server.intake import Limits
from miwake.server.stations import Stations
from support.index import FakeIndex, FakeStore, vector_of

LIMITS = Limits(max_batch=4, max_neighbours=20, max_vectors=100, max_streams=1, stream_window=6)
TIMEOUT_S = 30


def request(
    *firsts: float, station: str = "", n_neighbours: int | None = None
) -> inspection_service_pb2.InspectRequest:
    return inspection_service_pb2.InspectRequest(
        station=station,
        vectors=[vector_pb2.InspectionVector(id=str(one), packed=vector_of(one).tobytes()) for one in firsts],
        options=inspection_service_pb2.AnswerOptions(n_neighbours=n_neighbours),
    )


@contextmanager
def open_stream(store: FakeStore) -> Iterator[InspectCall]:
    stations = Stations(store, poll_s=1)
    stations.load(Path("store"), ())
    with Batcher(max_batch=LIMITS.max_batch, queue_limit=100) as batcher:
        yield InspectCall(Engine.of(stations, batcher, LIMITS))


@contextmanager
def reading(stream: InspectCall, requests: Iterator[inspection_service_pb2.InspectRequest]) -> Iterator[None]:
    thread = threading.Thread(target=lambda: stream.read(requests))
    thread.start()
    try:
        yield
    finally:
        stream.leave()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def sequences(responses: list[inspection_service_pb2.InspectResponse]) -> list[int]:
    return [answer.sequence for response in responses for answer in response.answers]


def test_sequences_go_on_over_all_messages_of_a_stream() -> None:
    requests = [request(0.1, 0.2), request(), request(0.3), request(*[0.5] * 9)]
    with open_stream(FakeStore(FakeIndex())) as stream, reading(stream, iter(requests)):
        responses = list(stream.answers())

    assert sequences(responses) == list(range(12))
    assert [answer.id for response in responses for answer in response.answers][:3] == ["0.1", "0.2", "0.3"]


def test_a_stream_without_vectors_ends_without_an_answer() -> None:
    with open_stream(FakeStore(FakeIndex())) as stream, reading(stream, iter([request()])):
        assert list(stream.answers()) == []


def test_nothing_more_is_read_once_the_window_is_full() -> None:
    index = FakeIndex(held=True)
    read_too_far = threading.Event()

    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield from (request(0.1, 0.2), request(0.3, 0.4), request(0.5, 0.6))
        if not index.gate.is_set():
            read_too_far.set()
        yield request(0.7)

    with open_stream(FakeStore(index)) as stream, reading(stream, requests()):
        assert index.entered.wait(TIMEOUT_S)
        index.gate.set()
        responses = list(stream.answers())

    assert sequences(responses) == list(range(7))
    assert not read_too_far.is_set()


def test_a_draining_stream_says_what_it_accepted_and_answers_it() -> None:
    index = FakeIndex(held=True)
    blocked = threading.Event()

    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield request(0.1, 0.2)
        yield request(0.3)
        blocked.wait(TIMEOUT_S)
        yield request(0.4)

    with open_stream(FakeStore(index)) as stream, reading(stream, requests()):
        answers = stream.answers()
        assert index.entered.wait(TIMEOUT_S)
        stream.drain()
        draining = next(answers)
        index.gate.set()
        rest = list(answers)
        blocked.set()

    assert draining.HasField("draining")
    assert sequences(rest) == list(range(draining.draining.n_accepted))


def test_an_idle_stream_drains_at_once() -> None:
    blocked = threading.Event()

    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        blocked.wait(TIMEOUT_S)
        yield request(0.4)

    with open_stream(FakeStore(FakeIndex())) as stream, reading(stream, requests()):
        stream.drain()
        responses = list(stream.answers())
        blocked.set()

    assert [response.draining.n_accepted for response in responses] == [0]


@pytest.mark.parametrize(
    "refused",
    [request(0.5, n_neighbours=0), request(*[0.5] * 101), request(0.5, station="other")],
)
def test_a_refused_request_ends_the_stream_after_all_accepted_vectors_are_answered(
    refused: inspection_service_pb2.InspectRequest,
) -> None:
    requests = iter([request(0.1, 0.2), refused])
    with open_stream(FakeStore(FakeIndex())) as stream, reading(stream, requests):
        answers = stream.answers()

        assert sequences([next(answers)]) == [0, 1]
        with pytest.raises(RequestError):
            next(answers)


def test_the_station_cannot_change() -> None:
    store = FakeStore(FakeIndex(station="a"), FakeIndex(station="b"))
    requests = [request(0.1, station="a"), request(0.2), request(0.3, station="b")]
    with open_stream(store) as stream, reading(stream, iter(requests)):
        answers = stream.answers()

        assert next(answers).provenance.station == "a"
        with pytest.raises(RequestError, match="station: 'b' in a stream of station 'a', which cannot change"):
            list(answers)


def test_an_unknown_station_ends_the_stream() -> None:
    requests = iter([request(0.1, station="x")])
    with (
        open_stream(FakeStore(FakeIndex())) as stream,
        reading(stream, requests),
        pytest.raises(UnknownStationError),
    ):
        list(stream.answers())


def test_a_caller_who_is_gone_ends_the_stream() -> None:
    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield request(0.1)
        raise grpc.RpcError

    index = FakeIndex(held=True)
    with open_stream(FakeStore(index)) as stream, reading(stream, requests()):
        assert list(stream.answers()) == []
        index.gate.set()


def test_an_error_that_nobody_expected_reaches_who_can_tell_the_caller() -> None:
    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield request(0.1)
        raise ZeroDivisionError

    with (
        open_stream(FakeStore(FakeIndex())) as stream,
        reading(stream, requests()),
        pytest.raises(ZeroDivisionError),
    ):
        list(stream.answers())


def test_no_response_mixes_generations_and_later_ones_name_the_new_one() -> None:
    store = FakeStore(FakeIndex())
    stations = Stations(store, poll_s=1)
    stations.load(Path("store"), ())

    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield request(0.1, 0.2)
        store.publish(FakeIndex(generation="g000002"))
        stations.refresh()
        yield request(0.3, 0.4)

    with Batcher(max_batch=64, queue_limit=100) as batcher:
        stream = InspectCall(Engine.of(stations, batcher, LIMITS))
        with reading(stream, requests()):
            responses = list(stream.answers())

    assert [(response.provenance.generation, len(response.answers)) for response in responses] == [
        ("g000001", 2),
        ("g000002", 2),
    ]
