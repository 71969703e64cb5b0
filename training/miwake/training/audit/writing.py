"""An audit as CSV and as one HTML page with pictures."""

from __future__ import annotations

import csv
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.telling import pages
from miwake.indexer.telling.pages import MapFigure
from miwake.indexer.telling.pictures import difference_png, heat_map_png
from miwake.indexer.telling.rates import NOTHING, percent, rate_text
from miwake.training.audit.suspects import MEANINGS, Kind, Suspect

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.evaluation import Evaluation
    from miwake.indexer.records import Records
    from miwake.training.audit.auditing import Audit

PAGE_FILE, TABLE_FILE = "audit.html", "audit.csv"
N_PICTURES = 60
"""Suspects of each kind that are shown with pictures, about 6 kB each; the others stand in a table."""

MOST_ROWS = 1_000
"""Suspects of each kind in that table; the CSV file has all."""

COLUMNS = (
    "rank",
    "id",
    "part",
    "label",
    "failure_mode",
    "kind",
    "what",
    "score",
    "other",
    "looks_like",
    "split",
    "row",
)


def write_audit(folder: Path, audit: Audit, records: Records) -> tuple[Path, Path]:
    """Write the page and the table durably to a folder, made where it is missing, and return where they lie.

    Raises
    ------
    DataError
        If they cannot be written.
    """
    paths = folder / PAGE_FILE, folder / TABLE_FILE
    for path, text in zip(paths, (page(audit, records), table(audit)), strict=True):
        pages.write(path, text)
    return paths


