"""Streams that are taken up again, by a bare client that knows nothing but the contract, over real TCP that breaks."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

import grpc
import numpy as np
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from miwake.indexer.build import rebuild
from miwake.indexer.storage.files import sha256_of
from miwake.indexer.storage.station import StationFolder
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, inspection_service_pb2_grpc, vector_pb2
from support.cutting_proxy import cutting_proxy
from support.serving import (
    STATION,
    ServerProcess,
    SmallStation,
    connected,
    detail,
    flip_a_byte,
    packed,
    requests_of,
    running_server,
)

TIMEOUT_S = 60
WINDOW = 200
"""Vectors that the bare client lets be unanswered; fewer than the server's window."""


VECTOR = packed(np.linspace(0, 1, 1404, dtype=np.float32)[np.newaxis])
AWAIT = inspection_service_pb2.AnswerOptions(await_record=True)
WITHIN_NOTHING = inspection_service_pb2.AnswerOptions(answer_within=duration_pb2.Duration())


def first_request(stream_id: str, n_received: int | None = None) -> inspection_service_pb2.InspectRequest:
    return inspection_service_pb2.InspectRequest(stream_id=stream_id, n_received=n_received)


@dataclass
class BareClient:
    """Sends vectors on a stream that it takes up again until it has every answer.

    It opens a channel for each call, sends what it has no answer to, and says how much it has with every message.
    """

    vectors: list[vector_pb2.InspectionVector]
    size: int = 16
    stream_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    answers: list[answer_pb2.Answer] = field(default_factory=list)

    def run(self, address: str) -> None:
        while len(self.answers) < len(self.vectors):
            with connected(address) as stub:
                self.call(stub)

    def call(
        self,
        stub: inspection_service_pb2_grpc.InspectionServiceStub,
        *,
        when_answered: tuple[int, Callable[[], object]] | None = None,
    ) -> None:
        """Make one call, and do something once so many answers have come."""
        progress: SimpleQueue[bool] = SimpleQueue()
        n_before = len(self.answers)
        try:
            for response in stub.Inspect(self.requests(progress), timeout=TIMEOUT_S):
                self.answers.extend(response.answers)
                progress.put(True)
                if when_answered is not None and len(self.answers) >= when_answered[0]:
                    when_answered[1]()
                    when_answered = None
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error  # noqa: PT017 - as a broken connection is told
        finally:
            progress.put(False)
        assert [answer.sequence for answer in self.answers[n_before:]] == list(range(n_before, len(self.answers)))

    def requests(self, progress: SimpleQueue[bool]) -> Iterator[inspection_service_pb2.InspectRequest]:
        sent = len(self.answers)
        yield first_request(self.stream_id, sent)
        while sent < len(self.vectors):
            while sent - len(self.answers) > WINDOW:
                if not progress.get():
                    return
            vectors = self.vectors[sent : sent + self.size]
            yield inspection_service_pb2.InspectRequest(
                vectors=vectors, first_sequence=sent, n_received=len(self.answers)
            )
            sent += len(vectors)


def outcomes(answers: list[answer_pb2.Answer]) -> list[tuple[str, int, int, tuple[str, ...]]]:
    """Return what must be the same however the answers came: not the last bits, which a batch's size rounds."""
    return [
        (
            answer.id,
            answer.verdict.label,
            answer.verdict.decision,
            tuple(sorted(answer.verdict.neighbours.reference_ids)),
        )
        for answer in answers
    ]


@pytest.fixture(scope="module")
def vectors(small_station: SmallStation) -> list[vector_pb2.InspectionVector]:
    return packed(small_station.queries[np.arange(1200) % len(small_station.queries)])


