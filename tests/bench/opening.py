"""Opening a generation of a great many references, and what holding it open costs; in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bench.jittered import with_noise
from miwake.indexer.build import build
from miwake.indexer.canaries import CANARIES_FILE, make_canaries
from miwake.indexer.opening import EMBEDDINGS_FILE, RAW_FILE, load, open_index
from miwake.indexer.search.building import SearchSettings, build_search
from miwake.indexer.search.card import SEARCH_FILE
from miwake.indexer.search.loading import INDEX_FILE
from miwake.indexer.storage.array_file import ArrayWriter
from miwake.indexer.storage.files import to_json
from miwake.indexer.storage.generation import MANIFEST_FILE, MANIFEST_HASH_FILE, Contents, build_generation
from miwake.indexer.storage.reference_files import REFERENCES_FILE, VECTORS_FILE, ReferenceWriter
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.verdict.calibration import CALIBRATION_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bench.jittered import Origin
    from miwake.indexer.storage.reading import Snapshot

STATION = "line1"
PIECE = 8192
OF_ITS_SIZE = {
    REFERENCES_FILE,
    VECTORS_FILE,
    EMBEDDINGS_FILE,
    RAW_FILE,
    INDEX_FILE,
    SEARCH_FILE,
    CALIBRATION_FILE,
    CANARIES_FILE,
    MANIFEST_FILE,
    MANIFEST_HASH_FILE,
}
"""Files of a generation that are made anew for another number of references; the others are copied."""

OPEN = """
import json, sys, time
from pathlib import Path
import numpy as np
from miwake.indexer.opening import open_index
from miwake.indexer.threads import pin_threads

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

pin_threads()
station, small, generation = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
first = open_index(station, small)
first.classify(np.array(first.contents.references.vectors[:64]))
before = anonymous()
start, busy = time.perf_counter(), time.process_time()
index = open_index(station, generation)
seconds, busy = time.perf_counter() - start, time.process_time() - busy
queries = np.array(index.contents.references.vectors[:640])
for row in range(0, 640, 64):
    index.classify(queries[row : row + 64])
print(json.dumps({"seconds": seconds, "busy": busy, "anonymous": anonymous() - before}))
"""
"""The small generation is opened first, so that libraries and compiled loops are not counted as the references'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What opening took.

    Attributes
    ----------
    folder : Path
        Of the generation.
    seconds, busy_seconds : float
        By the clock, and of the processor.
    anonymous_bytes : float
        For each reference, of memory that is no mapped file, once batches have been classified.
    """

    folder: Path
    seconds: float
    busy_seconds: float
    anonymous_bytes: float


def found_station(folder: Path, made: Origin) -> StationFolder:
    """Build a station of real references, after which greater generations are made."""
    build(folder, STATION, made.records, made.folder)
    return StationFolder(folder / STATION)


def open_many(station: StationFolder, made: Origin, n_references: int) -> Opened:
    """Add a generation of many references to the station, and open it as a server does.

    It has every file that a build writes, and all are verified. But its references are not in the store, and their
    vectors are copies of real ones, though their embeddings differ: to embed as many, and to keep them in SQLite, would
    take a quarter of an hour.
    """
    small = open_index(station.path).generation
    generation = build_generation(station, lambda part: _write(part, station, made, n_references)).generation
    command = [sys.executable, "-c", OPEN, str(station.path), small, generation]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    told = json.loads(done.stdout)
    return Opened(
        folder=station.generation_path(generation),
        seconds=told["seconds"],
        busy_seconds=told["busy"],
        anonymous_bytes=told["anonymous"] / n_references,
    )


def _write(part: Path, station: StationFolder, made: Origin, n_references: int) -> Contents:
    small = open_index(station.path)
    with ReferenceStore.open(station.path) as store:
        base, schema = store.snapshot(), store.schema
    for path in station.generation_path(small.generation).iterdir():
        if path.name not in OF_ITS_SIZE:
            (part / path.name).write_bytes(path.read_bytes())
    in_embedding_space = replace(small.calibration, rerank=replace(small.calibration.rerank, space="embedding"))
    (part / CALIBRATION_FILE).write_bytes(to_json(in_embedding_space))
    random = np.random.default_rng(3)
    embeddings = np.array(small.contents.embeddings)
    with (
        ReferenceWriter(part, n_references, base.vectors.shape[1]) as references,
        ArrayWriter(part / EMBEDDINGS_FILE, n_references, embeddings.shape[1]) as writer,
    ):
        for number, rows in enumerate(_rows(len(base), n_references, random)):
            references.append(_renamed(base, rows, number))
            writer.append(with_noise(embeddings[rows], made.scale, random))
        references.finish()
        writer.finish()
    build_search(part, EMBEDDINGS_FILE, SearchSettings())
    index = load(part, made.embedder, schema, station="", generation="", revision=small.revision)
    (part / CANARIES_FILE).write_bytes(make_canaries(index, base.vectors, base.labels).to_npz())
    return Contents(embedder_id=small.embedder_id, base_revision=small.revision, n_references=n_references)


def _rows(n_base: int, n_references: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield which references are copied, piece by piece; every one first, so that no class is left out."""
    rows = np.concatenate([np.arange(n_base), random.integers(0, n_base, n_references - n_base)])
    for start in range(0, n_references, PIECE):
        yield rows[start : start + PIECE]


def _renamed(base: Snapshot, rows: NDArray[np.int64], number: int) -> Snapshot:
    def pick(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(texts[row] for row in rows.tolist())

    return replace(
        base,
        vectors=base.vectors[rows],
        labels=base.labels[rows],
        ids=tuple(f"{number}-{place}" for place in range(len(rows))),
        failure_modes=pick(base.failure_modes),
        parts=pick(base.parts),
        groups=pick(base.groups),
        splits=pick(base.splits),
        sources=pick(base.sources),
        times=pick(base.times),
        row_hashes=pick(base.row_hashes),
    )
