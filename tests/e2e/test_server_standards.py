"""What clients of any make rely on: health, reflection, statuses with details, limits."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc

from miwake.inspection.v1 import inspection_service_pb2
from support.serving import (
    STATION,
    ServerProcess,
    SmallStation,
    connected,
    detail,
    open_channel,
    packed,
    requests_of,
    running_server,
)

SERVICE = "miwake.inspection.v1.InspectionService"
TIMEOUT_S = 60


def grpcurl(server: ServerProcess, *arguments: str, payload: object = None) -> str:
    """Run grpcurl against the server, the request given before the address as it wants it."""
    given = [] if payload is None else ["-d", json.dumps(payload)]
    program = str(Path(sysconfig.get_path("scripts")) / "grpcurl")
    command = [program, "-plaintext", *given, server.address, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)  # noqa: S603
    return ended.stdout


def test_reflection_lists_the_services(server: ServerProcess) -> None:
    assert grpcurl(server, "list").split() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "miwake.inspection.v1.IndexService",
        SERVICE,
        "miwake.inspection.v1.ReferenceService",
    ]


def test_reflection_describes_the_contract(server: ServerProcess) -> None:
    assert "rpc Inspect ( stream .miwake.inspection.v1.InspectRequest )" in grpcurl(server, "describe", SERVICE)


@pytest.mark.parametrize(
    "service",
    [
        "",
        SERVICE,
        "miwake.inspection.v1.ReferenceService",
        "miwake.inspection.v1.IndexService",
        "inference.GRPCInferenceService",
    ],
)
def test_health_says_serving(server: ServerProcess, service: str) -> None:
    answer = grpcurl(server, "grpc.health.v1.Health/Check", payload={"service": service})

    assert json.loads(answer) == {"status": "SERVING"}


def test_a_vector_spelt_out_by_hand_is_judged(server: ServerProcess, small_station: SmallStation) -> None:
    payload = {"vectors": [{"id": "by hand", "floats": {"values": small_station.queries[0].tolist()}}]}

    answer = json.loads(grpcurl(server, f"{SERVICE}/Classify", payload=payload))

    assert answer["answers"][0]["id"] == "by hand"
    assert "label" in answer["answers"][0]["verdict"]
    assert answer["provenance"]["station"] == STATION


def test_neighbours_are_found_without_a_verdict(server: ServerProcess, small_station: SmallStation) -> None:
    request = inspection_service_pb2.SearchNeighboursRequest(
        vectors=[*packed(small_station.queries[:1]), *packed(np.zeros((1, 1404), dtype=np.float32))], n_neighbours=3
    )
    with connected(server.address) as stub:
        response = stub.SearchNeighbours(request, timeout=TIMEOUT_S)

    assert [answer.WhichOneof("outcome") for answer in response.answers] == ["neighbours", "error"]
    assert len(response.answers[0].neighbours.reference_ids) == 3


def test_a_batch_larger_than_a_computed_one_is_answered_by_one_generation(
    server: ServerProcess, small_station: SmallStation
) -> None:
    vectors = packed(small_station.queries[np.arange(300) % len(small_station.queries)])
    with connected(server.address) as stub:
        response = stub.Classify(inspection_service_pb2.ClassifyRequest(vectors=vectors), timeout=TIMEOUT_S)

    assert [answer.sequence for answer in response.answers] == list(range(300))
    assert all(answer.HasField("verdict") for answer in response.answers)


def test_a_batch_of_none_is_answered_with_none(server: ServerProcess) -> None:
    with connected(server.address) as stub:
        response = stub.Classify(inspection_service_pb2.ClassifyRequest(), timeout=TIMEOUT_S)

    assert len(response.answers) == 0
    assert response.provenance.generation == "g000001"


def test_an_unknown_station_is_not_found(server: ServerProcess) -> None:
    with connected(server.address) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.Classify(inspection_service_pb2.ClassifyRequest(station="line9"), timeout=TIMEOUT_S)

    info = detail(caught.value, error_details_pb2.ErrorInfo)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == f"no station 'line9' here, expected one of {STATION}"
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "STATION_NOT_FOUND",
        "miwake",
        {"station": "line9", "served": STATION},
    )


@pytest.mark.parametrize("n_neighbours", [0, 101])
def test_a_number_of_neighbours_outside_the_limits_names_its_field(
    server: ServerProcess, small_station: SmallStation, n_neighbours: int
) -> None:
    (request,) = requests_of(packed(small_station.queries[:1]), size=1)
    request.options.n_neighbours = n_neighbours
    with connected(server.address) as stub, pytest.raises(grpc.RpcError) as caught:
        list(stub.Inspect(iter([request]), timeout=TIMEOUT_S))

    violations = detail(caught.value, error_details_pb2.BadRequest)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [(one.field, one.description) for one in violations.field_violations] == [
        ("options.n_neighbours", f"{n_neighbours}, expected 1 … 100")
    ]


def test_a_number_of_neighbours_beyond_the_references_gives_what_there_is(
    small_station: SmallStation, tmp_path: Path
) -> None:
    request = inspection_service_pb2.SearchNeighboursRequest(
        vectors=packed(small_station.queries[:1]), n_neighbours=999
    )
    with (
        running_server(small_station.store, tmp_path / "log", "--max-neighbours", "1000") as own,
        connected(own.address) as stub,
    ):
        found = stub.SearchNeighbours(request, timeout=TIMEOUT_S).answers[0].neighbours

    assert 100 < len(found.reference_ids) < 999
    assert len(set(found.reference_ids)) == len(found.reference_ids)


def test_a_message_over_the_limit_is_refused_and_the_server_serves_on(
    server: ServerProcess, small_station: SmallStation
) -> None:
    large = inspection_service_pb2.ClassifyRequest(station="x" * (17 << 20))
    with connected(server.address) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.Classify(large, timeout=TIMEOUT_S)
        answers = list(stub.Inspect(requests_of(packed(small_station.queries[:1]), size=1), timeout=TIMEOUT_S))

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(answers) == 1


def test_too_many_vectors_in_a_message_are_refused(server: ServerProcess) -> None:
    request = inspection_service_pb2.ClassifyRequest()
    for _ in range(2049):
        request.vectors.add()
    with connected(server.address) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.Classify(request, timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "vectors: 2049 in one message, expected at most 2048"


@pytest.mark.parametrize("rpc", ["Inspect", "Classify", "SearchNeighbours"])
def test_bytes_that_are_no_message_end_the_call_alone(
    server: ServerProcess, small_station: SmallStation, rpc: str
) -> None:
    with open_channel(server.address) as channel:
        call = channel.stream_stream(f"/{SERVICE}/{rpc}", request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b"\xff\xff\xff"]), timeout=TIMEOUT_S))
    with connected(server.address) as stub:
        answers = list(stub.Inspect(requests_of(packed(small_station.queries[:1]), size=1), timeout=TIMEOUT_S))

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert len(answers) == 1


def test_beyond_the_limit_of_streams_a_caller_is_told_when_to_come_back(
    small_station: SmallStation, tmp_path: Path
) -> None:
    request = next(requests_of(packed(small_station.queries[:1]), size=1))
    over = threading.Event()

    def one_and_then_nothing() -> Iterator[inspection_service_pb2.InspectRequest]:
        yield request
        over.wait(TIMEOUT_S)

    with (
        running_server(small_station.store, tmp_path / "log", "--max-streams", "1") as own,
        connected(own.address) as stub,
    ):
        held = stub.Inspect(one_and_then_nothing(), timeout=TIMEOUT_S)
        next(held)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Inspect(iter([request]), timeout=TIMEOUT_S))
        over.set()
        assert list(held) == []
        answers = list(stub.Inspect(iter([request]), timeout=TIMEOUT_S))

    retry = detail(caught.value, error_details_pb2.RetryInfo)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == "the limit of 1 open streams is reached: try again in 5 s"
    assert retry.retry_delay.seconds == 5
    assert len(answers) == 1


def test_a_health_watcher_sees_the_server_go(small_station: SmallStation, tmp_path: Path) -> None:
    with running_server(small_station.store, tmp_path / "log") as own, open_channel(own.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=SERVICE), timeout=TIMEOUT_S
        )
        first = next(watch).status
        own.process.terminate()
        second = next(watch).status

    assert first == health_pb2.HealthCheckResponse.SERVING
    assert second == health_pb2.HealthCheckResponse.NOT_SERVING
