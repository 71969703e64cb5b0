"""Streams of a real server process over real TCP."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from miwake.indexer.build import rebuild
from miwake.indexer.storage.station import StationFolder
from miwake.inspection.v1 import answer_pb2, inspection_service_pb2, vector_pb2
from support.serving import (
    STATION,
    ServerProcess,
    SmallStation,
    connected,
    flip_a_byte,
    packed,
    requests_of,
    running_server,
)

TIMEOUT_S = 120


def answers_of(
    responses: Iterator[inspection_service_pb2.InspectResponse],
) -> list[answer_pb2.Answer]:
    return [answer for response in responses for answer in response.answers]


@pytest.fixture
def thousand(small_station: SmallStation) -> list[vector_pb2.InspectionVector]:
    rows = np.arange(1000) % len(small_station.queries)
    return packed(small_station.queries[rows])


@pytest.mark.parametrize("size", [1, 16, 64, 1000])
def test_in_a_thousand_vectors_the_four_bad_ones_have_errors_and_the_stream_goes_on(
    server: ServerProcess, small_station: SmallStation, thousand: list[vector_pb2.InspectionVector], size: int
) -> None:
    query = small_station.queries[0]
    with_nan = query.copy()
    with_nan[700] = np.nan
    bad = {100: with_nan, 350: query[:1403], 600: np.zeros_like(query), 999: query / np.float32(255)}
    for position, vector in bad.items():
        thousand[position] = packed(vector[np.newaxis], first=position)[0]

    with connected(server.address) as stub:
        answers = answers_of(stub.Inspect(requests_of(thousand, size=size), timeout=TIMEOUT_S))

    assert [answer.sequence for answer in answers] == list(range(1000))
    assert [answer.id for answer in answers] == [str(position) for position in range(1000)]
    assert Counter(answer.WhichOneof("outcome") for answer in answers) == {"verdict": 996, "error": 4}
    assert {one.sequence: one.error.reason for one in answers if one.HasField("error")} == {
        100: answer_pb2.ITEM_ERROR_REASON_NON_FINITE,
        350: answer_pb2.ITEM_ERROR_REASON_WRONG_LENGTH,
        600: answer_pb2.ITEM_ERROR_REASON_FLAT,
        999: answer_pb2.ITEM_ERROR_REASON_FLAT,
    }


def test_a_verdict_has_its_whole_evidence(server: ServerProcess, small_station: SmallStation) -> None:
    with connected(server.address) as stub:
        response = next(stub.Inspect(requests_of(packed(small_station.queries[:1]), size=1), timeout=TIMEOUT_S))

    verdict = response.answers[0].verdict
    assert verdict.HasField("label")
    assert verdict.decision != answer_pb2.DECISION_UNSPECIFIED
    assert 0 <= verdict.probability <= 1
    assert len(verdict.method_labels) == 3
    assert len(verdict.anchors.labels) == len(verdict.anchors.distances) > 1
    assert sorted(verdict.anchors.distances) == list(verdict.anchors.distances)
    neighbours = verdict.neighbours
    assert len(set(neighbours.reference_ids)) == 15
    assert {len(neighbours.labels), len(neighbours.failure_modes), len(neighbours.distances)} == {15}
    assert {len(neighbours.betas), len(neighbours.etas), len(neighbours.gammas)} == {15}
    assert sorted(neighbours.match_distances) == list(neighbours.match_distances)
    assert response.provenance.station == STATION
    assert response.provenance.generation == "g000001"
    assert response.provenance.revision == 1
    assert len(response.provenance.embedder) == 12
    assert response.provenance.threshold_set
    assert response.provenance.compute_ms > 0
    assert response.provenance.batch_size >= 1


def test_one_vector_is_answered_alone_as_in_any_batch(server: ServerProcess, small_station: SmallStation) -> None:
    vectors = packed(small_station.queries[:64])
    with connected(server.address) as stub:
        alone = answers_of(stub.Inspect(requests_of(vectors, size=1), timeout=TIMEOUT_S))
        together = answers_of(stub.Inspect(requests_of(vectors, size=64), timeout=TIMEOUT_S))

    assert [one.verdict.label for one in alone] == [one.verdict.label for one in together]
    assert [one.verdict.decision for one in alone] == [one.verdict.decision for one in together]
    # SPEC promise 3: distances agree within 1e-5, ties closer than that may swap.
    np.testing.assert_allclose(
        [one.verdict.neighbours.match_distances[:] for one in alone],
        [one.verdict.neighbours.match_distances[:] for one in together],
        rtol=1e-5,
        atol=1e-5,
    )


def test_what_a_caller_who_leaves_had_queued_disturbs_nobody(
    server: ServerProcess, thousand: list[vector_pb2.InspectionVector]
) -> None:
    with connected(server.address) as leaving, connected(server.address) as staying:
        call = leaving.Inspect(requests_of(thousand, size=64), timeout=TIMEOUT_S)
        next(call)
        call.cancel()
        answers = answers_of(staying.Inspect(requests_of(thousand, size=64), timeout=TIMEOUT_S))

    assert [answer.sequence for answer in answers] == list(range(1000))


def test_streams_side_by_side_get_their_own_answers(server: ServerProcess, small_station: SmallStation) -> None:
    n_streams = 12
    found: dict[int, list[str]] = {}

    def stream(number: int) -> None:
        vectors = packed(small_station.queries[number : number + 30], first=1000 * number)
        with connected(server.address) as stub:
            answers = answers_of(stub.Inspect(requests_of(vectors, size=1 + number), timeout=TIMEOUT_S))
        found[number] = [answer.id for answer in answers if answer.HasField("verdict")]

    threads = [threading.Thread(target=stream, args=(number,)) for number in range(n_streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)

    assert found == {number: [str(1000 * number + row) for row in range(30)] for number in range(n_streams)}


def test_a_rebuild_is_taken_over_by_open_streams_without_a_lost_or_mixed_answer(
    small_station: SmallStation, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_station.store, store)
    seen_new = threading.Event()
    n_sent = 0

    def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
        nonlocal n_sent
        while not seen_new.is_set():
            rows = np.arange(n_sent, n_sent + 16) % len(small_station.queries)
            yield inspection_service_pb2.InspectRequest(vectors=packed(small_station.queries[rows], first=n_sent))
            n_sent += 16

    rebuilding = threading.Thread(target=lambda: rebuild(StationFolder(store / STATION), records=small_station.more))
    generations = []
    answers: list[answer_pb2.Answer] = []
    with running_server(store, tmp_path / "log") as server, connected(server.address) as stub:
        rebuilding.start()
        for response in stub.Inspect(requests(), timeout=TIMEOUT_S):
            generations.append((response.provenance.generation, response.provenance.revision))
            answers.extend(response.answers)
            if response.provenance.generation == "g000002":
                seen_new.set()
        rebuilding.join(TIMEOUT_S)

    assert [answer.sequence for answer in answers] == list(range(n_sent))
    assert all(answer.HasField("verdict") for answer in answers)
    # What the rebuild adds is seen in the old generation, too, from when it is stored until the new one is published.
    assert {("g000001", 1), ("g000002", 2)} <= set(generations) <= {("g000001", 1), ("g000001", 2), ("g000002", 2)}
    assert generations == sorted(generations)


def test_a_broken_generation_never_takes_down_a_good_one(small_station: SmallStation, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_station.store, store)
    folder = StationFolder(store / STATION)
    first = folder.current()
    rebuild(folder)
    second = folder.current()
    damaged = folder.generation_path(second.generation) / "index.faiss"
    flip_a_byte(damaged)
    folder.set_current(first)

    refused = threading.Event()
    with running_server(store, tmp_path / "log") as server, connected(server.address) as stub:
        folder.set_current(second)
        asked = 0

        def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
            nonlocal asked
            while not refused.is_set():
                asked += 1
                yield inspection_service_pb2.InspectRequest(vectors=packed(small_station.queries[:1]))

        generations = []
        for response in stub.Inspect(requests(), timeout=TIMEOUT_S):
            generations.append(response.provenance.generation)
            if server.events("generation_refused"):
                refused.set()
        (event,) = server.events("generation_refused")

    assert set(generations) == {"g000001"}
    assert str(damaged) in event["error"]
    assert event["still_serving"] == "g000001"


def test_on_sigterm_everything_accepted_is_answered(small_station: SmallStation, tmp_path: Path) -> None:
    n_streams = 4
    outcomes: dict[int, tuple[int, int, grpc.StatusCode]] = {}
    under_way = threading.Barrier(n_streams + 1)

    def stream(number: int, address: str) -> None:
        def requests() -> Iterator[inspection_service_pb2.InspectRequest]:
            while True:
                yield inspection_service_pb2.InspectRequest(vectors=packed(small_station.queries[:16]))

        sequences: list[int] = []
        n_accepted = -1
        with connected(address) as stub:
            call = stub.Inspect(requests(), timeout=TIMEOUT_S)
            for response in call:
                if not sequences:
                    under_way.wait(TIMEOUT_S)
                sequences.extend(answer.sequence for answer in response.answers)
                if response.HasField("draining"):
                    n_accepted = response.draining.n_accepted
            assert sequences == list(range(len(sequences)))
            outcomes[number] = (len(sequences), n_accepted, call.code())

    with running_server(small_station.store, tmp_path / "log") as server:
        threads = [threading.Thread(target=stream, args=(number, server.address)) for number in range(n_streams)]
        for thread in threads:
            thread.start()
        under_way.wait(TIMEOUT_S)
        status = server.stop()
        for thread in threads:
            thread.join(TIMEOUT_S)
        (drained,) = server.events("drained")

    assert status == 0
    assert drained["n_cut"] == 0
    assert len(outcomes) == n_streams
    assert all(answered == accepted for answered, accepted, _ in outcomes.values())
    assert {code for _, _, code in outcomes.values()} == {grpc.StatusCode.OK}
