"""Callers that do harm: ``python -m soak.attackers KIND ADDRESS QUERIES.npy N`` says ``ready`` once they do.

They go on until their standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import AsyncExitStack, ExitStack
from itertools import cycle
from typing import TYPE_CHECKING

import grpc
import numpy as np

from miwake.inspection.v1 import inspection_service_pb2_grpc
from support.serving import open_channel, packed, requests_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from miwake.inspection.v1 import inspection_service_pb2

PER_CONNECTION = 100
HUGE_BYTES = 200 << 20
BETWEEN_S = {"huge": 3.0, "malformed": 0.05}
TIMEOUT_S = 120
STALLED_S = 2.0
CLASSIFY = "/miwake.inspection.v1.InspectionService/Classify"
INSPECT = "/miwake.inspection.v1.InspectionService/Inspect"


def idle(address: str, message: inspection_service_pb2.InspectRequest, n: int) -> None:
    """Hold streams open that say one thing and then nothing."""
    asyncio.run(_idle(address, message, n))


async def _idle(address: str, message: inspection_service_pb2.InspectRequest, n: int) -> None:
    over = asyncio.Event()

    async def requests() -> AsyncIterator[inspection_service_pb2.InspectRequest]:
        yield message
        await over.wait()

    async with AsyncExitStack() as channels:
        calls = []
        for number in range(n):
            if number % PER_CONNECTION == 0:
                options = [("grpc.use_local_subchannel_pool", 1)]
                channel = await channels.enter_async_context(grpc.aio.insecure_channel(address, options=options))
                stub = inspection_service_pb2_grpc.InspectionServiceStub(channel)
            calls.append(stub.Inspect(requests()))
        await asyncio.gather(*[call.read() for call in calls])
        await asyncio.to_thread(_work_until_the_end)
        over.set()
        for call in calls:
            call.cancel()


def deaf(address: str, message: inspection_service_pb2.InspectRequest, n: int) -> None:
    """Send without end, and never read; ready once the server takes nothing more from any of them.

    Until then they are callers like others, which ask much. Their windows do not grow, or that would take minutes.
    """
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    n_sent = 0

    def without_end() -> Iterator[inspection_service_pb2.InspectRequest]:
        nonlocal n_sent
        while True:
            n_sent += 1
            yield message

    with ExitStack() as connections:
        channels = [
            connections.enter_context(grpc.insecure_channel(address, options=options))
            for _ in range(max(1, n // PER_CONNECTION))
        ]
        stubs = [inspection_service_pb2_grpc.InspectionServiceStub(channel) for channel in channels]
        calls = [stubs[number % len(stubs)].Inspect(without_end()) for number in range(n)]
        between, before = threading.Event(), -1
        while n_sent != before:
            before = n_sent
            between.wait(STALLED_S)
        _work_until_the_end()
        for call in calls:
            call.cancel()


def huge(address: str, message: inspection_service_pb2.InspectRequest, n: int) -> None:
    """Send messages of 200 MB (or ``n`` MB, if that is less), over and over."""
    del message
    data = bytes(min(HUGE_BYTES, n << 20))
    with open_channel(address) as channel:
        classify = channel.unary_unary(CLASSIFY, request_serializer=bytes, response_deserializer=bytes)
        _again_and_again(lambda: classify(data, timeout=TIMEOUT_S), "huge")


def malformed(address: str, message: inspection_service_pb2.InspectRequest, n: int) -> None:
    """Send bytes that are no message, as calls and in streams."""
    del message, n
    data = b"\xff" * 1000
    with open_channel(address) as channel:
        classify = channel.unary_unary(CLASSIFY, request_serializer=bytes, response_deserializer=bytes)
        inspect = channel.stream_stream(INSPECT, request_serializer=bytes, response_deserializer=bytes)
        ways: Iterator[Callable[[], object]] = cycle(
            [lambda: classify(data, timeout=TIMEOUT_S), lambda: list(inspect(iter([data]), timeout=TIMEOUT_S))]
        )

        def attack() -> None:
            next(ways)()

        _again_and_again(attack, "malformed")


def _again_and_again(attack: Callable[[], object], kind: str) -> None:
    """Attack at intervals; the server must refuse each time, with a status."""
    over = threading.Event()

    def wait() -> None:
        _work_until_the_end()
        over.set()

    threading.Thread(target=wait).start()
    while not over.is_set():
        try:
            attack()
        except grpc.RpcError:
            over.wait(BETWEEN_S[kind])
        else:
            message = f"the server took a {kind} message"
            raise AssertionError(message)


def _work_until_the_end() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


KINDS: Mapping[str, Callable[[str, inspection_service_pb2.InspectRequest, int], None]] = {
    "idle": idle,
    "deaf": deaf,
    "huge": huge,
    "malformed": malformed,
}


def _first_message(path: str, size: int) -> inspection_service_pb2.InspectRequest:
    found: Iterator[inspection_service_pb2.InspectRequest] = requests_of(packed(np.load(path)[:size]), size=size)
    return next(found)


if __name__ == "__main__":
    kind = sys.argv[1]
    KINDS[kind](sys.argv[2], _first_message(sys.argv[3], 64 if kind == "deaf" else 1), int(sys.argv[4]))
