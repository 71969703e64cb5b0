"""Turning what a source holds into records: every row is checked here, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.errors import DataError
from miwake.indexer.records import Records
from miwake.indexer.scale import FLATNESS, RANGE_SLACK, Refusal, Scale
from miwake.indexer.sources.description import resolve_heat_map_shape, resolve_pass_labels, resolve_value_range
from miwake.indexer.sources.raw import TEXT_FIELDS
from miwake.indexer.sources.repeats import contradictions, equal_vectors, repeated_ids, tell_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.sources.raw import RawTable
    from miwake.indexer.sources.settings import ReadSettings

SPLITS = ("", "train", "test")
"""What a split column may hold."""

MANY_TEMPLATES = 20
"""So many are hardly all of places where nothing is to be."""


def to_records(table: RawTable, settings: ReadSettings) -> Records:
    """Return the rows of ``table`` as records, after every check.

    Raises
    ------
    DataError
        If a row cannot be used and bad rows are not to be skipped, if two rows contradict each other, if nothing is
        left, or if what is said about the data does not fit them.
    """
    found, problems = rows_as_found(table, settings)
    problems.update(repeated_ids(table, found.ids, problems))
    repeats = equal_vectors(table, problems)
    contradicting = contradictions(table, repeats)
    problems.update(contradicting)
    keep, dropped = _usable(table, problems, settings)
    pass_labels, pass_warnings = resolve_pass_labels(table, settings, table.labels[keep])
    repeated = tell_repeats(table, [rows for rows in repeats if rows[0] not in contradicting])
    records = replace(
        found,
        pass_labels=pass_labels,
        warnings=(*found.warnings, *dropped, *pass_warnings, *_tell_missing_parts(table, keep), *repeated),
    )
    return records.take(keep) if problems else records


def rows_as_found(table: RawTable, settings: ReadSettings) -> tuple[Records, dict[int, str]]:
    """Return every row as records, usable or not, and what is wrong with each row that is not.

    Rows are not compared with each other: ids may repeat, and equal vectors may have different labels.

    Raises
    ------
    DataError
        If there are no rows, or if what is said about the data does not fit them.
    """
    if not table.vectors.size:
        message = f"{table.source}: it holds no {'values' if len(table.vectors) else 'rows'}"
        raise DataError(message)
    value_range, range_warnings = resolve_value_range(table, settings)
    shape, shape_warnings = resolve_heat_map_shape(table, settings)
    times, time_problems = _times_in_utc(table.texts.get("time"), len(table.vectors))
    ids = table.texts.get("id") or tuple(f"{table.stem}:{row}" for row in range(len(table.vectors)))
    problems = {**time_problems, **_problems(table, _scale(table, value_range, settings)), **table.problems}
    texts = {name: table.texts.get(name, ("",) * len(ids)) for name in TEXT_FIELDS}
    records = Records(
        vectors=table.vectors,
        labels=table.labels,
        failure_modes=texts["failure_mode"],
        ids=ids,
        parts=texts["part"],
        groups=texts["group"],
        splits=texts["split"],
        times=times,
        source=table.source,
        heat_map_shape=shape,
        pass_labels=resolve_pass_labels(table, settings, table.labels)[0],
        value_range=value_range,
        warnings=(*table.warnings, *shape_warnings, *range_warnings),
        templates=table.templates,
    )
    return records, problems


def _tell_missing_parts(table: RawTable, keep: NDArray[np.bool_]) -> tuple[str, ...]:
    parts = table.texts.get("part")
    if parts is None:
        what = "no part column"
    else:
        n_missing = sum(not part for part, is_kept in zip(parts, keep.tolist(), strict=True) if is_kept)
        if not n_missing:
            return ()
        what = f"{n_missing:,} of {np.count_nonzero(keep):,} rows name no part"
    return (f"{table.source}: {what}: rows of one part may fall on both sides of a split, and figures will flatter",)


def _usable(
    table: RawTable, problems: dict[int, str], settings: ReadSettings
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return which rows are kept, and a warning about the others."""
    keep = np.ones(len(table.vectors), dtype=np.bool_)
    if not problems:
        return keep, ()
    what = f"{len(problems):,} of {len(keep):,} rows"
    if not settings.skip_bad_rows:
        message = f"{table.source}: {what} cannot be used (--skip-bad-rows drops them): {table.name_some(problems)}"
        raise DataError(message)
    keep[list(problems)] = False
    if not keep.any():
        message = f"{table.source}: no row can be used: {table.name_some(problems)}"
        raise DataError(message)
    return keep, (f"{table.source}: {what} dropped: {table.name_some(problems)}",)


