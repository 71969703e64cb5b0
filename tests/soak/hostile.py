"""A good caller's answers beside 2,000 idle streams, 200 callers that never read, 200 MB messages and no messages."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.service.load import Plan
from soak.parts import Found
from support.modules import environment
from support.serving import running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.service.processes import Went
    from soak.world import World
    from support.serving import ServerProcess

SIZE, N_STREAMS = 16, 2
RATE = 800.0
"""Vectors a second of the good caller, whose messages are due at random times."""

QUERIES_FILE = "queries.npy"
END_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """How many of whom, and how long the good caller is watched.

    Attributes
    ----------
    n_idle, n_deaf : int
        Streams.
    huge_mb : int
        Of a message.
    n_messages : int
        Of the good caller, in quiet and again beside the others.
    most_ratio : float
        How many times its p99 of quiet may become.
    """

    n_idle: int = 2000
    n_deaf: int = 200
    huge_mb: int = 200
    n_messages: int = 1000
    most_ratio: float = 2.0


def serve_beside(world: World, crowd: Crowd) -> Found:
    """Measure a good caller in quiet and beside the crowd; its load asserts that every vector is answered."""
    queries = world.folder / QUERIES_FILE
    np.save(queries, world.queries)
    numbers = {"idle": crowd.n_idle, "deaf": crowd.n_deaf, "huge": crowd.huge_mb, "malformed": 0}
    with running_server(world.store, world.folder / "hostile.log") as server, ExitStack() as crowding:
        _good_caller(server, queries, crowd.n_messages // 4)
        quiet = _good_caller(server, queries, crowd.n_messages)
        for ready in [
            crowding.enter_context(_attacker(kind, server, queries, number)) for kind, number in numbers.items()
        ]:
            ready()
        onset = _good_caller(server, queries, crowd.n_messages // 4)
        beside = _good_caller(server, queries, crowd.n_messages)
        after_status = server.process.poll()
    most = crowd.most_ratio
    ratio = beside.told["p99_ms"] / quiet.told["p99_ms"]
    return Found(
        n=sum(numbers.values()),
        n_answers=SIZE * crowd.n_messages * 2,
        figures={
            "quiet_p99_ms": quiet.told["p99_ms"],
            "onset_p99_ms": onset.told["p99_ms"],
            "beside_p99_ms": beside.told["p99_ms"],
            "p99_ratio": ratio,
        },
        broken=[
            *([] if ratio <= most else [f"p99 {ratio:.2f} times that of quiet, expected at most {most:g}"]),
            *([] if after_status is None else [f"the server ended with status {after_status}"]),
        ],
    )


def _good_caller(server: ServerProcess, queries: Path, n_messages: int) -> Went:
    plan = Plan(
        address=server.address,
        queries=str(queries),
        size=SIZE,
        n_streams=N_STREAMS,
        n_messages=n_messages,
        rate=RATE,
    )
    return plan.run(server.process.pid)


@contextmanager
def _attacker(kind: str, server: ServerProcess, queries: Path, number: int) -> Iterator[Callable[[], None]]:
    """Start callers who do harm, and yield what waits until they do."""
    command = [sys.executable, "-m", "soak.attackers", kind, server.address, str(queries), str(number)]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        stdout = process.stdout

        def wait() -> None:
            line = stdout.readline()
            assert line, f"the {kind} callers have ended early"

        yield wait
        assert process.poll() is None, f"the {kind} callers have ended before the end"
        process.stdin.close()
        try:
            process.wait(END_TIMEOUT_S)
        finally:
            process.kill()
