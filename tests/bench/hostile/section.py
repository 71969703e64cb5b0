"""What a good caller notices of callers that do harm: its latency beside them over its latency without them.

The good caller sends one vector every 10 ms, and counts from when each was due. Before and after each harm it is
measured alone, so that a machine with other work on it is seen in both.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from miwake.inspection.v1 import inspection_service_pb2
from support.modules import environment
from support.serving import build_small_station, connected, packed, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from support.serving import ServerProcess

HARM: dict[str, Sequence[tuple[str, int]]] = {
    "idle_2000": [("idle", 2000)],
    "unread_200": [("unread", 200)],
    "idle_and_unread": [("idle", 2000), ("unread", 200)],
    "big": [("big", 1)],
    "malformed": [("malformed", 4)],
    "slow_500": [("slow", 500)],
}
"""By name: kinds and how many of each."""

RATE = 100.0
N_VECTORS = 1500
TIMEOUT_S = 300.0


def measure() -> dict[str, float | str]:
    """Return for each kind of harm p99 in milliseconds with and without, their ratio, and the server's memory in MB."""
    found: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as folder:
        station = build_small_station(Path(folder))
        queries = Path(folder) / "queries.npy"
        np.save(queries, station.queries)
        for name, kinds in HARM.items():
            with running_server(station.store, Path(folder) / "log") as server:
                _p99_ms(server, station.queries)
                quiet = [_p99_ms(server, station.queries)]
                with ExitStack() as held:
                    for kind, n in kinds:
                        held.enter_context(_attacked(server, queries, kind, n))
                    beside = _p99_ms(server, station.queries)
                    memory = _memory_mb(server)
                quiet.append(_p99_ms(server, station.queries))
            found[f"{name}_p99_ms"] = beside
            found[f"{name}_quiet_ms"] = sum(quiet) / 2
            found[f"{name}_ratio"] = 2 * beside / sum(quiet)
            found[f"{name}_memory_mb"] = memory
    return found


@contextmanager
def _attacked(server: ServerProcess, queries: Path, kind: str, n: int) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.hostile.attack", server.address, str(queries), kind, str(n)]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def _p99_ms(server: ServerProcess, queries: NDArray[np.float32]) -> float:
    """Return the latency that one answer in a hundred exceeds."""
    start = time.perf_counter() + 0.2
    due = start + np.arange(N_VECTORS) / RATE
    messages = [inspection_service_pb2.InspectRequest(vectors=packed(query[None])) for query in queries]

    def on_time() -> Iterator[inspection_service_pb2.InspectRequest]:
        for number, at in enumerate(due):
            time.sleep(max(at - time.perf_counter(), 0))
            yield messages[number % len(messages)]

    with connected(server.address) as stub:
        arrived = [
            time.perf_counter() for response in stub.Inspect(on_time(), timeout=TIMEOUT_S) for _ in response.answers
        ]
    return float(1e3 * np.percentile(np.array(arrived)[100:] - due[100:], 99))


def _memory_mb(server: ServerProcess) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024
