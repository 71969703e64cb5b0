"""The same job end to end, by miwake and by a pipeline around a real Milvus server, in turn in one run.

Throughput is vectors a second of *one core*, which client and server share: one over the processor time that both take
for a vector. So it asks neither how well the two overlap, nor what else the machine does. Each server is bound to one
core, whatever threads it has, and its client to another. Beside it stands the ratio by the clock, with several requests
under way on either side, each at what is quickest for it.

Both sides propose the same number of candidates, Milvus with the least number of lists probed that finds as many of the
exact nearest as miwake's index does. Milvus's side then only embeds, re-ranks and compares with the anchors; miwake's
also refuses bad vectors, votes, decides, looks at the input's health, and tells it all in messages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console

from bench.service.processes import run_load, started
from miwake.indexer.index import DEFAULT_NEIGHBOURS
from miwake.indexer.search.proposing import exact_index, propose
from support.serving import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.service.processes import Went
    from bench.service.station import Station
    from miwake.indexer.index import InspectionIndex
    from support.serving import ServerProcess

ENVIRONMENT = Path("build/milvus-environment")
WHEELS = (
    "milvus==2.3.5",
    "pymilvus==2.3.5",
    "setuptools<70",
    "marshmallow<4",
    "numpy",
    "numba",
    "scipy",
    "onnxruntime",
)
"""milvus brings the server; pymilvus 2.3.5 wants the older setuptools and marshmallow."""

INSTALL_TIMEOUT_S = 600
STOP_TIMEOUT_S = 60
HERE = Path(__file__).parent
INDEXER = HERE.parents[2] / "indexer"
N_ROUNDS = 3
N_RECALL = 512
"""Queries on which what is found is compared with exact search."""

SIZES = (64, 256, 1024)
"""Vectors in a search of Milvus, of which the best is taken; miwake has 64 in a message."""

N_AT_ONCE = 3
"""Batches that Milvus's client has on their way, so that its server never waits for it."""

N_SINGLE_AT_ONCE = 8
N_VECTORS = {"miwake": 8192, "held": 4096, "fetched": 1024, "single": 512}


@dataclass(frozen=True, slots=True)
class Milvus:
    """A running server with the references in it, and what its clients need.

    Attributes
    ----------
    python : Path
        Of its environment.
    port, pid : int
    folder : Path
        Of the job's files.
    n_probes : int
        Lists that a search looks into.
    recall : float
        Share of the exact nearest that it finds so.
    """

    python: Path
    port: int
    pid: int
    folder: Path
    n_probes: int
    recall: float

    def run(self, queries: Path, *, size: int, n_vectors: int, fetches: bool, n_at_once: int = N_AT_ONCE) -> Went:
        """Have a client do the job in batches of ``size``."""
        plan = {
            "queries": str(queries.resolve()),
            "size": size,
            "n_batches": n_vectors // size,
            "n_at_once": n_at_once,
            "n_probes": self.n_probes,
            "fetches": fetches,
        }
        command = _client_command(self.python, "run", self.port, self.folder, json.dumps(plan))
        with on_core(-1), started(command, variables=_client_environment(self.folder)) as load:
            return load.go(self.pid)


def against_milvus(index: InspectionIndex, station: Station) -> dict[str, float | str]:
    """Return miwake's throughput over the pipeline's, and what is behind it; where there is no Milvus, the reason."""
    try:
        python = _environment()
    except (subprocess.SubprocessError, OSError) as error:
        reason = f"{WHEELS[0]} cannot be installed here: {error}"
        Console(stderr=True).print(f"bench: {reason}", markup=False, highlight=False)
        return {"milvus_missing": reason}
    with (
        tempfile.TemporaryDirectory(dir=station.folder) as name,
        _milvus(python, Path(name), index, station) as milvus,
        _miwake(station) as server,
    ):
        best = _best_sizes(milvus, station)
        rounds = [_round(server, milvus, station, best) for _ in range(N_ROUNDS)]
    found = {key: float(np.median([one[key] for one in rounds])) for key in rounds[0]}
    return {
        **found,
        "milvus_probes": milvus.n_probes,
        "milvus_recall": milvus.recall,
        "milvus_held_batch": best.held,
        "milvus_quickest_batch": best.quickest,
        "milvus_fetched_batch": best.fetched,
    }


class Sizes(NamedTuple):
    """How many vectors a search of Milvus holds: at the least processor time, the least time, and where it fetches."""

    held: int
    quickest: int
    fetched: int


def _best_sizes(milvus: Milvus, station: Station) -> Sizes:
    """Return what costs the pipeline least."""
    held = _trials(milvus, station, "held")
    fetched = _trials(milvus, station, "fetched")
    return Sizes(
        held=min(held, key=lambda size: held[size].both_s),
        quickest=min(held, key=lambda size: held[size].elapsed_s),
        fetched=min(fetched, key=lambda size: fetched[size].both_s),
    )


