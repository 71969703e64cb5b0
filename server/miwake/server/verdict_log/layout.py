"""What a segment of the verdict log holds: one SQLite database, of two tables and a view that joins them.

docs/verdict-log.md is this for its readers; a change here needs another ``FORMAT_VERSION``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

FORMAT_VERSION = 2
"""Kept as the databases' ``user_version``."""

APPLICATION_ID = 0x6D69776B
"""Kept as the databases' ``application_id``: ``miwk``."""

SUFFIX = ".verdicts.db"
"""How the files of segments end."""

WAL = "-wal"
SHM = "-shm"
"""How SQLite names what it keeps beside a database that is open."""

FINISH = "PRAGMA journal_mode = DELETE"
"""Folds the WAL into the database and makes it one file, which whoever may only read can open."""

LOCK = "-lock"
"""How the file beside a segment is named that its writer holds locked; there is none beside a finished one."""

N_NEAREST = 3
"""Of each answer's neighbours, how many are kept."""

Kind = Literal["TEXT", "INTEGER", "REAL"]

PROVENANCE: Mapping[str, Kind] = {
    "station": "TEXT",
    "embedder": "TEXT",
    "generation": "TEXT",
    "revision": "INTEGER",
    "threshold_set": "TEXT",
}
"""Columns of ``answered_by``: what answers share, kept once."""

REQUEST: Mapping[str, Kind] = {
    "answered_us": "INTEGER",
    "stream_id": "TEXT",
    "queue_ms": "REAL",
    "compute_ms": "REAL",
    "sequence": "INTEGER",
    "id": "TEXT",
    "part_id": "TEXT",
    "job_id": "TEXT",
    "product_id": "TEXT",
    "recipe_id": "TEXT",
    "inspected_us": "INTEGER",
    "is_simulated": "INTEGER",
}
"""Columns of ``answers``: what was asked, when and in which stream. Times are microseconds since 1970, UTC."""

ERROR: Mapping[str, Kind] = {"error": "TEXT", "error_message": "TEXT"}
"""Columns of ``answers``: why there is no verdict; NULL where there is one."""

HEALTH = ("mean", "spread", "gain", "focus", "saturation", "dead_lines")
"""The health statistics, in the order of ``HealthStatistic``."""


def _nearest_columns() -> dict[str, Kind]:
    columns: dict[str, Kind] = {}
    for place in range(1, N_NEAREST + 1):
        columns |= {f"reference_{place}": "TEXT", f"distance_{place}": "REAL"}
    return columns


VERDICT: Mapping[str, Kind] = {
    "label": "INTEGER",
    "failure_mode": "TEXT",
    "decision": "TEXT",
    "reasons": "TEXT",
    "probability": "REAL",
    "reject_probability": "REAL",
    "margin": "REAL",
    "novelty": "REAL",
    "method": "TEXT",
    **{f"health_{statistic}": "REAL" for statistic in HEALTH},
    **_nearest_columns(),
    "compared_with": "TEXT",
}
"""Columns of ``answers``: the verdict; NULL where there is none."""

SINCE = {"compared_with": 2}
"""Columns that segments of earlier formats lack, by the format that brought them."""

ANSWERS = {"answered_by": "INTEGER", **REQUEST, **ERROR, **VERDICT}
"""Columns of ``answers`` in the order in which rows are inserted."""

KINDS: Mapping[str, Kind] = {**PROVENANCE, **REQUEST, **ERROR, **VERDICT}
COLUMNS = tuple(KINDS)
"""Columns of the view ``verdicts``, which has ``answered_at`` and ``inspected_at`` as text besides."""

TIMES = ("answered_us", "inspected_us")
"""Columns that are microseconds since 1970, UTC."""


def schema() -> list[str]:
    """Return the statements that make an empty segment."""
    named = ", ".join(f"{name} {kind} NOT NULL" for name, kind in PROVENANCE.items())
    answers = ", ".join(f"{name} {kind}" for name, kind in ANSWERS.items())
    columns = ", ".join((*PROVENANCE, *(f"answers.{name}" for name in ANSWERS if name != "answered_by")))
    times = ", ".join(f"{_as_text(f'{name}_us')} AS {name}_at" for name in ("answered", "inspected"))
    joined = "FROM answers JOIN answered_by ON answered_by.id = answers.answered_by"
    return [
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {FORMAT_VERSION}",
        f"CREATE TABLE answered_by (id INTEGER PRIMARY KEY, {named}, UNIQUE ({', '.join(PROVENANCE)}))",
        f"CREATE TABLE answers (n INTEGER PRIMARY KEY, {answers})",
        f"CREATE VIEW verdicts AS SELECT n, {times}, {columns} {joined}",
    ]


def insert_answers() -> str:
    """Return the statement that adds a row to ``answers``."""
    return f"INSERT INTO answers ({', '.join(ANSWERS)}) VALUES ({', '.join('?' * len(ANSWERS))})"  # noqa: S608


def segment_name(started: datetime, process: int) -> str:
    """Return the file name of a segment: names sort by the time at which segments were started.

    Examples
    --------
    >>> segment_name(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC), 77)
    '20260504T030201.000000Z-77.verdicts.db'
    """
    return f"{started.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{process}{SUFFIX}"


def beside(segment: Path, suffix: str) -> Path:
    """Return a file that belongs to a segment."""
    return segment.with_name(segment.name + suffix)


def _as_text(column: str) -> str:
    """Return the SQL of a time as ISO 8601 text: strftime alone knows milliseconds only."""
    fraction = f"(({column} % 1000000 + 1000000) % 1000000)"  # also before 1970
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', ({column} - {fraction}) / 1000000, 'unixepoch')"
    return f"({seconds} || printf('.%06dZ', {fraction}))"
