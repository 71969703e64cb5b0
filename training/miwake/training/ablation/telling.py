"""An ablation for people and for programs: tables on a terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from rich.table import Table

from miwake.indexer.storage.files import write_durably
from miwake.training.ablation.comparing import METRICS
from miwake.training.ablation.measuring import WAYS
from miwake.training.errors import AblationError

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.training.ablation.comparing import Ablation, DataSet, Figure
    from miwake.training.ablation.paired import Interval

JSON_FILE, CSV_FILE, MARKDOWN_FILE = "ablation.json", "ablation.csv", "ablation.md"

COLUMNS = ("data", "arm", "way", "metric", "mean", "sd", "n_rows", "difference", "low", "high", "n_seeds", "n_parts")


def write_ablation(folder: Path, ablation: Ablation) -> tuple[Path, ...]:
    """Write the table as JSON, CSV and Markdown and return where.

    Raises
    ------
    AblationError
        If they cannot be written.
    """
    texts = {JSON_FILE: json_text(ablation), CSV_FILE: csv_text(ablation), MARKDOWN_FILE: markdown(ablation)}
    try:
        for name, text in texts.items():
            write_durably(folder / name, text.encode())
    except OSError as error:
        message = f"{folder}: cannot be written: {error.strerror}"
        raise AblationError(message) from error
    return tuple(folder / name for name in texts)


def json_text(ablation: Ablation) -> str:
    """Return everything as one JSON object, indented."""
    return json.dumps(ablation.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def csv_text(ablation: Ablation) -> str:
    """Return a row for each figure; shares as they are, empty where there is nothing to say."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    n_parts = {one.name: one.n_parts for one in ablation.data}
    for one in ablation.figures:
        found = one.difference
        told = ("", "", "") if found is None else (found.value, found.low, found.high)
        counts = (ablation.n_seeds, n_parts[one.data])
        named = (one.data, one.arm, one.way, one.metric)
        writer.writerow([*named, _share(one.mean), _share(one.sd), one.n_rows, *map(_share, told), *counts])
    return buffer.getvalue()


def _share(value: float | str | None) -> str:
    return f"{value:.6f}" if isinstance(value, float) else ""


def markdown(ablation: Ablation) -> str:
    """Return a heading and a table for each data set."""
    pieces = []
    for data in ablation.data:
        head, *rows = _cells(ablation, data, " ")
        lines = [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]
        pieces.append("\n".join([f"### {_title(ablation, data)}", "", *lines, ""]))
    return "\n".join([*pieces, f"{_legend(ablation)}\n"])


def tables(ablation: Ablation) -> list[Table]:
    """Return a table for each data set, for a terminal."""
    found = []
    for data in ablation.data:
        head, *rows = _cells(ablation, data, "\n")
        table = Table(*head, title=_title(ablation, data), caption=_legend(ablation))
        for number, row in enumerate(rows):
            table.add_row(*row, end_section=number + 1 < len(rows) and bool(rows[number + 1][0]))
        found.append(table)
    return found


def _cells(ablation: Ablation, data: DataSet, between: str) -> list[tuple[str, ...]]:
    """Return the heading and the rows: for each arm the ways to a label, its name in the first of them only.

    What stands ``between`` a figure and its difference is a line feed or a space.
    """
    metrics = METRICS if data.has_passes else METRICS[:2]
    figures = {(one.arm, one.way, one.metric): one for one in ablation.figures if one.data == data.name}
    rows: list[tuple[str, ...]] = [("arm", "by", *metrics)]
    for arm in ablation.arms:
        for way in WAYS:
            name = arm if way == WAYS[0] else ""
            rows.append((name, way, *(_figure(figures.get((arm, way, metric)), between) for metric in metrics)))
    return rows


def _figure(figure: Figure | None, between: str) -> str:
    if figure is None:
        return "–"
    told = f"{100 * figure.mean:.2f}"
    if figure.sd is not None:
        told += f" ± {100 * figure.sd:.2f}"
    return told if figure.difference is None else f"{told}{between}{_interval(figure.difference)}"


def _interval(found: Interval) -> str:
    """Return a difference in points; with a star where its interval excludes 0."""
    star = " *" if found.excludes_zero else ""
    return f"{100 * found.value:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]{star}"


def _title(ablation: Ablation, data: DataSet) -> str:
    seeds = "1 seed" if ablation.n_seeds == 1 else f"{ablation.n_seeds} seeds"
    return f"{data.name}: {data.n_rows:,} held-out rows of {data.n_parts:,} parts, {seeds}"


def _legend(ablation: Ablation) -> str:
    over = "parts; one seed says nothing of others" if ablation.n_seeds == 1 else "seeds and parts, both paired"
    return (
        f"In %: mean ± standard deviation between seeds; then the difference to {ablation.baseline} in points with a "
        f"95 % interval over {over} ({ablation.n_draws:,} resamplings); * excludes 0."
    )
