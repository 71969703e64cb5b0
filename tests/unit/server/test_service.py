from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from miwake.inspection.v1 import inspection_service_pb2, vector_pb2
from miwake.server.batcher import Batcher
from miwake.server.engine import Engine
from miwake.server.errors import DeadlineError, OverloadedError, StoppingError
from miwake.server.intake import Limits
from miwake.server.service import InspectionService
from miwake.server.stations import Stations
from support.index import FakeIndex, FakeStore, vector_of
from support.recorder import FakeRecorder

LIMITS = Limits(max_batch=4, max_neighbours=20, max_vectors=100, max_streams=1, stream_window=8)


class Context:
    """The methods of a gRPC context that the service uses."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self.callbacks.append(callback)
        return True

    def time_remaining(self) -> float | None:
        return None


class LateContext(Context):
    """The context of a caller whose deadline has passed."""

    def time_remaining(self) -> float | None:
        return 0.0


class GoneContext(Context):
    """The context of a caller who is gone already."""

    def add_callback(self, callback: Callable[[], None]) -> bool:
        callback()
        return True


@contextmanager
def open_engine(index: FakeIndex, recorder: FakeRecorder | None = None) -> Iterator[Engine]:
    stations = Stations(FakeStore(index), poll_s=1)
    stations.load(Path("store"), ())
    with Batcher(max_batch=LIMITS.max_batch, queue_limit=100) as batcher:
        try:
            yield Engine.of(stations, batcher, LIMITS, recorder=recorder)
        finally:
            index.gate.set()


@contextmanager
def open_service(index: FakeIndex, recorder: FakeRecorder | None = None) -> Iterator[InspectionService]:
    with open_engine(index, recorder) as engine, closing(InspectionService(engine)) as service:
        yield service


def classify(*firsts: float) -> inspection_service_pb2.ClassifyRequest:
    return inspection_service_pb2.ClassifyRequest(
        vectors=[vector_pb2.InspectionVector(packed=vector_of(one).tobytes()) for one in firsts]
    )


def inspect(*firsts: float) -> inspection_service_pb2.InspectRequest:
    return inspection_service_pb2.InspectRequest(vectors=classify(*firsts).vectors)


def test_a_batch_of_several_computed_ones_is_answered_in_order() -> None:
    with open_service(FakeIndex()) as service:
        response = service.Classify(classify(*[0.5] * 10), Context())  # type: ignore[arg-type]

    assert [answer.sequence for answer in response.answers] == list(range(10))


def test_what_a_caller_who_is_gone_asked_is_not_computed() -> None:
    index = FakeIndex(held=True)
    with open_service(index) as service, pytest.raises(DeadlineError):
        service.Classify(classify(*[0.5] * 10), GoneContext())  # type: ignore[arg-type]

    assert index.batches in ([], [LIMITS.max_batch])


def test_what_is_queued_past_its_deadline_is_not_computed() -> None:
    index = FakeIndex()
    with open_service(index) as service, pytest.raises(DeadlineError):
        service.Classify(classify(0.5), LateContext())  # type: ignore[arg-type]

    assert index.batches == []


@pytest.mark.parametrize(
    ("awaits", "is_durable", "says"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_verdicts_are_recorded_and_say_so_where_the_caller_awaits_it(
    awaits: bool,
    is_durable: bool,
    says: bool,
) -> None:
    recorder = FakeRecorder(tells_at_once=is_durable)
    request = classify(*[0.5] * 6)
    request.options.await_record = awaits
    with open_service(FakeIndex(), recorder) as service:
        response = service.Classify(request, Context())  # type: ignore[arg-type]

    assert recorder.recorded == [("", 4), ("", 2)]
    assert response.provenance.recorded is says
    assert len(response.answers) == 6


def test_searches_are_not_recorded() -> None:
    recorder = FakeRecorder()
    request = inspection_service_pb2.SearchNeighboursRequest(vectors=classify(0.5).vectors)
    with open_service(FakeIndex(), recorder) as service:
        assert len(service.SearchNeighbours(request, Context()).answers) == 1  # type: ignore[arg-type]

    assert recorder.recorded == []


def test_a_stopping_service_takes_nothing_new() -> None:
    with open_engine(FakeIndex()) as engine, closing(InspectionService(engine)) as service:
        assert engine.calls.drain(0) == 0

        with pytest.raises(StoppingError):
            service.Classify(classify(0.5), Context())  # type: ignore[arg-type]
        with pytest.raises(StoppingError):
            next(service.Inspect(iter([inspect(0.5)]), Context()))  # type: ignore[arg-type]


def test_a_stream_too_many_is_refused_until_another_ends() -> None:
    with open_service(FakeIndex()) as service:
        first = service.Inspect(iter([inspect(0.5)] * 2), Context())  # type: ignore[arg-type]
        assert isinstance(first, Generator)
        next(first)

        with pytest.raises(OverloadedError, match="the limit of 1 open streams is reached"):
            next(service.Inspect(iter([inspect(0.5)]), Context()))  # type: ignore[arg-type]
        first.close()
        assert len(list(service.Inspect(iter([inspect(0.5)]), Context()))) == 1  # type: ignore[arg-type]


def test_a_caller_who_is_gone_ends_its_stream() -> None:
    with open_service(FakeIndex()) as service:
        assert list(service.Inspect(iter([inspect(0.5)]), GoneContext())) == []  # type: ignore[arg-type]
