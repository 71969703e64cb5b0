"""Callers that do harm: ``python -m bench.hostile.attack ADDRESS QUERIES KIND N``.

It says ``ready`` once the harm is done or going on, and ends at the end of its standard input.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import numpy as np

from miwake.inspection.v1 import inspection_service_pb2, inspection_service_pb2_grpc
from support.serving import packed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from numpy.typing import NDArray

SERVICE = "/miwake.inspection.v1.InspectionService"
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
STREAMS_PER_CONNECTION = 100
SETTLED_S = 2.0
"""Callers that never read have filled every buffer once they get nothing more off for so long."""

BIG_BYTES = 200 << 20


async def idle(address: str, queries: NDArray[np.float32], n: int) -> None:
    """Open streams, have one vector judged in each, and say nothing more."""
    message = inspection_service_pb2.InspectRequest(vectors=packed(queries[:1]))

    async def one_and_then_nothing() -> AsyncIterator[inspection_service_pb2.InspectRequest]:
        yield message
        await asyncio.Event().wait()

    calls = []
    for number in range(n):
        if number % STREAMS_PER_CONNECTION == 0:
            stub = _stub(address)
        calls.append(stub.Inspect(one_and_then_nothing()))
    await asyncio.gather(*[call.read() for call in calls])
    await _ready()


async def unread(address: str, queries: NDArray[np.float32], n: int) -> None:
    """Send without end, and read nothing."""
    message = inspection_service_pb2.InspectRequest(vectors=packed(queries[:64]))
    n_sent = 0

    async def without_end() -> AsyncIterator[inspection_service_pb2.InspectRequest]:
        nonlocal n_sent
        while True:
            yield message
            n_sent += 1

    calls = [_stub(address).Inspect(without_end()) for _ in range(n)]
    before = -1
    while n_sent != before:
        before = n_sent
        await asyncio.sleep(SETTLED_S)
    await _ready()
    del calls


def big(address: str, _: NDArray[np.float32], n: int) -> None:
    """Send a message of 200 MB, again and again."""
    data = b"\x0a" + b"x" * BIG_BYTES
    _again_and_again(n, lambda: _raw(address, "Classify", data))


def malformed(address: str, _: NDArray[np.float32], n: int) -> None:
    """Send bytes that are no message, again and again."""
    _again_and_again(n, lambda: _raw(address, "Inspect", b"\xff\xff\xff"))


def slow(address: str, _: NDArray[np.float32], n: int) -> None:
    """Open connections that never get to the end of their first line, again and again."""
    host, port = address.rsplit(":", 1)

    def connect_all() -> None:
        opened = []
        for _number in range(n):
            with suppress(OSError):
                opened.append(socket.create_connection((host, int(port)), timeout=5))
                opened[-1].sendall(b"PRI * HT")
        threading.Event().wait(1.0)
        for one in opened:
            one.close()

    _again_and_again(1, connect_all)


KINDS: Mapping[str, Callable[..., object]] = {
    "idle": idle, "unread": unread, "big": big, "malformed": malformed, "slow": slow,
}  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Do harm."""
    address, file, kind, n = arguments
    done = KINDS[kind](address, np.load(file), int(n))
    if asyncio.iscoroutine(done):
        asyncio.run(done)


def _stub(address: str) -> inspection_service_pb2_grpc.InspectionServiceAsyncStub:
    return inspection_service_pb2_grpc.InspectionServiceStub(grpc.aio.insecure_channel(address, options=OPTIONS))


def _raw(address: str, rpc: str, data: bytes) -> None:
    with grpc.insecure_channel(address, options=OPTIONS) as channel, suppress(grpc.RpcError):
        call = channel.stream_stream(f"{SERVICE}/{rpc}", request_serializer=bytes, response_deserializer=bytes)
        list(call(iter([data]), timeout=60))


async def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # thousands of calls would be ended one by one


def _again_and_again(n_threads: int, harm: Callable[[], None]) -> None:
    def go_on() -> None:
        while True:
            harm()

    for _ in range(n_threads):
        threading.Thread(target=go_on, daemon=True).start()
    asyncio.run(_ready())


if __name__ == "__main__":
    main(sys.argv[1:])
