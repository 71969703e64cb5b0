"""What building a generation costs over embedding alone: 100,000 references from raw vectors, read, kept and published.

The references are real heat maps (``MIWAKE_TEST_DATA``, else ``shared/data`` beside the checkout, else synthetic ones)
under a gain of 0.95 … 1.05 and with noise of 3 grey values, in a store of their own; the embedder is of the default
preset, fitted briefly: its weights change no figure here. Both sides work on the same vectors in one process, in turn,
after a small build that loads libraries and kernels.

``rebuild_ratio`` is the processor time of a whole ``rebuild`` (all threads, and the process that builds the index) over
that of ``Embedder.embed``: what one core needs. ``rebuild_elapsed_ratio`` is the same by the clock, where reading goes
on beside embedding, and calibration beside the index. ``rebuild_reused_ratio`` is a rebuild whose embeddings are known,
by processor time, over embedding alone. Anonymous memory (``RssAnon``) is sampled every 10 ms in a process of its own
that does nothing but the rebuild, for all references and for a quarter of them: the slope is what a reference costs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.jittered import origin
from miwake.indexer.build import rebuild
from miwake.indexer.embedder import Embedder
from miwake.indexer.storage.installed_embedder import install_embedder
from miwake.indexer.storage.schema import StationSchema
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.indexer.records import Records

N_REFERENCES = 100_000
N_WARM = 2_000
N_ROUNDS = 3
SAMPLED_EVERY_S = 0.01
REBUILD = """
import sys
from pathlib import Path
from miwake.indexer.build import rebuild
from miwake.indexer.storage.station import StationFolder
rebuild(StationFolder(Path(sys.argv[1])), embedder_folder=Path(sys.argv[2]), reuse=False, keep=1)
"""


class Spent(NamedTuple):
    """Seconds by the clock and by the processors, children included."""

    elapsed: float
    processor: float


def measure() -> dict[str, float]:
    """Return the ratios, the seconds behind them, and the peak of memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = origin(folder)
        stations = {
            n: make_station(folder / f"of-{n}", source.folder, jittered(source.records, n))
            for n in (N_WARM, N_REFERENCES)
        }
        rebuild(stations[N_WARM], embedder_folder=source.folder)
        with ReferenceStore.open(stations[N_REFERENCES].path) as store:
            vectors = store.snapshot().vectors
        rounds = [_round(stations[N_REFERENCES], source.folder, vectors) for _ in range(N_ROUNDS)]
        found = {key: float(np.median([one[key] for one in rounds])) for key in rounds[0]}
        peak = _peak_anonymous_bytes(stations[N_REFERENCES], source.folder)
    return {
        **found,
        "anonymous_mb": peak / 1e6,
    }


def jittered(records: Records, n_records: int) -> Records:
    """Return so many records: the given ones, then copies under a gain and noise, each with its own id."""
    random = np.random.default_rng(0)
    rows = np.resize(np.arange(len(records)), n_records)
    low, high = records.value_range or (float(records.vectors.min()), float(records.vectors.max()))
    copies = records.take(rows)
    gains = random.uniform(0.95, 1.05, (n_records, 1)).astype(np.float32)
    noise = np.float32((high - low) * 3 / 255) * random.standard_normal(copies.vectors.shape, dtype=np.float32)
    vectors = (copies.vectors * gains + noise).clip(low, high)
    vectors[: len(records)] = records.vectors[:n_records]
    return replace(
        copies,
        vectors=np.ascontiguousarray(vectors, dtype=np.float32),
        ids=tuple(f"{one} {row}" for row, one in enumerate(copies.ids)),
    )


def make_station(path: Path, embedder_folder: Path, records: Records) -> StationFolder:
    """Return a station with these references, and nothing published yet."""
    station = StationFolder(path / "line1")
    card = Embedder.open(embedder_folder).card
    schema = StationSchema(
        n_values=card.n_values,
        heat_map_shape=card.heat_map_shape,
        pass_labels=records.pass_labels,
        value_range=card.value_range,
    )
    with ReferenceStore.create(station.path, schema=schema) as store:
        store.add(records, actor="bench")
    install_embedder(station, embedder_folder)
    return station


def _round(station: StationFolder, embedder_folder: Path, vectors: np.ndarray) -> dict[str, float]:
    embedder = Embedder.open(embedder_folder)
    alone = _spent(lambda: embedder.embed(vectors))
    whole = _spent(lambda: rebuild(station, embedder_folder=embedder_folder, reuse=False, keep=1))
    reused = _spent(lambda: rebuild(station, keep=1))
    return {
        "rebuild_ratio": whole.processor / alone.processor,
        "rebuild_elapsed_ratio": whole.elapsed / alone.elapsed,
        "rebuild_reused_ratio": reused.processor / alone.processor,
        "rebuild_s": whole.elapsed,
        "rebuild_processor_s": whole.processor,
        "embed_s": alone.elapsed,
        "embed_processor_s": alone.processor,
    }


def _spent(run: Callable[[], object]) -> Spent:
    begin, before = time.perf_counter(), os.times()
    run()
    elapsed, after = time.perf_counter() - begin, os.times()
    # The fifth is the elapsed time, since when the system says.
    return Spent(elapsed, sum(after[:4]) - sum(before[:4]))


def _peak_anonymous_bytes(station: StationFolder, embedder_folder: Path) -> float:
    command = [sys.executable, "-c", REBUILD, str(station.path), str(embedder_folder)]
    peak = 0
    with subprocess.Popen(command) as process:  # noqa: S603 - our own command
        while process.poll() is None:
            peak = max(peak, _anonymous_bytes(process.pid))
            time.sleep(SAMPLED_EVERY_S)
    assert process.returncode == 0
    return float(peak)


def _anonymous_bytes(pid: int) -> int:
    """Return the anonymous memory of a process now; 0 where it is ending."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
