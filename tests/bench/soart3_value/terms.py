"""One more term in the logit of *reject*: what the escapes at a matched share of overkills make of it.

The logit of the product weighs the two votes and the class anchors. Beside it stand the plain distance to class means
in the pooled features before the last layer, and the residuals of the map against class-mean maps, aligned within two
cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from bench.soart3_value.pooled import PooledFeatures
from bench.soart3_value.resampled import escapes_at, interval_of, row_weights
from bench.soart3_value.residuals import residual_features
from bench.soart3_value.rows import told
from bench.soart3_value.votes import N_CANDIDATES, benches, weighed
from miwake.indexer.records import is_pass
from miwake.indexer.soart3.kernel import measures_all
from miwake.indexer.verdict.calibration import RerankSettings
from miwake.indexer.verdict.convex import fit_logistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bench.soart3_value.rows import Rows, Side

    Columns = NDArray[np.float64]

OVERKILLS = (0.02, 0.05, 0.1)
RIDGE = 1e-2
"""On standardised columns: calibration parts are few, and some of the columns say nearly the same."""

N_FOLDS = 5


def term_table(runs: Sequence[Rows]) -> Table:
    """Return escapes at matched overkills with each term, means over embedders, beside those without."""
    table = Table(
        "rows", "terms", title="Escapes by the logit of reject, and the difference to the product's in points"
    )
    for share in OVERKILLS:
        table.add_column(f"at {share:.0%} overkill")
    columns = [_columns(rows) for rows in runs]
    for where in ("calibration", "held out"):
        side = runs[0].calibration if where == "calibration" else runs[0].held_out
        weights = np.vstack([np.ones(len(side.labels)), row_weights(side.parts)])
        first: dict[float, NDArray[np.float64]] = {}
        for name in columns[0]:
            scores = [_scores(rows, found[name], where) for rows, found in zip(runs, columns, strict=True)]
            cells = []
            for share in OVERKILLS:
                is_reject = ~is_pass(side.labels, side.records.pass_labels)
                draws = np.mean([escapes_at(one, is_reject, share, weights) for one in scores], axis=0)
                value = f"{100 * draws[0]:.2f} %"
                known = first.setdefault(share, draws)
                cells.append(value if known is draws else f"{value}\n{told(interval_of(draws - known))}")
            table.add_row(where, name, *cells)
    return table


def _scores(rows: Rows, columns: tuple[Columns, Columns], where: str) -> NDArray[np.float64]:
    """Return the log odds of *reject* of the calibration rows, cross-fitted, or of the held-out ones."""
    fitted, asked = columns
    side = rows.calibration
    is_reject = ~is_pass(side.labels, side.records.pass_labels)
    return _cross_fitted(fitted, is_reject, side.parts) if where == "calibration" else _logit(fitted, is_reject, asked)


def _columns(rows: Rows) -> dict[str, tuple[Columns, Columns]]:
    """Return the columns (Q, k) of the calibration rows and of the held-out ones, by what they are made of."""
    sides = (rows.calibration, rows.held_out)
    base = [one.features.sides for one in weighed(*benches(rows), RerankSettings(n_candidates=N_CANDIDATES))]
    pooled = [_pooled_terms(rows, side) for side in sides]
    residuals = [residual_features(rows, side) for side in sides]
    added: dict[str, list[Columns]] = {
        "product": [one[:, :0] for one in base],
        "+ pooled: pass less reject mean": [one[:, :1] for one in pooled],
        "+ pooled: pass mean": [one[:, 1:] for one in pooled],
        "+ residuals to the pass mean": [one.to_pass for one in residuals],
        "+ residuals, pass less reject mean": [one.by_side for one in residuals],
        "+ pooled and residuals": [np.hstack([one, two.to_pass]) for one, two in zip(pooled, residuals, strict=True)],
    }
    return {name: (np.hstack([base[0], one]), np.hstack([base[1], two])) for name, (one, two) in added.items()}


def _pooled_terms(rows: Rows, side: Side) -> Columns:
    """Return the distance to the nearest pass mean in pooled features less that to the nearest reject mean, (Q, 2).

    The second column is the distance to the nearest pass mean alone.
    """
    pooled = PooledFeatures(rows.folder)
    means = rows.means(pooled.of(rows.fit.records.vectors))
    distances = measures_all(pooled.of(side.records.vectors), means).distance
    to_pass, to_reject = (distances[:, some].min(axis=1) for some in (rows.classes.passes, ~rows.classes.passes))
    return np.column_stack([to_pass - to_reject, to_pass]).astype(np.float64)


def _logit(fitted: Columns, is_reject: NDArray[np.bool_], asked: Columns) -> NDArray[np.float64]:
    """Return the log odds of *reject* (Q,) of rows asked, by a logistic fit on others."""
    centre, spread = fitted.mean(axis=0), np.maximum(fitted.std(axis=0), 1e-9)
    start = np.zeros(fitted.shape[1] + 1)
    weights = fit_logistic(((fitted - centre) / spread).T, is_reject, start, np.full(len(start), -np.inf), ridge=RIDGE)
    return np.asarray((asked - centre) / spread @ weights[:-1] + weights[-1])


def _cross_fitted(columns: Columns, is_reject: NDArray[np.bool_], parts: NDArray[np.intp]) -> NDArray[np.float64]:
    folds = np.random.default_rng(0).permutation(int(parts.max()) + 1)[parts] % N_FOLDS
    scores = np.empty(len(parts))
    for fold in range(N_FOLDS):
        out = folds == fold
        scores[out] = _logit(columns[~out], is_reject[~out], columns[out])
    return scores