def _problems(table: RawTable, scale: Scale | None) -> dict[int, str]:
    problems: dict[int, str] = {}
    for row, text in enumerate(table.texts.get("id", ())):
        if not text:
            problems[row] = "the id is missing"
    for row, text in enumerate(table.texts.get("split", ())):
        if text not in SPLITS:
            problems[row] = f"split {text!r}, expected train, test or nothing"
    problems.update(_template_problems(table, scale))
    codes = _refusals(table.vectors, scale)
    for row in np.flatnonzero(codes).tolist():
        problems[row] = _explain(table.vectors[row], table.value_name, int(codes[row]), scale)
    return problems


def _template_problems(table: RawTable, scale: Scale | None) -> dict[int, str]:
    """Return what is wrong with templates; one may be flat, where nothing is to be, but not all of many.

    Raises
    ------
    DataError
        If there are ``MANY_TEMPLATES`` and all of them are flat: they are on another scale.
    """
    if table.templates is None:
        return {}
    codes, is_there = _refusals(table.templates, scale), ~np.isnan(table.templates).all(axis=1)
    if is_there.sum() >= MANY_TEMPLATES and (codes[is_there] == Refusal.FLAT).all():
        row = int(np.flatnonzero(is_there)[0])
        what = _explain(table.templates[row], "template{}", Refusal.FLAT, scale)
        message = f"{table.source}: every template is flat, as that of {table.name_row(row)}, {what}: another scale?"
        raise DataError(message)
    return {
        row: f"its template: {_explain(table.templates[row], 'template{}', int(codes[row]), scale)}"
        for row in np.flatnonzero(is_there & (codes != Refusal.NONE) & (codes != Refusal.FLAT)).tolist()
    }


def _scale(table: RawTable, value_range: tuple[float, float] | None, settings: ReadSettings) -> Scale | None:
    if value_range is None:
        return None
    flatness = FLATNESS if settings.flatness is None else settings.flatness
    return Scale(n_values=table.vectors.shape[1], low=value_range[0], high=value_range[1], flatness=flatness)


def _refusals(vectors: NDArray[np.float32], scale: Scale | None) -> NDArray[np.int8]:
    if scale is not None:
        return scale.refusals(vectors)
    least, most = vectors.min(axis=1), vectors.max(axis=1)
    codes = np.where(most == least, np.int8(Refusal.FLAT), np.int8(Refusal.NONE))
    codes[~(np.isfinite(least) & np.isfinite(most))] = Refusal.NON_FINITE
    return codes


def _explain(values: NDArray[np.float32], value_name: str, code: int, scale: Scale | None) -> str:
    vector = values.astype(np.float64)
    if code == Refusal.NON_FINITE:
        column = int(np.flatnonzero(~np.isfinite(vector))[0])
        value = vector[column]
        found = "missing or not a number" if np.isnan(value) else f"{value:g}"
        return f"column {value_name.format(column)}: {found}, expected a finite float32"
    spread = np.ptp(vector)
    if scale is None or spread == 0:
        return f"flat: all {len(vector):,} values are {vector[0]:g}"
    low, high = scale.low, scale.high
    if code == Refusal.FLAT:
        return f"flat: spread {spread:g} is under {scale.flatness:.2%} of the value range {low:g} … {high:g}"
    column = int(np.argmax(np.maximum(vector - high, low - vector)))
    return (
        f"column {value_name.format(column)}: {vector[column]:g} leaves the value range {low:g} … {high:g} "
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
