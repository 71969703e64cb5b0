"""Noticing a class that the references do not have: by distance, and by what SOART3 says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from bench.soart3_value.resampled import auroc, interval_of, row_weights
from bench.soart3_value.rows import told
from miwake.indexer.search.exact import find_exactly
from miwake.indexer.soart3.kernel import measures_by_id
from miwake.indexer.verdict.match import fit_mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bench.soart3_value.rows import Rows, Side
    from miwake.indexer.soart3.kernel import MeasuresF32

N_CANDIDATES, N_NOVELTY = 100, 5
FEWEST_ROWS = 10
"""Held-out rows of a class, fewer of which say nothing."""


def novelty_table(runs: Sequence[Rows]) -> Table:
    """Return the AUROC of each score, a mean over embedders and over the reject classes left out in turn."""
    side = runs[0].held_out
    labels = runs[0].classes.labels[~runs[0].classes.passes].tolist()
    left_out = [label for label in labels if (side.labels == label).sum() >= FEWEST_ROWS]
    found = [(_scores(rows, label), side.labels == label) for rows in runs for label in left_out]
    weights = np.vstack([np.ones(len(side.labels)), row_weights(side.parts)])
    table = Table("novelty", "AUROC", "difference in points", title=f"Left out: {', '.join(map(str, left_out))}")
    first: NDArray[np.float64] | None = None
    for name in found[0][0]:
        draws = np.mean([auroc(scores[name], novel, weights) for scores, novel in found], axis=0)
        if first is None:
            first = draws
            table.add_row(name, f"{draws[0]:.4f}", "")
        else:
            table.add_row(name, f"{draws[0]:.4f}", told(interval_of(draws - first)))
    return table


def _scores(rows: Rows, label: int) -> dict[str, NDArray[np.float64]]:
    """Return the novelty (Q,) of the held-out rows by name, the references without one class."""
    references = np.flatnonzero(rows.fit.labels != label)
    seen = rows.calibration.labels != label
    positions, fitted = _measured(rows.calibration, rows.fit, references)
    _, asked = _measured(rows.held_out, rows.fit, references)
    same = rows.fit.labels[positions] == rows.calibration.labels[:, None]
    beta, eta, gamma = (one[seen].ravel() for one in (fitted.beta, fitted.eta, fitted.gamma))
    mix = fit_mix(beta, eta, gamma, same[seen].ravel())
    match = mix.scores(asked.beta, asked.eta, asked.gamma)
    nearest = np.argsort(match, axis=1)[:, :N_NOVELTY]
    return {
        "distance to the 5 nearest": _least(asked.distance),
        "match score of the 5 best": np.take_along_axis(match, nearest, axis=1).mean(axis=1),
        "eta of the 5 least": _least(asked.eta),
        "gamma of the 5 nearest": asked.gamma[:, :N_NOVELTY].mean(axis=1).astype(np.float64),
        "|beta - 1| of the 5 nearest": np.abs(asked.beta[:, :N_NOVELTY] - 1.0).mean(axis=1).astype(np.float64),
    }


def _measured(side: Side, known: Side, references: NDArray[np.intp]) -> tuple[NDArray[np.int64], MeasuresF32]:
    """Return the positions (Q, M) of the nearest references, nearest first, and their measures."""
    positions = find_exactly(side.embeddings, known.embeddings, references, N_CANDIDATES)
    return positions, measures_by_id(side.embeddings, known.embeddings, positions)


def _least(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.partition(values, N_NOVELTY - 1, axis=1)[:, :N_NOVELTY].mean(axis=1, dtype=np.float64))
