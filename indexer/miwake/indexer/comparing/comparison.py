"""Asking two sides about the same vectors, honestly: neither about what its embedder was fitted on, nor itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.answers import Decision
from miwake.indexer.comparing.flips import Answer, Flip, effect_of, kind_of, weight_of
from miwake.indexer.comparing.paired import Difference, difference
from miwake.indexer.errors import DataError
from miwake.indexer.evaluation import Rate, rate
from miwake.indexer.records import is_pass, vector_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.answers import VerdictBatch
    from miwake.indexer.comparing.sides import Side, SideDescription
    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.records import Records

BATCH = 256
"""Vectors asked about at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One figure of both sides, on the same rows.

    Attributes
    ----------
    name : text
    first, second : Rate
        With their intervals over parts.
    change : Difference
        Second minus first, paired.
    """

    name: str
    first: Rate
    second: Rate
    change: Difference


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The rows that both sides can be asked about honestly, and how many cannot.

    Attributes
    ----------
    records : Records
    n_fitted, n_known, n_refused : int
        See ``Comparison``.
    """

    records: Records
    n_fitted: int
    n_known: int
    n_refused: int


def honest_rows(records: Records, sides: Sequence[Side]) -> Asked:
    """Return the rows that no side has learnt from by heart.

    Rows of parts that are references too stay: their own part is kept from answering for them.

    Raises
    ------
    DataError
        If no row is left.
    """
    hashes = records.row_hashes()
    fitted = {one for side in sides for one in side.index.contents.embedder.card.fit_row_hashes}
    is_fitted = np.array([one in fitted for one in hashes], dtype=np.bool_)
    fitted_parts = {part for part, is_one in zip(records.parts, is_fitted, strict=True) if is_one and part}
    fitted_parts.update(*(side.fitted_parts() for side in sides))
    is_fitted |= np.array([part in fitted_parts for part in records.parts], dtype=np.bool_)
    has_no_part = np.array([not part for part in records.parts], dtype=np.bool_)
    is_known = np.zeros(len(records), dtype=np.bool_)
    if has_no_part.any():
        known = frozenset[bytes]().union(*(side.vector_hashes() for side in sides))
        is_known = has_no_part & np.array([vector_hash(one) in known for one in records.vectors], dtype=np.bool_)
    is_refused = np.zeros(len(records), dtype=np.bool_)
    for side in sides:
        is_refused |= side.index.scale.refusals(records.vectors) != 0
    keep = ~(is_fitted | is_known | is_refused)
    if not keep.any():
        message = (
            f"{records.source}: none of {len(records)} rows can be asked about: {int(is_fitted.sum())} of parts that "
            f"an embedder was fitted on, {int(is_known.sum())} that are references and name no part, "
            f"{int(is_refused.sum())} that cannot be judged; --replay takes held-out parts"
        )
        raise DataError(message)
    return Asked(
        records=records.take(keep),
        n_fitted=int(is_fitted.sum()),
        n_known=int((is_known & ~is_fitted).sum()),
        n_refused=int((is_refused & ~is_known & ~is_fitted).sum()),
    )


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
            _figures(answers[0], answers[1], rows, index.pass_labels)
            if is_labelled
            else _decision_shares(answers[0], answers[1], rows.parts)
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
    verdicts = index.classify(records.vectors[rows], n_neighbours=1)
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


def _figures(
    first: Sequence[Answer], second: Sequence[Answer], records: Records, pass_labels: Sequence[int]
) -> tuple[Measured, ...]:
    labels = [np.array([one.label for one in side], dtype=np.int32) for side in (first, second)]
    figures = [_measured("accuracy", labels[0] == records.labels, labels[1] == records.labels, records.parts)]
    if not pass_labels:
        return tuple(figures)
    passes = is_pass(records.labels, pass_labels)
    decisions = [np.array([one.decision for one in side]) for side in (first, second)]
    for name, among, wrong in (
        ("escape", ~passes, [is_pass(found, pass_labels) for found in labels]),
        ("overkill", passes, [~is_pass(found, pass_labels) for found in labels]),
        ("rejects decided PASS", ~passes, [found == Decision.PASS.name for found in decisions]),
        ("passes decided REJECT", passes, [found == Decision.REJECT.name for found in decisions]),
        ("REVIEW or UNKNOWN", np.ones_like(passes), [np.isin(found, ("REVIEW", "UNKNOWN")) for found in decisions]),
    ):
        if among.any():
            parts = [part for part, is_in in zip(records.parts, among, strict=True) if is_in]
            figures.append(_measured(name, wrong[0][among], wrong[1][among], parts))
    return tuple(figures)


def _measured(name: str, first: NDArray[np.bool_], second: NDArray[np.bool_], parts: Sequence[str]) -> Measured:
    return Measured(
        name=name,
        first=rate(first, parts=parts),
        second=rate(second, parts=parts),
        change=difference(first, second, parts=parts),
    )


def _decision_shares(first: Sequence[Answer], second: Sequence[Answer], parts: Sequence[str]) -> tuple[Measured, ...]:
    decisions = [np.array([one.decision for one in side]) for side in (first, second)]
    return tuple(
        _measured(f"decided {one.name}", decisions[0] == one.name, decisions[1] == one.name, parts) for one in Decision
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
