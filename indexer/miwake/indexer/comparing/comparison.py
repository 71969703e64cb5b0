"""Asking two sides about the same vectors, honestly: neither about what its embedder was fitted on, nor itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from miwake.indexer.answers import Decision
from miwake.indexer.comparing.figures import Measured, decision_shares, error_figures
from miwake.indexer.comparing.flips import Answer, Flip, effect_of, kind_of, weight_of
from miwake.indexer.comparing.honest import honest_rows
from miwake.indexer.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from miwake.indexer.answers import VerdictBatch
    from miwake.indexer.comparing.sides import Side, SideDescription
    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.records import Records

BATCH = 256
"""Vectors asked about at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What would change if the second side took the place of the first.

    Attributes
    ----------
    station, source : text
        ``source`` is what both were asked about.
    first, second : SideDescription
    n_rows, n_parts : int
        What both answered; a row without a part counts as one.
    n_fitted, n_known, n_refused : int
        Rows left out: an embedder was fitted on their part; they are references themselves and name no part, so that
        they cannot be kept from answering for themselves; a side cannot judge them.
    pass_labels : tuple of int
    is_labelled : bool
        Whether it is known what the rows were.
    figures : tuple of Measured
        Accuracy, escape and overkill by label, and the two errors by decision: rejects decided PASS, passes decided
        REJECT. Without pass labels only the accuracy. Where the rows bear no labels, the shares of the decisions.
    decisions : mapping
        ``first→second`` to the number of rows.
    flips : tuple of Flip
        All rows that the sides do not agree on, the dangerous ones first.
    """

    station: str
    source: str
    first: SideDescription
    second: SideDescription
    n_rows: int
    n_parts: int
    n_fitted: int
    n_known: int
    n_refused: int
    pass_labels: tuple[int, ...]
    is_labelled: bool
    figures: tuple[Measured, ...]
    decisions: dict[str, int]
    flips: tuple[Flip, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def compare(
    first: Side,
    second: Side,
    records: Records,
    *,
    is_labelled: bool = True,
    report: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Return what would change if ``second`` took the place of ``first``.

    Parameters
    ----------
    first, second : Side
    records : Records
        What both are asked about.
    is_labelled : bool
        Whether the labels mean something.
    report : callable
        Is told of each step as it begins.

    Raises
    ------
    DataError
        If there is no row that both can be asked about honestly, or the vectors are of another length.
    """
    index = first.index
    if records.vectors.shape[1] != index.scale.n_values:
        message = f"{records.source}: vectors of {records.vectors.shape[1]} values, expected {index.scale.n_values}"
        raise DataError(message)
    asked = honest_rows(records, (first, second))
    rows = asked.records
    answers = []
    for side in (first, second):
        report(f"asking {side.index.generation} about {len(rows)} vectors")
        answers.append(_answers(side, rows))
    return Comparison(
        station=index.station,
        source=records.source,
        first=first.describe(),
        second=second.describe(),
        n_rows=len(rows),
        n_parts=len(set(rows.parts) - {""}) + sum(not part for part in rows.parts),
        n_fitted=asked.n_fitted,
        n_known=asked.n_known,
        n_refused=asked.n_refused,
        pass_labels=index.pass_labels,
        is_labelled=is_labelled,
        figures=(
            error_figures(answers[0], answers[1], rows, index.pass_labels)
            if is_labelled
            else decision_shares(answers[0], answers[1], rows.parts)
        ),
        decisions=dict(
            Counter(f"{one.decision}→{other.decision}" for one, other in zip(*answers, strict=True)).most_common()
        ),
        flips=tuple(sorted(_flips(answers, rows, index.pass_labels, is_labelled=is_labelled), key=weight_of)),
    )


def _answers(side: Side, records: Records) -> list[Answer]:
    """Return what a side says of each row; references of the row's own part do not count."""
    answers: list[Answer | None] = [None] * len(records)
    strangers = [row for row, part in enumerate(records.parts) if not side.knows(part)]
    groups: dict[str, list[int]] = {}
    for row, part in enumerate(records.parts):
        if side.knows(part):
            groups.setdefault(part, []).append(row)
    for start in range(0, len(strangers), BATCH):
        _ask(side.index, records, strangers[start : start + BATCH], answers)
    for part, own in groups.items():
        _ask(side.without(part), records, own, answers)
    return [one for one in answers if one is not None]


def _ask(index: InspectionIndex, records: Records, rows: list[int], answers: list[Answer | None]) -> None:
    templates = None if records.templates is None else records.templates[rows]
    verdicts = index.classify(records.vectors[rows], templates=templates, n_neighbours=1)
    for place, row in enumerate(rows):
        answers[row] = _answer(verdicts, place)


def _answer(verdicts: VerdictBatch, row: int) -> Answer:
    nearest, rejects = verdicts.neighbours, verdicts.reject_probabilities
    return Answer(
        label=int(verdicts.labels[row]),
        failure_mode=verdicts.failure_modes[row],
        decision=Decision(int(verdicts.decisions[row])).name,
        probability=float(verdicts.probabilities[row]),
        reject_probability=None if rejects is None else float(rejects[row]),
        novelty=float(verdicts.novelty[row]),
        reference_id=nearest.ids[row][0],
        reference_label=int(nearest.labels[row, 0]),
        distance=float(nearest.distances[row, 0]),
        match_distance=float(nearest.match_distances[row, 0]),
    )


def _flips(
    answers: Sequence[Sequence[Answer]], records: Records, pass_labels: Sequence[int], *, is_labelled: bool
) -> list[Flip]:
    passing = frozenset(pass_labels)
    flips = []
    for row, (one, other) in enumerate(zip(*answers, strict=True)):
        kind, truth = kind_of(one, other), int(records.labels[row])
        if kind:
            flips.append(
                Flip(
                    row=row,
                    id=records.ids[row],
                    part=records.parts[row],
                    true_label=truth if is_labelled else None,
                    true_failure_mode=records.failure_modes[row] if is_labelled else "",
                    kind=kind,
                    effect=effect_of(truth, one, other, passing) if is_labelled and passing else "",
                    first=one,
                    second=other,
                )
            )
    return flips