def table(audit: Audit) -> str:
    """Return the suspects as CSV, one row each, ranked within their kind; empty where there is nothing to say."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rank, one in _ranked(audit.suspects):
        looks_like = "" if one.looks_like is None else one.looks_like
        texts = (rank, one.id, one.part, one.label, one.failure_mode, one.kind, one.what)
        writer.writerow([*texts, f"{one.score:.6g}", one.other, looks_like, one.split, one.row])
    return buffer.getvalue()


def page(audit: Audit, records: Records, *, n_pictures: int = N_PICTURES) -> str:
    """Return the page; ``n_pictures`` of each kind are shown with pictures."""
    ranked = _ranked(audit.suspects)
    sections = [
        _section(kind, [(rank, one) for rank, one in ranked if one.kind is kind], records, n_pictures) for kind in Kind
    ]
    return "".join([pages.head(f"Audit of {audit.source}"), _summary(audit), *sections, pages.END])


def ceiling_line(audit: Audit) -> str:
    """Return in one sentence what figures on these labels are worth."""
    if audit.ceiling is None:
        return "Labels could not be judged."
    return (
        f"Until the suspects are looked at, the ceiling of any accuracy on these labels is {rate_text(audit.ceiling)}: "
        "what an inspector who is always right would measure if every suspected label is wrong."
    )


def accuracy_rows(audit: Audit) -> list[tuple[str, str, str]]:
    """Return name, value as given and value without suspects of each figure; empty where labels were not judged."""
    if audit.as_given is None:
        return []
    first, second = audit.as_given, audit.without_suspects

    def pair(name: str, attribute: str) -> tuple[str, str, str]:
        without = NOTHING if second is None else rate_text(getattr(second, attribute))
        return name, rate_text(getattr(first, attribute)), without

    return [
        pair("accuracy", "accuracy"),
        pair("escapes", "escape"),
        pair("overkills", "overkill"),
        _balanced(first, second),
    ]


def _balanced(first: Evaluation, second: Evaluation | None) -> tuple[str, str, str]:
    return (
        "balanced accuracy",
        percent(first.balanced_accuracy),
        percent(None if second is None else second.balanced_accuracy),
    )


def _ranked(suspects: tuple[Suspect, ...]) -> list[tuple[int, Suspect]]:
    counts = dict.fromkeys(Kind, 0)
    ranked = []
    for one in suspects:
        counts[one.kind] += 1
        ranked.append((counts[one.kind], one))
    return ranked


def _summary(audit: Audit) -> str:
    counts = [(name, f"{count:,}", MEANINGS[Kind(name)]) for name, count in audit.counts.items()]
    way = "its nearest neighbours and a model that knows no label of the part" if audit.embedder_id else "a model"
    how = (
        f"{audit.n_rows:,} rows of {audit.n_parts:,} parts. Labels are judged by {way}"
        f"{f', embedder {audit.embedder_id}' if audit.embedder_id else ''}, from rows of other parts only; a "
        "suspicion is no proof. The accuracy is that of this judge. Without the suspects it is flattered, because "
        "they are the rows where the judge disagrees. Intervals are two-sided, 95 %, over parts. "
        f"{audit.n_not_judged:,} rows could not be judged. {audit.n_near_within_parts:,} pairs of near-duplicates "
        "within a part and label are not listed."
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in audit.notes)
    figures = pages.table(("", "as given", "without suspects"), accuracy_rows(audit)) if audit.as_given else ""
    return (
        f"<p><b>{escape(ceiling_line(audit))}</b></p>\n<p>{escape(how)}</p>\n{notes}{figures}"
        + "<h2>Suspects</h2>\n"
        + pages.table(("", "records", "meaning"), counts)
    )


def _section(kind: Kind, ranked: list[tuple[int, Suspect]], records: Records, n_pictures: int) -> str:
    if not ranked:
        return ""
    shown, others = ranked[:n_pictures], ranked[n_pictures:]
    return (
        f"<h2>{escape(kind.capitalize())}: {len(ranked):,}</h2>\n<p>{escape(MEANINGS[kind])}</p>\n"
        + "".join(_card(rank, one, records) for rank, one in shown)
        + _others(others)
    )


def _card(rank: int, one: Suspect, records: Records) -> str:
    where = f"part {one.part or '(not named)'}, {one.split or 'no split'}, row {one.row}, score {one.score:.4g}"
    return pages.card(
        f"{rank}. <bdi>{escape(one.id)}</bdi>: <bdi>{escape(_label(one.label, one.failure_mode))}</bdi>",
        (f"<bdi>{escape(one.what)}</bdi>", f"<bdi>{escape(where)}</bdi>"),
        _maps(one, records),
        is_alarm=one.kind in {Kind.CONTRADICTION, Kind.MISLABELLED, Kind.TWIN},
    )


def _maps(one: Suspect, records: Records) -> tuple[MapFigure, ...]:
    shape = records.heat_map_shape
    own = records.vectors[one.row].reshape(shape)
    if not np.isfinite(own).all():
        return ()
    other = None if one.other_row is None else records.vectors[one.other_row].reshape(shape)
    both = own if other is None else np.stack([own, other])
    low, high = float(both.min()), float(both.max())
    record = MapFigure("the record", heat_map_png(own, low, high), (f"{low:g} (dark) … {high:g} (bright)",))
    if other is None or one.other_row is None:
        return (record,)
    label = _label(int(records.labels[one.other_row]), records.failure_modes[one.other_row])
    most = float(np.abs(own - other).max()) or 1.0
    return (
        record,
        MapFigure("beside it", heat_map_png(other, low, high), (one.other, label)),
        MapFigure("difference", difference_png(own - other, most), (f"blue −{most:g}, orange {most:g}",)),
    )


def _label(label: int, failure_mode: str) -> str:
    return f"label {label} {failure_mode}".strip()


def _others(ranked: list[tuple[int, Suspect]]) -> str:
    if not ranked:
        return ""
    rows = [
        (str(rank), one.id, one.part, _label(one.label, one.failure_mode), one.what, f"{one.score:.4g}")
        for rank, one in ranked[:MOST_ROWS]
    ]
    more = f"<p>and {len(ranked) - MOST_ROWS:,} more in {TABLE_FILE}</p>\n" if len(ranked) > MOST_ROWS else ""
    return pages.table(("", "id", "part", "label", "what", "score"), rows) + more