def _trials(milvus: Milvus, station: Station, way: str) -> dict[int, Went]:
    n_vectors = N_VECTORS[way]
    sizes = [size for size in SIZES if size <= n_vectors // N_AT_ONCE]
    is_fetching = way == "fetched"
    return {
        size: milvus.run(station.queries_file, size=size, n_vectors=n_vectors, fetches=is_fetching) for size in sizes
    }


def _round(server: ServerProcess, milvus: Milvus, station: Station, best: Sizes) -> dict[str, float]:
    """Measure every way once, in turn."""
    queries = station.queries_file
    n_ours, n_held, n_fetched, n_single = (N_VECTORS[name] for name in ("miwake", "held", "fetched", "single"))
    arguments = (server.address, str(queries), str(n_ours))
    with on_core(-1):
        ours = run_load("client_load", *arguments, "batches", server_pid=server.process.pid)
        streamed = run_load("client_load", *arguments, "singly", server_pid=server.process.pid)
    held = milvus.run(queries, size=best.held, n_vectors=n_held, fetches=False)
    quickest = milvus.run(queries, size=best.quickest, n_vectors=n_held, fetches=False)
    fetched = milvus.run(queries, size=best.fetched, n_vectors=n_fetched, fetches=True)
    single = milvus.run(queries, size=1, n_vectors=n_single, fetches=False, n_at_once=N_SINGLE_AT_ONCE)
    ours_us = 1e6 * min(ours.both_s, streamed.both_s) / n_ours
    ours_elapsed_us = 1e6 * min(ours.elapsed_s, streamed.elapsed_s) / n_ours
    return {
        "milvus_2": 1e6 * held.both_s / n_held / ours_us,
        "milvus_2_elapsed": 1e6 * quickest.elapsed_s / n_held / ours_elapsed_us,
        "milvus_fetch": 1e6 * fetched.both_s / n_fetched / ours_us,
        "milvus_1": 1e6 * single.both_s / n_single / ours_us,
        **_us("miwake_batches", ours, n_ours),
        **_us("miwake_stream", streamed, n_ours),
        **_us("milvus_held", held, n_held),
        **_us("milvus_quickest", quickest, n_held),
        **_us("milvus_fetched", fetched, n_fetched),
        **_us("milvus_single", single, n_single),
    }


def _us(name: str, went: Went, n_vectors: int) -> dict[str, float]:
    """Return µs a vector: by the clock, and of both processes' processors."""
    return {
        f"{name}_elapsed_us": 1e6 * went.elapsed_s / n_vectors,
        f"{name}_client_us": 1e6 * went.client_s / n_vectors,
        f"{name}_server_us": 1e6 * went.server_s / n_vectors,
    }


@contextmanager
def on_core(which: int) -> Iterator[None]:
    """Bind what is started meanwhile to one core of those there are; 0 is the first, and -1 the last."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(usual)[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


@contextmanager
def _miwake(station: Station) -> Iterator[ServerProcess]:
    with ExitStack() as stack:
        with on_core(0):
            server = stack.enter_context(running_server(station.store, station.folder / "log-beside-milvus"))
        yield server


@contextmanager
def _milvus(python: Path, folder: Path, index: InspectionIndex, station: Station) -> Iterator[Milvus]:
    """Start a server, put the references in, and stop it on leaving."""
    _write_job(folder, index, station)
    command = [str(python.absolute()), str(HERE / "milvus_server.py"), str(folder / "server")]
    with on_core(0):
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"GOMAXPROCS": "1"}
        )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        told = json.loads(process.stdout.readline())
        try:
            fill = _client_command(python, "fill", told["port"], folder)
            filled = subprocess.run(  # noqa: S603 - our own command
                fill, check=True, stdout=subprocess.PIPE, text=True, env=_client_environment(folder)
            )
            effort = json.loads(filled.stdout)
            yield Milvus(python, told["port"], told["pid"], folder, effort["n_probes"], effort["recall"])
        finally:
            process.stdin.close()
            process.wait(STOP_TIMEOUT_S)


def _write_job(folder: Path, index: InspectionIndex, station: Station) -> None:
    """Write what a client needs: what is searched, how it is re-ranked, and what should be found."""
    contents, calibration = index.contents, index.calibration
    rerank, mix = calibration.rerank, calibration.mix
    assert rerank.space == "embedding", "raw maps would have to be fetched, too"
    asked = contents.embedder.embed(station.queries()[:N_RECALL])
    nearest = propose(exact_index(contents.embeddings), asked, rerank.n_candidates)
    ours = propose(contents.faiss_index, asked, rerank.n_candidates)
    shared = [len(np.intersect1d(*pair)) for pair in zip(ours, nearest, strict=True)]
    np.save(folder / "embeddings.npy", contents.embeddings)
    (folder / "embedder.onnx").write_bytes((station.folder / "embedder" / "embedder.onnx").read_bytes())
    anchors = index.contents.anchors
    np.savez(
        folder / "job.npz",
        asked=asked,
        nearest=nearest,
        recall=sum(shared) / nearest.size,
        anchors=anchors.embeddings,
        anchor_labels=anchors.labels,
        labels=contents.references.labels,
        weights=[mix.scale_weight, mix.deviation_weight, mix.spread_weight],
        powers=[rerank.p_eta, rerank.p_gamma],
        n_candidates=rerank.n_candidates,
        n_neighbours=DEFAULT_NEIGHBOURS,
        n_lists=contents.faiss_index.parameters["n_lists"],
    )


def _client_command(python: Path, *arguments: object) -> list[str]:
    return [str(python.absolute()), str(HERE / "milvus_client.py"), *map(str, arguments)]


def _client_environment(folder: Path) -> dict[str, str]:
    # Compiled loops of another numba must not take the place of ours.
    return os.environ | {"PYTHONPATH": str(INDEXER), "NUMBA_CACHE_DIR": str(folder / "numba")}


def _environment() -> Path:
    """Return the interpreter of the environment with Milvus, which is made where there is none."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != " ".join(WHEELS):
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)  # noqa: S603
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *WHEELS]
        subprocess.run(install, check=True, timeout=INSTALL_TIMEOUT_S)  # noqa: S603
        stamp.write_text(" ".join(WHEELS), encoding="utf-8")
    return python
