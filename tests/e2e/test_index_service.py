"""Indexes listed, built and switched over gRPC, by a real server whose rebuilds are real processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from miwake.client import Client, NewReference
from miwake.indexer.storage.schema import STORE_FILE
from miwake.inspection.v1 import index_service_pb2 as messages
from miwake.inspection.v1 import index_service_pb2_grpc
from support.serving import (
    STATION,
    ServerProcess,
    SmallStation,
    flip_a_byte,
    open_channel,
    running_server,
)

TIMEOUT_S = 120.0


@pytest.fixture
def own_station(small_station: SmallStation, tmp_path: Path) -> SmallStation:
    shutil.copytree(small_station.store, tmp_path / "store")
    return SmallStation(tmp_path / "store", small_station.queries, small_station.more)


@pytest.fixture
def own_server(own_station: SmallStation, tmp_path: Path) -> Iterator[ServerProcess]:
    # A look every hour: what is seen of a switch is not due to the watcher.
    with running_server(own_station.store, tmp_path / "log", "--poll-s", "3600") as running:
        yield running


@contextmanager
def indexes(server: ServerProcess) -> Iterator[index_service_pb2_grpc.IndexServiceStub]:
    with open_channel(server.address) as channel:
        yield index_service_pb2_grpc.IndexServiceStub(channel)


def rebuilt(stub: index_service_pb2_grpc.IndexServiceStub, *, stage: bool = False) -> list[messages.Operation]:
    """Rebuild, and return all that is told of it."""
    begun = stub.RebuildIndex(messages.RebuildIndexRequest(stage=stage), timeout=TIMEOUT_S).operation
    watched = stub.WatchOperation(messages.WatchOperationRequest(name=begun.name), timeout=TIMEOUT_S)
    return [response.operation for response in watched]


def serving(stub: index_service_pb2_grpc.IndexServiceStub) -> messages.Index:
    [index] = stub.ListIndexes(messages.ListIndexesRequest(), timeout=TIMEOUT_S).indexes
    return index


def test_a_rebuild_tells_its_progress_and_serves_at_once(own_server: ServerProcess, own_station: SmallStation) -> None:
    with Client(own_server.address) as client, indexes(own_server) as stub:
        client.references.add([NewReference(id="new", vector=own_station.queries[0], label=0, failure_mode="pass")])
        told = rebuilt(stub)
        [answer] = client.search_neighbours(own_station.queries[:1], n_neighbours=1)
        index = serving(stub)

    assert (told[-1].is_done, told[-1].error, told[-1].generation) == (True, "", "g000002")
    assert any("calibrat" in one.progress for one in told)
    assert (answer.provenance.generation, answer.provenance.revision) == ("g000002", 2)
    assert (index.serving, index.serving_revision, index.follows) == ("g000002", 2, True)
    assert [(one.generation, one.state) for one in index.generations] == [
        ("g000001", messages.GENERATION_STATE_KEPT),
        ("g000002", messages.GENERATION_STATE_CURRENT),
    ]


def test_a_staged_generation_serves_once_it_is_activated(own_server: ServerProcess) -> None:
    with indexes(own_server) as stub:
        staged = rebuilt(stub, stage=True)[-1].generation
        before = serving(stub)
        request = messages.ActivateGenerationRequest(generation=staged)
        after = stub.ActivateGeneration(request, timeout=TIMEOUT_S).index

    assert (before.serving, before.generations[-1].state) == ("g000001", messages.GENERATION_STATE_STAGED)
    assert (after.serving, after.generations[-1].state) == (staged, messages.GENERATION_STATE_CURRENT)


def test_a_roll_back_serves_the_generation_before_without_later_changes(
    own_server: ServerProcess, own_station: SmallStation
) -> None:
    with Client(own_server.address) as client, indexes(own_server) as stub:
        rebuilt(stub)
        client.references.add([NewReference(id="new", vector=own_station.queries[0], label=0, failure_mode="pass")])
        index = stub.RollBackIndex(messages.RollBackIndexRequest(), timeout=TIMEOUT_S).index

    assert (index.serving, index.serving_revision, index.latest_revision, index.follows) == ("g000001", 1, 2, False)


def test_an_index_is_described(own_server: ServerProcess) -> None:
    with indexes(own_server) as stub:
        described = stub.DescribeIndex(messages.DescribeIndexRequest(), timeout=TIMEOUT_S)

    assert (described.station, described.generation) == (STATION, "g000001")
    assert described.description["station"] == STATION
    assert {"classes", "calibration", "pass_labels"} <= set(described.description)


def test_a_cancelled_rebuild_changes_nothing(own_server: ServerProcess) -> None:
    with indexes(own_server) as stub:
        begun = stub.RebuildIndex(messages.RebuildIndexRequest(), timeout=TIMEOUT_S).operation
        cancelled = stub.CancelOperation(messages.CancelOperationRequest(name=begun.name), timeout=TIMEOUT_S).operation
        again = stub.GetOperation(messages.GetOperationRequest(name=begun.name), timeout=TIMEOUT_S).operation
        index = serving(stub)
        after = rebuilt(stub)[-1]

    assert (cancelled.is_done, cancelled.is_cancelled, cancelled.error) == (True, True, "cancelled")
    assert again == cancelled
    assert (index.serving, len(index.generations)) == ("g000001", 1)
    assert after.error == ""


def test_one_station_is_rebuilt_once_at_a_time(own_server: ServerProcess) -> None:
    with indexes(own_server) as stub:
        begun = stub.RebuildIndex(messages.RebuildIndexRequest(), timeout=TIMEOUT_S).operation
        with pytest.raises(grpc.RpcError) as caught:
            stub.RebuildIndex(messages.RebuildIndexRequest(), timeout=TIMEOUT_S)
        stub.CancelOperation(messages.CancelOperationRequest(name=begun.name), timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == f"station 'line1' is being rebuilt already, by operation {begun.name!r}"


def test_a_rebuild_that_fails_says_why_and_serving_goes_on(
    own_server: ServerProcess, own_station: SmallStation
) -> None:
    flip_a_byte(own_station.store / STATION / STORE_FILE)
    with Client(own_server.address) as client, indexes(own_server) as stub:
        failed = rebuilt(stub)[-1]
        answers = client.classify(own_station.queries[:4])

    assert (failed.is_done, failed.generation) == (True, "")
    assert STORE_FILE in failed.error
    assert all(answer.verdict is not None for answer in answers)


def test_a_stop_ends_a_rebuild(own_station: SmallStation, tmp_path: Path) -> None:
    with running_server(own_station.store, tmp_path / "log") as server:
        with indexes(server) as stub:
            stub.RebuildIndex(messages.RebuildIndexRequest(), timeout=TIMEOUT_S)
        status = server.stop()
        [ended] = server.events("rebuild_ended")

    assert (status, ended["error"]) == (0, "cancelled")


@pytest.mark.parametrize("call", ["GetOperation", "CancelOperation"])
def test_an_operation_that_there_is_not_is_not_found(server: ServerProcess, call: str) -> None:
    with indexes(server) as stub, pytest.raises(grpc.RpcError) as caught:
        getattr(stub, call)(getattr(messages, f"{call}Request")(name="rebuild-9"), timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no operation 'rebuild-9' here"


def test_nothing_is_watched_that_there_is_not(server: ServerProcess) -> None:
    with indexes(server) as stub, pytest.raises(grpc.RpcError) as caught:
        next(stub.WatchOperation(messages.WatchOperationRequest(name="rebuild-9"), timeout=TIMEOUT_S))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_generation_that_there_is_not_is_not_found(server: ServerProcess) -> None:
    with indexes(server) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.ActivateGeneration(messages.ActivateGenerationRequest(generation="g000009"), timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
