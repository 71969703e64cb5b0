"""Callers that do harm, by mistake or on purpose, beside one that does not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from miwake.inspection.v1 import inspection_service_pb2, inspection_service_pb2_grpc
from support.serving import (
    ServerProcess,
    SmallStation,
    connected,
    detail,
    open_channel,
    packed,
    requests_of,
    running_server,
)

TIMEOUT_S = 120
N_IDLE = 2000
IDLE_PER_CONNECTION = 100


def judged(address: str, small_station: SmallStation, n_vectors: int = 64) -> int:
    """Return how many of a good caller's vectors come back with a verdict."""
    with connected(address) as stub:
        responses = stub.Inspect(requests_of(packed(small_station.queries[:n_vectors]), size=4), timeout=TIMEOUT_S)
        return sum(answer.HasField("verdict") for response in responses for answer in response.answers)


async def _one_and_then_nothing(
    message: inspection_service_pb2.InspectRequest, over: asyncio.Event
) -> AsyncIterator[inspection_service_pb2.InspectRequest]:
    yield message
    await over.wait()


async def _with_idle_streams(address: str, small_station: SmallStation) -> tuple[int, set[grpc.StatusCode]]:
    """Return how many of a good caller's vectors are judged beside idle streams, and how those end."""
    message = next(requests_of(packed(small_station.queries[:1]), size=1))
    over = asyncio.Event()
    async with AsyncExitStack() as channels:
        calls = []
        for number in range(N_IDLE):
            if number % IDLE_PER_CONNECTION == 0:
                options = [("grpc.use_local_subchannel_pool", 1)]
                channel = await channels.enter_async_context(grpc.aio.insecure_channel(address, options=options))
                stub = inspection_service_pb2_grpc.InspectionServiceStub(channel)
            calls.append(stub.Inspect(_one_and_then_nothing(message, over)))
        await asyncio.gather(*[call.read() for call in calls])
        n_judged = await asyncio.to_thread(judged, address, small_station)
        over.set()
        ends = await asyncio.gather(*[call.read() for call in calls])
        codes = {await call.code() for call in calls}
    assert set(ends) == {grpc.aio.EOF}
    return n_judged, codes


def test_two_thousand_idle_streams_lock_nobody_out(server: ServerProcess, small_station: SmallStation) -> None:
    n_judged, codes = asyncio.run(_with_idle_streams(server.address, small_station))

    assert n_judged == 64
    assert codes == {grpc.StatusCode.OK}


def test_callers_that_never_read_hold_up_nobody(server: ServerProcess, small_station: SmallStation) -> None:
    message = next(requests_of(packed(small_station.queries[:64]), size=64))
    over = threading.Event()

    def without_end() -> Iterator[inspection_service_pb2.InspectRequest]:
        while not over.is_set():
            yield message

    with connected(server.address) as greedy:
        calls = [greedy.Inspect(without_end(), timeout=TIMEOUT_S) for _ in range(10)]
        n_judged = judged(server.address, small_station)
        over.set()
        for call in calls:
            call.cancel()

    assert n_judged == 64


@pytest.fixture
def impatient(small_station: SmallStation, tmp_path: Path) -> Iterator[ServerProcess]:
    flags = ("--keepalive-s", "1", "--ping-timeout-s", "1")
    with running_server(small_station.store, tmp_path / "log", *flags) as running:
        yield running


@contextmanager
def raw_connection(address: str) -> Iterator[socket.socket]:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def read_to_the_end(connection: socket.socket) -> bytes:
    data = b""
    while chunk := connection.recv(4096):
        data += chunk
    return data


def test_a_connection_that_says_nothing_is_closed(impatient: ServerProcess) -> None:
    with raw_connection(impatient.address) as connection:
        read_to_the_end(connection)


def test_a_caller_that_froze_is_disconnected(impatient: ServerProcess) -> None:
    preface_and_settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    with raw_connection(impatient.address) as connection:
        connection.sendall(preface_and_settings)
        read_to_the_end(connection)


def test_bytes_that_are_no_http_are_refused(server: ServerProcess, small_station: SmallStation) -> None:
    with raw_connection(server.address) as connection:
        connection.sendall(b"\x00\xff" * 4096)
        read_to_the_end(connection)

    assert judged(server.address, small_station) == 64


def test_a_call_to_an_unknown_method_is_unimplemented(server: ServerProcess) -> None:
    method = "/miwake.inspection.v1.InspectionService/Guess"
    with open_channel(server.address) as channel:
        call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert detail(caught.value, error_details_pb2.ErrorInfo).reason == "METHOD_NOT_FOUND"


def test_metadata_over_the_limit_is_refused(server: ServerProcess, small_station: SmallStation) -> None:
    with connected(server.address) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.Classify(inspection_service_pb2.ClassifyRequest(), metadata=(("line", "x" * 20_000),), timeout=TIMEOUT_S)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert judged(server.address, small_station) == 64
