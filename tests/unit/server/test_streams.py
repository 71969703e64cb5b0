from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from miwake.indexer.answers import VerdictBatch
from miwake.indexer.search.options import AS_CALIBRATED, SearchOptions
from miwake.inspection.v1 import inspection_service_pb2, vector_pb2
from miwake.server.batcher import Batcher
from miwake.server.engine import Engine
from miwake.server.errors import RequestError, StreamTakenOverError
from miwake.server.inspect_call import InspectCall
from miwake.server.intake import Limits
from miwake.server.recording import Recorder
from miwake.server.stations import Stations
from support.index import FakeIndex, FakeStore, vector_of
from support.recorder import FakeRecorder

LIMITS = Limits(max_batch=4, max_neighbours=20, max_vectors=100, max_streams=3, stream_window=20)
TIMEOUT_S = 30

Request = inspection_service_pb2.InspectRequest
Response = inspection_service_pb2.InspectResponse


def request(
    *firsts: float,
    stream_id: str = "",
    n_received: int | None = None,
    first_sequence: int | None = None,
    generation: str = "",
    await_record: bool = False,
) -> Request:
    return Request(
        stream_id=stream_id,
        n_received=n_received,
        first_sequence=first_sequence,
        generation=generation,
        vectors=[vector_pb2.InspectionVector(packed=vector_of(one).tobytes()) for one in firsts],
        options=inspection_service_pb2.AnswerOptions(await_record=await_record),
    )


@contextmanager
def open_engine(
    *indexes: FakeIndex, limits: Limits = LIMITS, queue_limit: int = 100, recorder: Recorder | None = None
) -> Iterator[Engine]:
    indexes = indexes or (FakeIndex(),)
    stations = Stations(FakeStore(*indexes), poll_s=1)
    stations.load(Path("store"), ())
    with Batcher(max_batch=limits.max_batch, queue_limit=queue_limit) as batcher:
        try:
            yield Engine.of(stations, batcher, limits, recorder=recorder)
        finally:
            for index in indexes:
                index.gate.set()


class Connection:
    """A call whose requests the test hands in one by one."""

    def __init__(self, engine: Engine, *requests: Request) -> None:
        self.call = InspectCall(engine)
        self.responses = self.call.answers()
        self._next = iter(requests)
        self._more = threading.Event()
        self._thread = threading.Thread(target=lambda: self.call.read(self._requests()))
        self._thread.start()

    def _requests(self) -> Iterator[Request]:
        yield from self._next
        self._more.wait(TIMEOUT_S)

    def next(self) -> Response:
        return next(self.responses)

    def answers(self, n_answers: int) -> list[int]:
        """Return the sequences of the next answers."""
        found: list[int] = []
        while len(found) < n_answers:
            found.extend(answer.sequence for answer in self.next().answers)
        return found

    def finish(self) -> list[Response]:
        """Send nothing more, and return the rest of the responses."""
        self._more.set()
        rest = list(self.responses)
        self._thread.join(TIMEOUT_S)
        return rest

    def cut(self) -> None:
        self.call.leave()
        self._more.set()
        self._thread.join(TIMEOUT_S)


def sequences(responses: list[Response]) -> list[int]:
    return [answer.sequence for response in responses for answer in response.answers]


def test_the_first_response_of_a_named_stream_is_an_acknowledgement_and_so_does_every_other_bear_one() -> None:
    with open_engine() as engine:
        connection = Connection(engine, request(0.1, 0.2, stream_id="s"))
        first, *others = [connection.next(), connection.next(), *connection.finish()]

    assert first.HasField("acknowledgement")
    assert not first.answers
    assert [one.acknowledgement.n_accepted for one in others] == [2]


def test_a_stream_without_a_name_has_no_acknowledgements() -> None:
    with open_engine() as engine:
        responses = Connection(engine, request(0.1)).finish()

    assert [one.HasField("acknowledgement") for one in responses] == [False]


def test_what_was_accepted_is_computed_once_and_answered_to_the_next_call() -> None:
    index = FakeIndex(held=True)
    with open_engine(index) as engine:
        broken = Connection(engine, request(*[0.1] * 6, stream_id="s"))
        assert index.entered.wait(TIMEOUT_S)
        broken.cut()
        index.gate.set()
        again = Connection(engine, request(*[0.1] * 10, stream_id="s", n_received=0, first_sequence=0))
        responses = again.finish()

    assert sequences(responses) == list(range(10))
    assert sum(index.batches) == 10


def test_answers_that_the_caller_lacks_are_sent_again_from_within_a_response() -> None:
    index = FakeIndex()
    with open_engine(index) as engine:
        broken = Connection(engine, request(*[0.1] * 4, stream_id="s"))
        assert broken.answers(4) == [0, 1, 2, 3]
        broken.cut()
        responses = Connection(
            engine, request(stream_id="s", n_received=3), request(0.5, 0.5, first_sequence=3)
        ).finish()

    assert responses[0].acknowledgement.n_accepted >= 4
    assert sequences(responses) == [3, 4]
    assert sum(index.batches) == 5


