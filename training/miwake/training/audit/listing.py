"""From what was found to a list of suspects, each with its reason in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.scale import FLATNESS
from miwake.training.audit.judging import MISLABELLED
from miwake.training.audit.neighbours import OUTLYING, nearest_of_label, outlyingness
from miwake.training.audit.suspects import Kind, Suspect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.records import Records
    from miwake.training.audit.judging import Judgement


def doubtful_labels(
    records: Records, judgement: Judgement, folds: NDArray[np.intp], left_out: NDArray[np.bool_]
) -> list[Suspect]:
    """Return the records whose label the other parts doubt, the most doubtful first; not those ``left_out``."""
    rows = np.flatnonzero((judgement.doubts >= MISLABELLED) & ~left_out)
    found = []
    for row in rows[np.argsort(-judgement.doubts[rows], kind="stable")].tolist():
        label = int(judgement.looks_like[row])
        doubt = float(judgement.doubts[row])
        other = nearest_of_label(judgement.points, folds, records.labels, row, label)
        what = f"looks like label {label}, at odds of {_odds(doubt)}"
        found.append(_suspect(records, row, Kind.MISLABELLED, what, doubt, other, label))
    return found


def repeated(
    records: Records,
    equal: Iterable[Sequence[int]],
    pairs: NDArray[np.intp],
    differences: NDArray[np.float64],
) -> tuple[list[Suspect], int]:
    """Return contradictions, twins, duplicates and near-duplicates, and how many near pairs within parts are not.

    A record is listed once, for the worst that its repeats say of it.
    """
    found: dict[int, Suspect] = {}
    for rows in equal:
        for row in rows:
            one = _equal(records, row, rows)
            if one is not None:
                found[row] = one
    for one in _parts_across(records):
        found.setdefault(one.row, one)
    n_within = 0
    for place in np.argsort(differences, kind="stable").tolist():
        first, second = pairs[place].tolist()
        one = _near(records, first, second, float(differences[place]))
        if one is None:
            n_within += 1
        elif one.row not in found:
            found[one.row] = one
    return list(found.values()), n_within


def outlying(records: Records, judgement: Judgement) -> list[Suspect]:
    """Return the records that are far from every record of the other parts."""
    far = outlyingness(judgement.distances)
    return [
        _suspect(
            records,
            row,
            Kind.OUTLYING,
            f"its 5 nearest records are far away: {far[row]:.1f} robust deviations above the usual",
            float(far[row]),
            int(judgement.nearest[row, 0]),
        )
        for row in np.flatnonzero(far > OUTLYING).tolist()
    ]


def unusable(records: Records, problems: Mapping[int, str]) -> list[Suspect]:
    """Return the rows that a reader refuses: dead, constant, and all others."""
    return [_suspect(records, row, _empty_kind(records, row), what) for row, what in sorted(problems.items())]


def _odds(share: float) -> str:
    """Return odds in words; nobody knows them beyond a thousand to one."""
    odds = share / max(1 - share, 1e-9)
    return "over 1,000 to 1" if odds > 1000 else f"{odds:.0f} to 1"


def _empty_kind(records: Records, row: int) -> Kind:
    vector = records.vectors[row]
    if not np.isfinite(vector).all():
        return Kind.UNUSABLE
    if not vector.any():
        return Kind.DEAD
    spread = float(vector.max()) - float(vector.min())
    width = 0.0 if records.value_range is None else records.value_range[1] - records.value_range[0]
    return Kind.CONSTANT if spread <= FLATNESS * width else Kind.UNUSABLE


def _equal(records: Records, row: int, rows: Sequence[int]) -> Suspect | None:
    contrary = [other for other in rows if records.labels[other] != records.labels[row]]
    if contrary:
        label = int(records.labels[contrary[0]])
        what = f"the same vector has label {label} in {records.ids[contrary[0]]}"
        return _suspect(records, row, Kind.CONTRADICTION, what, other=contrary[0], looks_like=label)
    across = [other for other in rows if _is_across(records, row, other)]
    if across:
        what = f"the same vector is in training as {records.ids[across[0]]}"
        return _suspect(records, row, Kind.TWIN, what, other=across[0])
    first = next(other for other in rows if records.splits[other] == records.splits[row])
    if row == first:
        return None
    return _suspect(records, row, Kind.DUPLICATE, f"the same vector is there as {records.ids[first]}", other=first)


def _near(records: Records, first: int, second: int, difference: float) -> Suspect | None:
    across = _is_across(records, first, second) or _is_across(records, second, first)
    row, other = (first, second) if across and records.splits[first] == "test" else (second, first)
    share, told = 1.0 - difference, f"differs by {difference:.1%} of its length from"
    label = int(records.labels[other])
    contrary = label if records.labels[row] != label else None
    but = "" if contrary is None else f", which has label {label}"
    if across:
        what = f"{told} {records.ids[other]} in training{but}"
        return _suspect(records, row, Kind.TWIN, what, share, other, looks_like=contrary)
    if contrary is None and records.parts[row] and records.parts[row] == records.parts[other]:
        return None
    what = f"{told} {records.ids[other]}{but}"
    return _suspect(records, row, Kind.NEAR_DUPLICATE, what, share, other, looks_like=contrary)


def _parts_across(records: Records) -> list[Suspect]:
    """Return the held-out records of parts that training has, too."""
    first: dict[str, int] = {}
    for row, (part, split) in enumerate(zip(records.parts, records.splits, strict=True)):
        if part and split == "train":
            first.setdefault(part, row)
    return [
        _suspect(records, row, Kind.TWIN, f"its part is in training as {records.ids[first[part]]}", other=first[part])
        for row, (part, split) in enumerate(zip(records.parts, records.splits, strict=True))
        if split == "test" and part in first
    ]


def _is_across(records: Records, row: int, other: int) -> bool:
    return records.splits[row] == "test" and records.splits[other] == "train"


def _suspect(
    records: Records,
    row: int,
    kind: Kind,
    what: str,
    score: float = 1.0,
    other: int | None = None,
    looks_like: int | None = None,
) -> Suspect:
    return Suspect(
        kind=kind,
        row=row,
        id=records.ids[row],
        part=records.parts[row],
        split=records.splits[row],
        failure_mode=records.failure_modes[row],
        label=int(records.labels[row]),
        what=what,
        score=score,
        other="" if other is None else records.ids[other],
        other_row=other,
        looks_like=looks_like,
    )