@pytest.fixture(scope="module")
def metered(small_station: SmallStation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("metered") / "log"
    with running_server(small_station.store, log, "--metrics-port", "0", "--queue-limit", "300") as running:
        yield running


@pytest.fixture(scope="module")
def unbroken(metered: ServerProcess, vectors: list[vector_pb2.InspectionVector]) -> list[answer_pb2.Answer]:
    with connected(metered.address) as stub:
        responses = stub.Inspect(requests_of(vectors, size=16), timeout=TIMEOUT_S)
        return [answer for response in responses for answer in response.answers]


def n_computed(server: ServerProcess) -> float:
    """Return how many verdicts the server has counted; the search waits until the last batch is counted, too."""
    with connected(server.address) as stub:
        stub.SearchNeighbours(inspection_service_pb2.SearchNeighboursRequest(vectors=VECTOR), timeout=TIMEOUT_S)
    return scraped(server, "miwake_verdicts_total")


def scraped(server: ServerProcess, name: str) -> float:
    """Return the sum of a metric over its labels."""
    [bound] = server.events("metrics_exposed")
    with urllib.request.urlopen(f"http://{bound['address']}/metrics", timeout=TIMEOUT_S) as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


@pytest.mark.parametrize("size", [1, 16, 64])
def test_whatever_byte_a_connection_breaks_at_nothing_is_missing_or_doubled_or_computed_twice(
    metered: ServerProcess,
    vectors: list[vector_pb2.InspectionVector],
    unbroken: list[answer_pb2.Answer],
    size: int,
) -> None:
    source = random.Random(size)  # noqa: S311 - a seed, no secret
    shares = [source.randint(100, 1_500_000) for _ in range(12)]
    n_before = n_computed(metered)
    client = BareClient(vectors, size=size)
    with cutting_proxy(metered.address, shares) as proxy:
        client.run(proxy.address)

    assert proxy.n_cuts >= 5
    assert outcomes(client.answers) == outcomes(unbroken)
    assert n_computed(metered) - n_before == len(vectors)
    assert scraped(metered, "miwake_parked_streams") >= 1


def test_a_new_call_takes_the_stream_over_and_the_old_one_is_told(
    metered: ServerProcess, vectors: list[vector_pb2.InspectionVector]
) -> None:
    is_over = threading.Event()

    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield inspection_service_pb2.InspectRequest(stream_id="taken over", vectors=vectors[:40])
        is_over.wait(TIMEOUT_S)

    with connected(metered.address) as old_stub, connected(metered.address) as new_stub:
        old = old_stub.Inspect(requests(), timeout=TIMEOUT_S)
        assert next(old).acknowledgement.n_accepted in (0, 40)
        assert len(next(old).answers) == 40
        responses = list(new_stub.Inspect(iter([first_request("taken over", 25)]), timeout=TIMEOUT_S))
        with pytest.raises(grpc.RpcError) as told:
            list(old)
        is_over.set()

    assert responses[0] == inspection_service_pb2.InspectResponse(
        acknowledgement=inspection_service_pb2.Acknowledgement(n_accepted=40)
    )
    assert [answer.sequence for response in responses for answer in response.answers] == list(range(25, 40))
    assert old.code() is grpc.StatusCode.ABORTED
    assert detail(told.value, error_details_pb2.ErrorInfo).reason == "STREAM_TAKEN_OVER"


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([first_request("", 0)], "n_received"),
        ([first_request("x" * 201)], "stream_id"),
        ([first_request("huge", 2**63)], "n_received"),
        ([first_request("gap"), inspection_service_pb2.InspectRequest(first_sequence=1)], "first_sequence"),
        ([first_request("unknown", 7), inspection_service_pb2.InspectRequest(first_sequence=8)], "first_sequence"),
        ([first_request("more"), inspection_service_pb2.InspectRequest(n_received=1)], "n_received"),
        ([first_request("name"), first_request("another name")], "stream_id"),
        ([first_request("pin"), inspection_service_pb2.InspectRequest(generation="g000001")], "generation"),
        ([inspection_service_pb2.InspectRequest(vectors=VECTOR, options=AWAIT)], "options.await_record"),
        ([inspection_service_pb2.InspectRequest(vectors=VECTOR, options=WITHIN_NOTHING)], "options.answer_within"),
    ],
)
def test_what_contradicts_is_refused_by_name(
    metered: ServerProcess, requests: list[inspection_service_pb2.InspectRequest], field: str
) -> None:
    with connected(metered.address) as stub, pytest.raises(grpc.RpcError) as refused:
        list(stub.Inspect(iter(requests), timeout=TIMEOUT_S))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    [violation] = detail(refused.value, error_details_pb2.BadRequest).field_violations
    assert violation.field == field


def test_a_second_stream_of_the_same_name_is_refused_and_the_first_goes_on(
    metered: ServerProcess, vectors: list[vector_pb2.InspectionVector]
) -> None:
    is_refused = threading.Event()

    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield inspection_service_pb2.InspectRequest(stream_id="mine", vectors=vectors[:1])
        is_refused.wait(TIMEOUT_S)
        yield inspection_service_pb2.InspectRequest(vectors=vectors[1:2])

    with connected(metered.address) as mine, connected(metered.address) as other:
        call = mine.Inspect(requests(), timeout=TIMEOUT_S)
        next(call)
        with pytest.raises(grpc.RpcError, match="a stream of this name is known here"):
            list(other.Inspect(iter([first_request("mine")]), timeout=TIMEOUT_S))
        is_refused.set()
        answers = [answer for response in call for answer in response.answers]

    assert [answer.sequence for answer in answers] == [0, 1]


def test_a_stream_goes_on_at_another_server_after_its_own_was_killed(
    metered: ServerProcess,
    small_station: SmallStation,
    tmp_path: Path,
    vectors: list[vector_pb2.InspectionVector],
    unbroken: list[answer_pb2.Answer],
) -> None:
    client = BareClient(vectors)
    with running_server(small_station.store, tmp_path / "log") as server, connected(server.address) as stub:
        client.call(stub, when_answered=(300, lambda: server.process.send_signal(signal.SIGKILL)))
    n_before = len(client.answers)
    client.run(metered.address)

    assert 300 <= n_before < len(vectors)
    assert outcomes(client.answers) == outcomes(unbroken)