def test_a_stream_that_ended_well_can_still_give_its_last_answers_again() -> None:
    with open_engine() as engine:
        assert sequences(Connection(engine, request(0.1, 0.2, stream_id="s")).finish()) == [0, 1]
        responses = Connection(engine, request(stream_id="s", n_received=1)).finish()

    assert sequences(responses) == [1]


def test_an_unknown_stream_begins_where_the_caller_is() -> None:
    with open_engine() as engine:
        responses = Connection(engine, request(0.1, 0.2, stream_id="s", n_received=1000)).finish()

    assert sequences(responses) == [1000, 1001]


@pytest.mark.parametrize(
    "limits", [replace(LIMITS, resume_s=0), replace(LIMITS, parked_bytes=0), replace(LIMITS, max_streams=0)]
)
def test_a_stream_is_forgotten_when_its_time_is_over_or_too_much_is_kept(limits: Limits) -> None:
    index = FakeIndex()
    with open_engine(index, limits=limits) as engine:
        first = Connection(engine, request(0.1, 0.2, stream_id="s"))
        first.finish()
        assert engine.streams.n_parked == 0
        responses = Connection(engine, request(0.1, 0.2, stream_id="s", n_received=0)).finish()

    assert sequences(responses) == [0, 1]
    assert sum(index.batches) == 4


def test_of_too_many_streams_the_oldest_is_forgotten() -> None:
    with open_engine(limits=replace(LIMITS, max_streams=2)) as engine:
        for name in ("a", "b", "c"):
            Connection(engine, request(0.1, stream_id=name)).finish()
        n_accepted = [
            Connection(engine, request(stream_id=name, n_received=0)).finish()[0].acknowledgement.n_accepted
            for name in ("b", "c", "a")
        ]

    assert n_accepted == [1, 1, 0]


def test_more_is_kept_the_more_a_stream_has_that_was_not_received() -> None:
    with open_engine() as engine:
        n_bytes = []
        for n_received in (0, 6, 12):
            connection = Connection(engine, request(*[0.1] * 12, stream_id=str(n_received)))
            assert connection.answers(12) == list(range(12))
            connection.cut()
            again = Connection(engine, request(stream_id=str(n_received), n_received=n_received))
            again.next()
            assert again.call.stream is not None
            n_bytes.append(again.call.stream.n_bytes())
            again.cut()

    # An answer of the fake index, with its 15 neighbours, has some 800 bytes.
    assert 12 * 500 < n_bytes[0] < 12 * 2000
    assert n_bytes[0] > n_bytes[1] > n_bytes[2] == 0


def test_templates_count_as_much_as_the_vectors_they_stand_beside() -> None:
    n_bytes = []
    for template in (b"", vector_of(0.5).tobytes()):
        index = FakeIndex(held=True)
        asked = request(*[0.1] * 8, stream_id="a")
        asked.vectors[7].template = template
        with open_engine(index) as engine:
            connection = Connection(engine, asked)
            assert index.entered.wait(TIMEOUT_S)
            assert connection.call.stream is not None
            n_bytes.append(connection.call.stream.n_bytes())
            connection.cut()

    assert n_bytes[1] - n_bytes[0] == 8 * vector_of(0.5).nbytes


class WatchingIndex(FakeIndex):
    """Knows which of the vectors it was asked about are still kept by somebody."""

    def __init__(self) -> None:
        super().__init__(held=True)
        self.asked_about: list[weakref.ref[NDArray[np.float32]]] = []
        self.entered_third = threading.Event()

    def classify(
        self,
        vectors: NDArray[np.float32],
        *,
        templates: NDArray[np.float32] | None = None,
        n_neighbours: int,
        options: SearchOptions = AS_CALIBRATED,
    ) -> VerdictBatch:
        self.asked_about.append(weakref.ref(vectors))
        if len(self.asked_about) == 3:
            self.entered_third.set()
        return super().classify(vectors, templates=templates, n_neighbours=n_neighbours, options=options)


def test_answers_that_nobody_fetches_let_go_of_their_vectors() -> None:
    index = WatchingIndex()
    with open_engine(index) as engine:
        broken = Connection(engine, request(*[0.1] * 12, stream_id="s"))
        assert index.entered.wait(TIMEOUT_S)
        broken.cut()
        index.gate.set()
        assert index.entered_third.wait(TIMEOUT_S)
        kept = index.asked_about[0]()
        responses = Connection(engine, request(stream_id="s", n_received=0)).finish()

    assert kept is None
    assert sequences(responses) == list(range(12))


