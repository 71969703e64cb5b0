"""Reading the log, also while it is written: rows in the order of their times, and counts of them."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from miwake.server.errors import VerdictLogError
from miwake.server.verdict_log.folder import segments
from miwake.server.verdict_log.layout import COLUMNS, FORMAT_VERSION, SINCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from miwake.server.verdict_log.rows import Row, Value

ERROR = "ERROR"
"""Counted in place of a decision where there is none."""

PERIODS = {"hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d", "all": "all"}
"""How answers are put together for counting: the times that share a name, as strftime writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which answers are read; all that is given must hold.

    Attributes
    ----------
    station, stream_id, part_id : text
        Empty for any.
    decision : text
        Of ``Decision``, or ``ERROR`` for vectors without a verdict; empty for any.
    label : int or None
    since, until : datetime or None
        From the one, and before the other; with a time zone.
    """

    station: str = ""
    stream_id: str = ""
    part_id: str = ""
    decision: str = ""
    label: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def condition(self) -> tuple[str, list[Value]]:
        """Return this as SQL, and the values of its parameters."""
        equal: dict[str, Value] = {"station": self.station, "stream_id": self.stream_id, "part_id": self.part_id}
        conditions: list[tuple[str, Value]] = [(f"{name} = ?", value) for name, value in equal.items() if value]
        if self.decision:
            conditions.append(("coalesce(decision, 'ERROR') = ?", self.decision))
        if self.label is not None:
            conditions.append(("label = ?", self.label))
        if self.since is not None:
            conditions.append(("answered_us >= ?", _microseconds(self.since)))
        if self.until is not None:
            conditions.append(("answered_us < ?", _microseconds(self.until)))
        return " AND ".join(text for text, _ in conditions) or "1", [value for _, value in conditions]


class Group(NamedTuple):
    """Answers that are counted together; the decision is ``ERROR``, and the label None, without a verdict."""

    period: str
    station: str
    decision: str
    label: int | None


class VerdictLog:
    """A folder of segments, read only.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    damaged : list of text
        What was found to be unreadable so far, and left out.

    Raises
    ------
    VerdictLogError
        If there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            message = f"{folder}: no such folder"
            raise VerdictLogError(message)
        self._folder = folder
        self.damaged: list[str] = []

    def rows(self, wanted: Wanted | None = None) -> Iterator[Row]:
        """Yield the answers, the oldest first, as values of ``COLUMNS``."""
        return self._merged(wanted or Wanted(), newest_first=False)

    def newest(self, n_rows: int, wanted: Wanted | None = None) -> list[Row]:
        """Return the newest answers, the newest last, as values of ``COLUMNS``."""
        found = list(islice(self._merged(wanted or Wanted(), newest_first=True, at_most=n_rows), n_rows))
        return found[::-1]

    def count(self, wanted: Wanted | None = None, *, per: str = "all") -> Counter[Group]:
        """Return how many answers there are of each group; ``per`` is one of ``PERIODS``."""
        condition, values = (wanted or Wanted()).condition()
        query = (
            f"SELECT strftime(?, answered_us / 1000000, 'unixepoch'), station, coalesce(decision, '{ERROR}'), label,"  # noqa: S608
            f" count(*) FROM verdicts WHERE {condition} GROUP BY 1, 2, 3, 4"
        )
        counts: Counter[Group] = Counter()
        for segment in segments(self._folder):
            for *group, n_answers in self._ask(segment, query, [PERIODS[per], *values]):
                counts[Group(*group)] += n_answers
        return counts

    def _merged(self, wanted: Wanted, *, newest_first: bool, at_most: int = -1) -> Iterator[Row]:
        condition, values = wanted.condition()
        order = "DESC" if newest_first else "ASC"
        query = f"SELECT {', '.join(COLUMNS)} FROM verdicts WHERE {condition} ORDER BY n {order} LIMIT {at_most}"  # noqa: S608
        each = [self._ask(segment, query, values) for segment in segments(self._folder)]
        time = COLUMNS.index("answered_us")
        return heapq.merge(*each, key=lambda row: row[time], reverse=newest_first)

    def _ask(self, segment: Path, query: str, values: Sequence[Value]) -> Iterator[tuple[Any, ...]]:
        """Yield what a segment answers; what goes wrong with it is noted, and ends the reading of this one only."""
        try:
            with closing(_open(segment)) as connection:
                query = _in_format_of(connection, query)
                if connection.execute("PRAGMA application_id").fetchone() != (0,):  # else its making was cut off
                    yield from connection.execute(query, values)
        except sqlite3.Error as error:
            if segment.exists():  # else it was removed meanwhile, as the oldest ones are
                self.damaged.append(f"{segment.name}: {error}")


def _open(segment: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{segment.absolute().as_uri()}?mode=ro", uri=True)
    try:
        _check_version(connection, segment)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, segment: Path) -> None:
    version = _version(connection)
    if version > FORMAT_VERSION:
        message = f"{segment}: format {version}, and this release reads up to {FORMAT_VERSION}: take a newer miwake"
        raise VerdictLogError(message)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _in_format_of(connection: sqlite3.Connection, query: str) -> str:
    """Return a query with NULL for the columns that a segment of an earlier format does not have."""
    version = _version(connection)
    for name, since in SINCE.items():
        if version < since:
            query = query.replace(name, f"NULL AS {name}")
    return query


def _microseconds(time: datetime) -> int:
    return round(1e6 * time.astimezone(UTC).timestamp())
