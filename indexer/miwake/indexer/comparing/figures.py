"""How right two sides are about the same rows, and by how much that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import Decision
from miwake.indexer.comparing.paired import Difference, difference
from miwake.indexer.evaluation import Rate, rate
from miwake.indexer.records import is_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.comparing.flips import Answer
    from miwake.indexer.records import Records


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


def error_figures(
    first: Sequence[Answer], second: Sequence[Answer], records: Records, pass_labels: Sequence[int]
) -> tuple[Measured, ...]:
    """Return accuracy, escape and overkill by label, and the errors by decision; see ``Comparison``."""
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


def decision_shares(first: Sequence[Answer], second: Sequence[Answer], parts: Sequence[str]) -> tuple[Measured, ...]:
    """Return how often each decision was made, which is all there is to say of rows without labels."""
    decisions = [np.array([one.decision for one in side]) for side in (first, second)]
    return tuple(
        _measured(f"decided {one.name}", decisions[0] == one.name, decisions[1] == one.name, parts) for one in Decision
    )
