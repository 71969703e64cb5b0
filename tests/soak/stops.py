"""A server that is told to stop under load: whatever it accepted is answered, and in the verdict log."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import grpc
import numpy as np

from miwake.server.verdict_log.folder import segments
from soak.callers import Caller
from soak.ledger import unseen
from soak.parts import Found, details_of, harm_of
from support.serving import running_server

if TYPE_CHECKING:
    from pathlib import Path

    from soak.world import World

SIZES = (1, 4, 16, 64)
LONGEST_S = 0.3
"""Of load before the signal comes, at a time drawn for each stop."""


def stop_under_load(world: World, n_stops: int, *, seed: int = 0) -> Found:
    """Start a server, load it and stop it, so often."""
    random = np.random.default_rng(seed)
    harm: Counter[str] = Counter()
    broken: list[str] = []
    details: list[str] = []
    n_answers = 0
    for number in range(n_stops):
        verdicts = world.folder / f"verdicts-{number}"
        callers, status = _stop_once(world, verdicts, random.uniform(0, LONGEST_S))
        ledgers = [caller.ledger for caller in callers]
        harm += harm_of(ledgers)
        details += details_of(ledgers)
        n_answered = sum(ledger.n_answered for ledger in ledgers)
        harm["unrecorded"] += abs(n_answered - _n_recorded(verdicts))
        harm["untold"] += sum(caller.n_accepted is None for caller in callers)
        harm["cut"] += sum(caller.code is not grpc.StatusCode.OK for caller in callers)
        broken += [f"stop {number}: exit status {status}"] if status else []
        n_answers += n_answered
    return Found(
        n=n_stops,
        n_answers=n_answers,
        harm=+harm,
        unseen=unseen(callers[-1].answers, world.expected),
        broken=broken,
        details=details,
    )


def _stop_once(world: World, verdicts: Path, after_s: float) -> tuple[list[Caller], int]:
    flags = ("--verdict-log", str(verdicts))
    with running_server(world.store, world.folder / "stops.log", *flags) as server:
        callers = [Caller(server.address, world, size=size) for size in SIZES]
        for caller in callers:
            caller.start()
        for caller, size in zip(callers, SIZES, strict=True):
            caller.wait_for(size)
        threading.Event().wait(after_s)
        status = server.stop()
        for caller in callers:
            caller.join()
    return callers, status


def _n_recorded(folder: Path) -> int:
    """Return how many answers a verdict log holds."""
    n_recorded = 0
    for segment in segments(folder):
        with closing(sqlite3.connect(segment)) as connection:
            n_recorded += connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0]
    return n_recorded
