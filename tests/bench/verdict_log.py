"""What the verdict log costs: ``python -m bench.verdict_log``, the figures of ADR 19.

Answers are of real shape: 15 neighbours, six health statistics, a context for each part; the disk is the one that
temporary folders are on. Times are of the processor, not of the clock, and the least of several rounds.
"""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path
from time import process_time, thread_time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from miwake.inspection.v1 import vector_pb2
from miwake.server.verdict_log.layout import ANSWERS
from miwake.server.verdict_log.recorder import VerdictRecorder
from miwake.server.verdict_log.rows import Entry, RowMaker
from miwake.server.verdict_log.writer import Writer
from support.verdicts import delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from miwake.server.jobs import Delivery

N_ROUNDS = 5
N_DELIVERIES = 64
N_TOGETHER = 8
"""Deliveries in one commit: 5,000 answers a second, ten commits a second, 64 answers a batch."""

MIB = 1024 * 1024
KINDS = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float32()}


def deliveries(size: int) -> list[Delivery]:
    """Return deliveries of so many answers, each of a part of its own."""
    numbers = count()
    contexts = (vector_pb2.InspectionContext(part_id=f"part-{number:06d}", job_id="job-7") for number in numbers)
    vectors = np.linspace(0.1, 0.9, size)
    return [delivery(*vectors, context=next(contexts), n_neighbours=15) for _ in range(N_DELIVERIES)]


class Nowhere(Writer):
    """Takes entries and writes nothing."""

    def append(self, entries: Sequence[Entry]) -> None:
        del entries


def hot_path(made: Sequence[Delivery], folder: Path) -> None:
    """Hand everything over; nobody is there to take it."""
    recorder = VerdictRecorder(Nowhere(folder, 16 * MIB))
    for one in made:
        recorder.record(one, stream_id="a-stream", told=bool)


def sqlite(made: Sequence[Delivery], folder: Path) -> None:
    """Write everything as the log does."""
    writer = Writer(folder, 2048 * MIB)
    for start in range(0, len(made), N_TOGETHER):
        writer.append([Entry(one, "a-stream", start) for one in made[start : start + N_TOGETHER]])
    writer.close()


def sqlite_one_by_one(made: Sequence[Delivery], folder: Path) -> None:
    """Commit each delivery by itself."""
    writer = Writer(folder, 2048 * MIB)
    for number, one in enumerate(made):
        writer.append([Entry(one, "a-stream", number)])
    writer.close()


def arrow(made: Sequence[Delivery], folder: Path) -> None:
    """Append the same rows as record batches of Arrow, with an fsync each."""
    _append_batches(made, folder, N_TOGETHER)


def arrow_one_by_one(made: Sequence[Delivery], folder: Path) -> None:
    """Append each delivery by itself."""
    _append_batches(made, folder, 1)


def _append_batches(made: Sequence[Delivery], folder: Path, n_together: int) -> None:
    schema = pa.schema([(name, KINDS[kind]) for name, kind in ANSWERS.items()])
    with (folder / "answers.arrow").open("wb") as file:
        for start in range(0, len(made), n_together):
            maker = RowMaker()
            entries = [Entry(one, "a-stream", start) for one in made[start : start + n_together]]
            rows = [(1, *row) for entry in entries for row in maker.rows(entry)]
            columns = [pa.array(one, field.type) for one, field in zip(zip(*rows, strict=True), schema, strict=True)]
            file.write(pa.record_batch(columns, schema=schema).serialize())
            file.flush()
            os.fsync(file.fileno())


def measure(write: Callable[[Sequence[Delivery], Path], None], size: int) -> tuple[float, float]:
    """Return the processor time of an answer in µs, and its bytes."""
    clock = thread_time if write is hot_path else process_time
    least, n_bytes = np.inf, 0
    for _ in range(N_ROUNDS):
        made = deliveries(size)
        with tempfile.TemporaryDirectory() as name:
            start = clock()
            write(made, Path(name))
            least = min(least, clock() - start)
            n_bytes = sum(path.stat().st_size for path in Path(name).iterdir())
    n_answers = N_DELIVERIES * size
    return 1e6 * least / n_answers, n_bytes / n_answers


def main() -> None:
    """Print a row for each way to write, and for each size of a batch."""
    table = Table("what", "answers a batch", "µs an answer", "bytes an answer")
    for size in (64, 16, 1):
        for write in (hot_path, sqlite, arrow) if size > 1 else (hot_path, sqlite_one_by_one, arrow_one_by_one):
            microseconds, n_bytes = measure(write, size)
            table.add_row(write.__name__.replace("_", " "), str(size), f"{microseconds:.2f}", f"{n_bytes:.0f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
