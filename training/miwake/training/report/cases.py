"""The worst answers: rejects that pass most surely, passes that are rejected most surely."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.records import is_pass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.assessing.answering import Answer
    from miwake.training.evaluate import Examination

N_WORST = 8
"""Cases of each kind that are shown."""


class Kind(StrEnum):
    """What is wrong with an answer."""

    ESCAPE = "escape"
    OVERKILL = "overkill"
    WRONG = "wrong label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One wrong answer.

    Attributes
    ----------
    kind : Kind
    row : int
        Among the queries.
    found : int
        The label that was answered.
    probability : float or None
        Of that label, as far as the way to it tells one.
    reject_probability : float or None
        None without pass labels, or where nothing is calibrated.
    reference_row : int
        Among the references: the nearest that is of another part; -1 where there is none.
    """

    kind: Kind
    row: int
    found: int
    probability: float | None
    reject_probability: float | None
    reference_row: int


@dataclass(frozen=True, slots=True)
class WorstCases:
    """The worst cases of each kind, worst first, and how many there are in all."""

    cases: dict[Kind, tuple[Case, ...]]
    n_all: dict[Kind, int]


def worst_cases(
    examined: Examination, answer: Answer, rejects: NDArray[np.float64] | None, *, n_worst: int = N_WORST
) -> WorstCases:
    """Return the worst answers of one way to a label.

    Escapes and overkills by the probability of a reject, where it is known, else by that of the answer, which also
    ranks the wrong labels that stand for both where there are no pass labels.

    Parameters
    ----------
    rejects : (Q,) float64, or None
        The probability that each query is a reject.
    """
    truth, pass_labels = examined.queries.labels, examined.queries.pass_labels
    sureness = np.zeros(len(truth)) if answer.probabilities is None else answer.probabilities.astype(np.float64)
    if pass_labels:
        passes, passed = is_pass(truth, pass_labels), is_pass(answer.labels, pass_labels)
        kinds = {
            Kind.ESCAPE: (~passes & passed, sureness if rejects is None else -rejects),
            Kind.OVERKILL: (passes & ~passed, sureness if rejects is None else rejects),
        }
    else:
        kinds = {Kind.WRONG: (answer.labels != truth, sureness)}
    chosen = {kind: _first(is_wrong, worseness, n_worst) for kind, (is_wrong, worseness) in kinds.items()}
    trial = examined.trial
    nearest = trial.nearest(np.arange(len(trial.references.labels)), 1)[:, 0]

    def case(kind: Kind, row: int) -> Case:
        return Case(
            kind=kind,
            row=row,
            found=int(answer.labels[row]),
            probability=None if answer.probabilities is None else float(answer.probabilities[row]),
            reject_probability=None if rejects is None else float(rejects[row]),
            reference_row=int(nearest[row]),
        )

    return WorstCases(
        {kind: tuple(case(kind, row) for row in rows) for kind, rows in chosen.items()},
        {kind: int(is_wrong.sum()) for kind, (is_wrong, _) in kinds.items()},
    )


def _first(is_wrong: NDArray[np.bool_], worseness: NDArray[np.float64], n_worst: int) -> list[int]:
    rows = np.flatnonzero(is_wrong)
    found: list[int] = rows[np.argsort(-worseness[rows], kind="stable")][:n_worst].tolist()
    return found
