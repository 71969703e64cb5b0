"""The server's memory after very many vectors against that after many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.service.load import Plan
from soak.parts import Found
from support.serving import running_server

if TYPE_CHECKING:
    from soak.world import World
    from support.serving import ServerProcess

MOST_RATIO = 1.05
SIZE, N_STREAMS = 256, 4
QUERIES_FILE = "many-queries.npy"
N_QUERIES = 1024


def grow(world: World, n_first: int, n_all: int) -> Found:
    """Have so many vectors answered, and compare the anonymous memory after all of them with that after the first."""
    queries = world.folder / QUERIES_FILE
    np.save(queries, np.resize(world.queries, (N_QUERIES, world.queries.shape[1])))
    with running_server(world.store, world.folder / "memory.log") as server:
        _answer(server, queries, n_first)
        first = anonymous_bytes(server.process.pid)
        _answer(server, queries, n_all - n_first)
        last = anonymous_bytes(server.process.pid)
    ratio = last / first
    return Found(
        n=n_all,
        n_answers=n_all,
        figures={"first_mb": first / 1e6, "last_mb": last / 1e6, "memory_ratio": ratio},
        broken=[] if ratio <= MOST_RATIO else [f"{ratio:.3f} times the memory, expected at most {MOST_RATIO}"],
    )


def anonymous_bytes(pid: int) -> int:
    """Return the memory of a process that is no mapped file, its share of what it shares with others."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))


def _answer(server: ServerProcess, queries: Path, n_vectors: int) -> None:
    plan = Plan(
        address=server.address,
        queries=str(queries),
        size=SIZE,
        n_streams=N_STREAMS,
        n_messages=n_vectors // SIZE,
        window=2 * SIZE,
    )
    plan.run(server.process.pid)
