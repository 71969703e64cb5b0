"""Auditing a data set: everything that is suspicious, ranked, and what figures are worth until it was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.errors import EmbedderError
from miwake.indexer.evaluation import Evaluation, Rate, evaluate, rate
from miwake.indexer.sources.checks import rows_as_found
from miwake.indexer.sources.description import resolve_pass_labels
from miwake.indexer.sources.reader import read_table
from miwake.training.audit.folds import assign_folds, bound_together
from miwake.training.audit.judging import judge
from miwake.training.audit.listing import doubtful_labels, outlying, repeated, unusable
from miwake.training.audit.repeats import equal_groups, near_pairs
from miwake.training.audit.suspects import Kind, Suspect
from miwake.training.errors import TrainingDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.embedder import Embedder
    from miwake.indexer.records import Records
    from miwake.indexer.sources.settings import ReadSettings

FEWEST_ROWS = 20
"""With fewer rows nothing can be told from anything else."""

WRONG_LABELS = (Kind.CONTRADICTION, Kind.MISLABELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    source : text
    embedder_id : text or None
    n_rows, n_parts : int
        As found; a row without a part counts as one.
    n_not_judged : int
        Rows that can be used and whose label nobody can judge: no other part has it.
    n_near_within_parts : int
        Pairs of near-duplicates of one part and label: pictures of one thing, not listed.
    suspects : tuple of Suspect
        By kind, the most suspicious first.
    as_given, without_suspects : Evaluation or None
        How often the other parts find the given label, over all rows that can be judged, and over those among them
        that no suspect is; None where there are none.
    ceiling : Rate or None
        Of the rows that can be judged, those whose label is not suspected: the most that anybody who is always right
        can measure on these labels if every suspicion is true.
    notes : tuple of text
        For people.
    """

    source: str
    embedder_id: str | None
    n_rows: int
    n_parts: int
    n_not_judged: int
    n_near_within_parts: int
    suspects: tuple[Suspect, ...]
    as_given: Evaluation | None
    without_suspects: Evaluation | None
    ceiling: Rate | None
    notes: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Suspects of each kind, all kinds in order."""
        return {str(kind): sum(one.kind is kind for one in self.suspects) for kind in Kind}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {**asdict(self), "counts": self.counts}


def audit_source(
    source: str, settings: ReadSettings, embedder: Embedder | None = None, warn: Callable[[str], None] | None = None
) -> tuple[Audit, Records]:
    """Audit a data set as it is found: rows that a reader would refuse are suspects, not errors.

    Returns
    -------
    Audit, Records
        The records are all rows as found, for pictures.

    Raises
    ------
    DataError
        If the source cannot be read.
    TrainingDataError
        If hardly a row can be used.
    EmbedderError
        If the embedder does not fit the data.
    """
    table = read_table(source, settings)
    found, problems = rows_as_found(table, settings)
    usable = np.ones(len(found), dtype=np.bool_)
    usable[list(problems)] = False
    pass_labels, warnings = resolve_pass_labels(table, settings, found.labels[usable])
    for warning in (*found.warnings, *warnings):
        if warn is not None:
            warn(warning)
    found = replace(found, pass_labels=pass_labels)
    return audit(found, embedder, problems), found


def audit(records: Records, embedder: Embedder | None = None, problems: dict[int, str] | None = None) -> Audit:
    """Audit records.

    Parameters
    ----------
    records : Records
        All rows, also those that cannot be used; ids may repeat.
    embedder : Embedder or None
    problems : mapping of row to text
        What is wrong with rows that cannot be used; they are listed and left out of everything else.

    Raises
    ------
    TrainingDataError
        If fewer than 20 rows can be used.
    EmbedderError
        If the embedder does not fit the data.
    """
    refused = problems or {}
    rows = np.array([row for row in range(len(records)) if row not in refused], dtype=np.intp)
    if len(rows) < FEWEST_ROWS:
        message = f"{records.source}: {len(rows)} of {len(records)} rows can be used, expected {FEWEST_ROWS} or more"
        raise TrainingDataError(message)
    used = records if len(rows) == len(records) else records.take(rows)
    embeddings = None if embedder is None else _embed(embedder, used)
    equal = equal_groups(used.vectors)
    folds = assign_folds(used.labels, bound_together(used.parts, equal))
    judgement = judge(used, folds, _width(used), embeddings)
    pairs, n_within = repeated(used, equal, *near_pairs(used))
    doubtful = doubtful_labels(used, judgement, folds, is_contradicted(pairs, len(used)))
    listed = [replace_rows(one, rows) for one in (*doubtful, *pairs, *outlying(used, judgement))]
    order = {kind: place for place, kind in enumerate(Kind)}
    suspects = sorted([*listed, *unusable(records, refused)], key=lambda one: (order[one.kind], -one.score, one.row))
    suspected, wrong = (
        np.isin(rows, [one.row for one in listed if one.kind in kinds]) for kinds in (tuple(Kind), WRONG_LABELS)
    )
    judged = judgement.doubts >= 0
    return Audit(
        source=records.source,
        embedder_id=None if embedder is None else embedder.card.embedder_id,
        n_rows=len(records),
        n_parts=len({part or f"\0{row}" for row, part in enumerate(records.parts)}),
        n_not_judged=int((~judged).sum()),
        n_near_within_parts=n_within,
        suspects=tuple(suspects),
        as_given=_evaluated(used, judgement.found, judged),
        without_suspects=_evaluated(used, judgement.found, judged & ~suspected),
        ceiling=_ceiling(used, wrong, judged),
        notes=_notes(used, embedder, judged),
    )


def is_contradicted(suspects: Sequence[Suspect], n_rows: int) -> NDArray[np.bool_]:
    """Return which of N rows are contradictions already, (N,): they are not listed as mislabelled once more."""
    found = np.zeros(n_rows, dtype=np.bool_)
    found[[one.row for one in suspects if one.kind is Kind.CONTRADICTION]] = True
    return found


def replace_rows(suspect: Suspect, rows: NDArray[np.intp]) -> Suspect:
    """Return a suspect among the usable rows with its rows in the source."""
    other = None if suspect.other_row is None else int(rows[suspect.other_row])
    return replace(suspect, row=int(rows[suspect.row]), other_row=other)


def _embed(embedder: Embedder, records: Records) -> NDArray[np.float32]:
    n_values = records.vectors.shape[1]
    if n_values != embedder.card.n_values:
        message = f"{records.source}: vectors of {n_values} values, the embedder takes {embedder.card.n_values}"
        raise EmbedderError(message)
    scale = embedder.scale(flatness=0.0)
    codes = scale.refusals(records.vectors)
    refused = np.flatnonzero(codes)
    if len(refused):
        row = int(refused[0])
        message = (
            f"{records.source}: the embedder cannot take {len(refused):,} of {len(records):,} rows, the first is "
            f"{records.ids[row]}: {scale.explain(int(codes[row]), records.vectors[row])}"
        )
        raise EmbedderError(message)
    return embedder.embed(records.vectors)


def _width(records: Records) -> float:
    if records.value_range is not None:
        return records.value_range[1] - records.value_range[0]
    return float(records.vectors.max()) - float(records.vectors.min())


def _evaluated(records: Records, found: NDArray[np.int32], chosen: NDArray[np.bool_]) -> Evaluation | None:
    if not chosen.any():
        return None
    parts = [records.parts[row] for row in np.flatnonzero(chosen)]
    return evaluate(records.labels[chosen], found[chosen], pass_labels=records.pass_labels, parts=parts)


def _ceiling(records: Records, wrong: NDArray[np.bool_], judged: NDArray[np.bool_]) -> Rate | None:
    if not judged.any():
        return None
    return rate(~wrong[judged], parts=[records.parts[row] for row in np.flatnonzero(judged)])


def _notes(records: Records, embedder: Embedder | None, judged: NDArray[np.bool_]) -> tuple[str, ...]:
    notes = []
    if not any(records.parts):
        notes.append(
            "No row names its part: pictures of one thing vouch for each other, and their wrong labels stay hidden."
        )
    if not any(records.splits):
        notes.append("No row names its split: twins across it cannot be found.")
    if not judged.any():
        notes.append("No label occurs in two parts of different labels: labels were not judged.")
    if embedder is not None:
        fitted = set(embedder.card.fit_row_hashes)
        n_fitted = sum(one in fitted for one in records.row_hashes())
        notes.append(
            f"The embedder was fitted on {n_fitted:,} of {len(records):,} rows: it may have memorised wrong labels "
            "among them, and its accuracy on them flatters."
        )
    return tuple(notes)
