"""Turning what a source holds into records: every row is checked here, once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.records import Records, vector_hash
from miwake.indexer.scale import RANGE_SLACK, Refusal, Scale
from miwake.indexer.sources.description import resolve_heat_map_shape, resolve_pass_labels, resolve_value_range
from miwake.indexer.sources.raw import N_SHOWN, RawTable, name_some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.sources.settings import ReadSettings

SPLITS = ("", "train", "test")
"""What a split column may hold."""


def to_records(table: RawTable, settings: ReadSettings) -> Records:
    """Return the rows of ``table`` as records, after every check.

    Raises
    ------
    DataError
        If a row cannot be used and bad rows are not to be skipped, if two rows contradict each other, if nothing is
        left, or if what is said about the data does not fit them.
    """
    if not len(table.vectors):
        message = f"{table.source}: it holds no rows"
        raise DataError(message)
    value_range, range_warnings = resolve_value_range(table, settings)
    shape, shape_warnings = resolve_heat_map_shape(table, settings)
    times, time_problems = _times_in_utc(table.texts.get("time"), len(table.vectors))
    problems = {**time_problems, **_problems(table, value_range), **table.problems}
    records, dropped = _drop(_unchecked(table, shape, value_range, times), problems, settings)
    pass_labels, pass_warnings = resolve_pass_labels(table, settings, records.labels)
    no_parts = () if any(records.parts) else (_NO_PARTS.format(table.source),)
    told = (*table.warnings, *shape_warnings, *range_warnings, *dropped, *pass_warnings, *no_parts)
    records = replace(records, pass_labels=pass_labels, warnings=told)
    _refuse_repeated_ids(records)
    return replace(records, warnings=(*told, *_repeated_vectors(records)))


_NO_PARTS = "{}: no part column: rows of one part may fall on both sides of a split, and figures will flatter"


def _unchecked(
    table: RawTable, shape: tuple[int, int], value_range: tuple[float, float] | None, times: tuple[str, ...]
) -> Records:
    n_rows = len(table.vectors)
    unknown = ("",) * n_rows
    texts = table.texts
    return Records(
        vectors=table.vectors,
        labels=table.labels,
        failure_modes=texts.get("failure_mode", unknown),
        ids=texts.get("id") or tuple(f"{table.stem}:{row}" for row in range(n_rows)),
        parts=texts.get("part", unknown),
        groups=texts.get("group", unknown),
        splits=texts.get("split", unknown),
        times=times,
        source=table.source,
        heat_map_shape=shape,
        pass_labels=(),
        value_range=value_range,
    )


def _drop(records: Records, problems: dict[int, str], settings: ReadSettings) -> tuple[Records, tuple[str, ...]]:
    if not problems:
        return records, ()
    what = f"{len(problems):,} of {len(records):,} rows"
    if not settings.skip_bad_rows:
        message = f"{records.source}: {what} cannot be used (--skip-bad-rows drops them): {name_some(problems)}"
        raise DataError(message)
    keep = np.ones(len(records), dtype=np.bool_)
    keep[list(problems)] = False
    if not keep.any():
        message = f"{records.source}: no row can be used: {name_some(problems)}"
        raise DataError(message)
    return records.take(keep), (f"{records.source}: {what} dropped: {name_some(problems)}",)


def _problems(table: RawTable, value_range: tuple[float, float] | None) -> dict[int, str]:
    problems: dict[int, str] = {}
    for row, text in enumerate(table.texts.get("id", ())):
        if not text:
            problems[row] = "the id is missing"
    for row, text in enumerate(table.texts.get("split", ())):
        if text not in SPLITS:
            problems[row] = f"split {text!r}, expected train, test or nothing"
    codes = _refusals(table, value_range)
    for row in np.flatnonzero(codes).tolist():
        problems[row] = _explain(table, row, int(codes[row]), value_range)
    return problems


def _refusals(table: RawTable, value_range: tuple[float, float] | None) -> NDArray[np.int8]:
    vectors = table.vectors
    if value_range is not None:
        return Scale(n_values=vectors.shape[1], low=value_range[0], high=value_range[1]).refusals(vectors)
    least, most = vectors.min(axis=1), vectors.max(axis=1)
    codes = np.where(most == least, np.int8(Refusal.FLAT), np.int8(Refusal.NONE))
    codes[~(np.isfinite(least) & np.isfinite(most))] = Refusal.NON_FINITE
    return codes


def _explain(table: RawTable, row: int, code: int, value_range: tuple[float, float] | None) -> str:
    vector = table.vectors[row].astype(np.float64)
    if code == Refusal.NON_FINITE:
        column = int(np.flatnonzero(~np.isfinite(vector))[0])
        value = vector[column]
        found = "missing or not a number" if np.isnan(value) else f"{value:g}"
        return f"column {table.value_name.format(column)}: {found}, expected a finite float32"
    spread = np.ptp(vector)
    if value_range is None:
        return f"flat: all {len(vector):,} values are {vector[0]:g}"
    low, high = value_range
    if code == Refusal.FLAT:
        return f"flat: spread {spread:g} is under 1 % of the value range {low:g} … {high:g}"
    column = int(np.argmax(np.maximum(vector - high, low - vector)))
    return (
        f"column {table.value_name.format(column)}: {vector[column]:g} leaves the value range {low:g} … {high:g} "
        f"by more than {RANGE_SLACK:.0%} of its width"
    )


def _times_in_utc(texts: Sequence[str] | None, n_rows: int) -> tuple[tuple[str, ...], dict[int, str]]:
    if texts is None:
        return ("",) * n_rows, {}
    times: list[str] = []
    problems: dict[int, str] = {}
    for row, text in enumerate(texts):
        try:
            found = datetime.fromisoformat(text) if text else None
        except ValueError:
            problems[row] = f"time {text!r}, expected ISO 8601 such as 2026-01-31T12:00:00Z"
            found = None
        if found is None:
            times.append("")
            continue
        # A time without a zone is taken as UTC: the machine that reads is seldom where the part was inspected.
        aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        times.append(aware.isoformat().replace("+00:00", "Z"))
    return tuple(times), problems


def _refuse_repeated_ids(records: Records) -> None:
    first: dict[str, int] = {}
    for row, reference_id in enumerate(records.ids):
        before = first.setdefault(reference_id, row)
        if before != row:
            message = f"{records.source}: rows {before} and {row} both have the id {reference_id!r}"
            raise DataError(message)


def _repeated_vectors(records: Records) -> tuple[str, ...]:
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for row, vector in enumerate(records.vectors):
        rows_of[vector_hash(vector)].append(row)
    groups = [rows for rows in rows_of.values() if len(rows) > 1]
    for rows in groups:
        labels = records.labels[rows]
        other = np.flatnonzero(labels != labels[0])
        if len(other):
            there = int(other[0])
            message = (
                f"{records.source}: rows {rows[0]} ({records.ids[rows[0]]}) and {rows[there]} "
                f"({records.ids[rows[there]]}) hold the same vector, but labels {labels[0]} and {labels[there]}"
            )
            raise DataError(message)
    if not groups:
        return ()
    shown = "; ".join(" = ".join(str(row) for row in rows[:N_SHOWN]) for rows in groups[:N_SHOWN])
    more = f"; and {len(groups) - N_SHOWN:,} more" if len(groups) > N_SHOWN else ""
    return (f"{records.source}: {len(groups):,} vectors appear more than once: rows {shown}{more}",)
