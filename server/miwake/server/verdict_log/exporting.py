"""Answers of the log in a file that other tools read: Parquet, CSV, or JSON lines."""

from __future__ import annotations

import csv
import json
import os
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from miwake.server.errors import VerdictLogError
from miwake.server.verdict_log.layout import COLUMNS, FORMAT_VERSION, KINDS, TIMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from miwake.server.verdict_log.rows import Row

ROWS_TOGETHER = 50_000
"""Rows in one row group of Parquet, and in memory at once."""


class Sink(Protocol):
    """Takes rows, some at a time."""

    def __call__(self, rows: Sequence[Row], /) -> object:
        """Write some rows."""


def export(rows: Iterable[Row], file: Path) -> int:
    """Write rows, as ``VerdictLog.rows`` yields them, to a file, whole or not at all; its suffix says how.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    VerdictLogError
        If the suffix is none of ``FORMATS``, or the file cannot be written.
    """
    writing = FORMATS.get(file.suffix)
    if writing is None:
        message = f"{file}: expected a name that ends in {', '.join(FORMATS)}"
        raise VerdictLogError(message)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    n_rows = 0
    try:
        with writing(temporary) as write:
            remaining = iter(rows)
            while some := list(islice(remaining, ROWS_TOGETHER)):
                write(some)
                n_rows += len(some)
        temporary.replace(file)
    except OSError as error:
        message = f"{file}: {error.strerror or error}"
        raise VerdictLogError(message) from error
    finally:
        temporary.unlink(missing_ok=True)
    return n_rows


def as_json(row: Row) -> str:
    """Return a row as one JSON object, its times as microseconds since 1970."""
    return json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False)


@contextmanager
def _json_lines(path: Path) -> Iterator[Sink]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda rows: file.writelines(f"{as_json(row)}\n" for row in rows)


@contextmanager
def _csv(path: Path) -> Iterator[Sink]:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        yield table.writerows


@contextmanager
def _parquet(path: Path) -> Iterator[Sink]:
    """Write with pyarrow: times as timestamps, and everything else as it is in the log."""
    import pyarrow as pa  # noqa: PLC0415 - heavy, and needed for this format only
    from pyarrow import parquet  # noqa: PLC0415

    kinds = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float32()}
    time = pa.timestamp("us", "UTC")
    fields = [
        (name.replace("_us", "_at"), time) if name in TIMES else (name, kinds[kind]) for name, kind in KINDS.items()
    ]
    schema = pa.schema(fields, metadata={"format_version": str(FORMAT_VERSION)})
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:

        def write(rows: Sequence[Row]) -> None:
            columns = zip(*rows, strict=True)
            file.write(pa.table([pa.array(one, kind) for one, (_, kind) in zip(columns, fields, strict=True)], schema))

        yield write


FORMATS: Mapping[str, Callable[[Path], AbstractContextManager[Sink]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _json_lines,
}