def test_what_waited_too_long_has_expired_and_is_never_a_pass(
    metered: ServerProcess, vectors: list[vector_pb2.InspectionVector]
) -> None:
    at_once = inspection_service_pb2.AnswerOptions(answer_within=duration_pb2.Duration(nanos=1))
    requests = [
        inspection_service_pb2.InspectRequest(vectors=vectors[:10]),
        inspection_service_pb2.InspectRequest(vectors=vectors[10:30], options=at_once),
        inspection_service_pb2.InspectRequest(vectors=vectors[30:40]),
    ]
    with connected(metered.address) as stub:
        responses = list(stub.Inspect(iter(requests), timeout=TIMEOUT_S))

    answers = [answer for response in responses for answer in response.answers]
    assert [answer.sequence for answer in answers] == list(range(40))
    assert [one.sequence for one in answers if one.error.reason == answer_pb2.ITEM_ERROR_REASON_EXPIRED] == list(
        range(10, 30)
    )
    assert sum(answer.HasField("verdict") for answer in answers) == 20


def test_a_stream_that_the_queue_holds_up_is_told_so(
    metered: ServerProcess, vectors: list[vector_pb2.InspectionVector]
) -> None:
    many = [vectors[row % len(vectors)] for row in range(2000)]
    back_offs: list[float] = []
    n_answers: list[int] = []

    def stream() -> None:
        with connected(metered.address) as stub:
            responses = list(stub.Inspect(requests_of(many + many, size=2000), timeout=TIMEOUT_S))
        n_answers.append(sum(len(response.answers) for response in responses))
        back_offs.extend(
            response.back_off.retry_after.ToMilliseconds() for response in responses if response.HasField("back_off")
        )

    threads = [threading.Thread(target=stream) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)

    assert n_answers == [4000] * 8
    assert back_offs
    assert min(back_offs) > 0


def test_a_pinned_generation_answers_whatever_becomes_current(
    small_station: SmallStation, tmp_path: Path, vectors: list[vector_pb2.InspectionVector]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_station.store, store)
    folder = StationFolder(store / STATION)
    first = folder.current()
    rebuild(folder, records=small_station.more)
    rebuild(folder)
    flip_a_byte(folder.generation_path("g000003") / "index.faiss")
    second = replace(folder.current(), generation="g000002", manifest_sha256=manifest_hash(folder, "g000002"))
    folder.set_current(first)
    is_switched = threading.Event()

    def requests(generation: str) -> Iterator[inspection_service_pb2.InspectRequest]:
        yield inspection_service_pb2.InspectRequest(vectors=vectors[:1], generation=generation)
        is_switched.wait(TIMEOUT_S)
        yield inspection_service_pb2.InspectRequest(vectors=vectors[1:2])

    with running_server(store, tmp_path / "log") as server, connected(server.address) as stub:
        pinned, later = (stub.Inspect(requests(name), timeout=TIMEOUT_S) for name in ("g000001", "g000002"))
        provenances = [next(pinned).provenance, next(later).provenance]
        folder.set_current(second)
        while current_generation(stub, vectors) != "g000002":
            pass
        shutil.rmtree(folder.generation_path("g000001"))
        is_switched.set()
        provenances += [next(pinned).provenance, next(later).provenance]
        assert [*pinned, *later] == []
        codes = [code_of(stub, next(requests(name))) for name in ("g000001", "g000009", "../g000001", "g000003")]

    assert [one.generation for one in provenances] == ["g000001", "g000002", "g000001", "g000002"]
    # The first follows the references for as long as it is current, and answers when its files are removed.
    assert [one.revision for one in provenances] == [2, 2, 2, 2]
    assert codes == [
        (grpc.StatusCode.NOT_FOUND, "GENERATION_NOT_FOUND"),
        (grpc.StatusCode.NOT_FOUND, "GENERATION_NOT_FOUND"),
        (grpc.StatusCode.NOT_FOUND, "GENERATION_NOT_FOUND"),
        (grpc.StatusCode.FAILED_PRECONDITION, "GENERATION_UNUSABLE"),
    ]


def test_an_earlier_generation_that_is_pinned_answers_at_its_base_revision(
    small_station: SmallStation, tmp_path: Path, vectors: list[vector_pb2.InspectionVector]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_station.store, store)
    rebuild(StationFolder(store / STATION), records=small_station.more)
    request = inspection_service_pb2.InspectRequest(vectors=vectors[:1], generation="g000001")
    with running_server(store, tmp_path / "log") as server, connected(server.address) as stub:
        anew = next(stub.Inspect(iter([request]), timeout=TIMEOUT_S)).provenance

    assert (anew.generation, anew.revision) == ("g000001", 1)


def manifest_hash(folder: StationFolder, generation: str) -> str:
    return sha256_of(folder.generation_path(generation) / "manifest.json")


def current_generation(
    stub: inspection_service_pb2_grpc.InspectionServiceStub, vectors: list[vector_pb2.InspectionVector]
) -> str:
    request = inspection_service_pb2.ClassifyRequest(vectors=vectors[:1])
    return stub.Classify(request, timeout=TIMEOUT_S).provenance.generation


def code_of(
    stub: inspection_service_pb2_grpc.InspectionServiceStub, request: inspection_service_pb2.InspectRequest
) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        list(stub.Inspect(iter([request]), timeout=TIMEOUT_S))
    return refused.value.code(), detail(refused.value, error_details_pb2.ErrorInfo).reason