def test_a_stopping_server_forgets_what_nobody_waits_for() -> None:
    index = FakeIndex(held=True)
    with open_engine(index) as engine:
        Connection(engine, request(*[0.1] * 12, stream_id="s")).cut()
        assert engine.calls.drain(0) == 0

        assert engine.streams.n_parked == 0
        assert engine.batcher.n_queued == 0


def test_answers_beyond_the_window_are_computed_anew_for_a_caller_who_never_says_what_it_has() -> None:
    index = FakeIndex()
    with open_engine(index, limits=replace(LIMITS, stream_window=4)) as engine:
        first = Connection(engine, *[request(0.1, stream_id="s" if not row else "") for row in range(30)])
        assert first.answers(30) == list(range(30))
        first.finish()
        responses = Connection(engine, request(*[0.1] * 30, stream_id="s", n_received=0)).finish()

    assert sequences(responses) == list(range(30))


def test_a_caller_who_says_what_it_has_gets_the_rest_whatever_the_window() -> None:
    index = FakeIndex()
    with open_engine(index, limits=replace(LIMITS, stream_window=4)) as engine:
        first = Connection(engine, *[request(0.1, stream_id="s" if not row else "") for row in range(30)])
        assert first.answers(30) == list(range(30))
        first.finish()
        responses = Connection(engine, request(*[0.1] * 3, stream_id="s", n_received=27)).finish()

    assert sequences(responses) == [27, 28, 29]
    assert sum(index.batches) == 30


def test_a_call_that_another_took_over_ends_and_disturbs_it_no_more() -> None:
    with open_engine() as engine:
        old = Connection(engine, request(0.1, 0.2, stream_id="s"))
        assert old.answers(2) == [0, 1]
        new = Connection(engine, request(0.3, stream_id="s", n_received=2))
        assert new.next().HasField("acknowledgement")
        with pytest.raises(StreamTakenOverError):
            old.next()
        old.cut()

        assert sequences(new.finish()) == [2]


def test_a_refused_claim_leaves_the_call_that_has_the_stream() -> None:
    with open_engine() as engine:
        mine = Connection(engine, request(0.1, stream_id="s"))
        assert mine.answers(1) == [0]
        for wrong in (request(stream_id="s"), request(stream_id="s", n_received=1, generation="g000001")):
            with pytest.raises(RequestError):
                Connection(engine, wrong).finish()

        assert sequences(mine.finish()) == []
        assert engine.streams.n_parked == 1


def test_streams_of_two_stations_are_two_whatever_they_are_called() -> None:
    with open_engine(FakeIndex(station="a"), FakeIndex(station="b")) as engine:
        for station in ("a", "b"):
            first = request(0.1, stream_id="s")
            first.station = station
            assert Connection(engine, first).finish()[-1].provenance.station == station


def test_a_full_queue_is_told_once_and_what_was_sent_is_answered() -> None:
    index = FakeIndex(held=True)
    with open_engine(index, queue_limit=1) as engine:
        other = Connection(engine, request(*[0.1] * 9))
        assert index.entered.wait(TIMEOUT_S)
        held_up = Connection(engine, request(0.2), request(0.3))
        response = held_up.next()
        index.gate.set()
        rest = held_up.finish()
        other.finish()

    assert response.HasField("back_off")
    assert response.back_off.retry_after.ToMilliseconds() == 250
    assert sequences(rest) == [0, 1]
    assert not any(one.HasField("back_off") for one in rest)


def test_answers_that_await_their_record_are_held_back_until_then() -> None:
    recorder = FakeRecorder()
    with open_engine(recorder=recorder) as engine:
        waiting = Connection(engine, request(0.1, 0.2, stream_id="s", await_record=True))
        assert waiting.next().acknowledgement.n_recorded == 0
        assert recorder.was_given.wait(TIMEOUT_S)
        recorder.tell(is_recorded=True)
        responses = waiting.finish()

    assert recorder.recorded == [("s", 2)]
    assert sequences(responses) == [0, 1]
    assert [one.provenance.recorded for one in responses] == [True]
    assert responses[-1].acknowledgement.n_recorded == 2


def test_answers_go_out_unrecorded_where_the_log_cannot_be_written() -> None:
    recorder = FakeRecorder()
    with open_engine(recorder=recorder) as engine:
        waiting = Connection(engine, request(0.1, await_record=True))
        assert recorder.was_given.wait(TIMEOUT_S)
        recorder.tell(is_recorded=False)
        [response] = waiting.finish()

    assert not response.provenance.recorded
    assert response.acknowledgement.n_recorded == 0


def test_what_is_recorded_later_is_told_once_all_of_it_is() -> None:
    recorder = FakeRecorder()
    with open_engine(recorder=recorder) as engine:
        connection = Connection(engine, request(0.1))
        assert not connection.next().provenance.recorded
        recorder.tell(is_recorded=True)
        told = connection.next()
        connection.finish()

    assert not told.answers
    assert told.acknowledgement.n_recorded == 1
