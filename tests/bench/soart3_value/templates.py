"""Residuals against the template of the very place as terms of the logit of *reject*: which of them are needed.

The product's own model, with some of its terms alone, on the rows that bring a template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from bench.soart3_value.resampled import escapes_at, interval_of, row_weights
from bench.soart3_value.rows import told
from bench.soart3_value.votes import N_CANDIDATES, benches, weighed
from miwake.indexer.records import is_pass
from miwake.indexer.residuals.against import against_templates
from miwake.indexer.verdict.calibration import RerankSettings
from miwake.indexer.verdict.residual_terms import TERMS, fit_residual_model, terms_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bench.soart3_value.rows import Rows, Side

    Columns = NDArray[np.float64]

OVERKILLS = (0.02, 0.05)
N_FOLDS = 5
SOART3 = ("scale", "eta", "gamma")
SUBSETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "all nine": TERMS,
    "beta, eta, gamma": SOART3,
    "all but beta, eta, gamma": tuple(one for one in TERMS if one not in SOART3),
    "L2, L6, largest": ("l2", "l6", "largest"),
    "L2, L6, largest, standardised": ("standardised_l2", "standardised_l6", "standardised_largest"),
    "the two largest": ("largest", "standardised_largest"),
}


def template_table(runs: Sequence[Rows]) -> Table:
    """Return escapes at matched overkills with some terms each, of the first embedder, beside those without."""
    table = Table("terms", title="Escapes by the logit of reject, and the difference to the one without, in points")
    for where in ("calibration, cross-fitted", "held out"):
        for share in OVERKILLS:
            table.add_column(f"{where}, at {share:.0%} overkill")
    rows = runs[0]
    fitted, asked = (_Known(side, one) for side, one in zip(_sides(rows), _features(rows), strict=True))
    first: list[NDArray[np.float64]] = []
    for name, subset in SUBSETS.items():
        scores = (fitted.cross_fitted(subset), asked.scored(fitted.all, subset))
        draws = [
            escapes_at(one, known.is_reject, share, np.vstack([np.ones(len(known.parts)), row_weights(known.parts)]))
            for known, one in zip((fitted, asked), scores, strict=True)
            for share in OVERKILLS
        ]
        first = first or draws
        cells = [
            f"{100 * one[0]:.2f} %" + ("" if name == "none" else f"\n{told(interval_of(one - base))}")
            for one, base in zip(draws, first, strict=True)
        ]
        table.add_row(name, *cells)
    return table


def _sides(rows: Rows) -> tuple[Side, Side]:
    return rows.calibration, rows.held_out


def _features(rows: Rows) -> list[tuple[Columns, Columns, NDArray[np.bool_]]]:
    """Return the sides and the terms of the calibration rows and of the held-out ones, and which have a template."""
    base = weighed(*benches(rows), RerankSettings(n_candidates=N_CANDIDATES))
    found = []
    for side, one in zip(_sides(rows), base, strict=True):
        records = side.records
        if records.templates is None:
            message = f"{records.source}: no templates"
            raise ValueError(message)
        shape = records.heat_map_shape
        terms = terms_of(against_templates(records.vectors, records.templates, shape, rows.value_range))
        found.append((one.features.sides, terms.values, terms.is_there))
    return found


class _Known:
    """The rows of a side that have a template."""

    def __init__(self, side: Side, features: tuple[Columns, Columns, NDArray[np.bool_]]) -> None:
        sides, terms, is_there = features
        self._sides, self._terms = sides[is_there], terms[is_there]
        self.is_reject = ~is_pass(side.labels, side.records.pass_labels)[is_there]
        self.parts = np.unique(side.parts[is_there], return_inverse=True)[1]

    @property
    def all(self) -> tuple[Columns, Columns, NDArray[np.bool_]]:
        return self._sides, self._terms, self.is_reject

    def scored(
        self, fitted: tuple[Columns, Columns, NDArray[np.bool_]], subset: tuple[str, ...]
    ) -> NDArray[np.float64]:
        """Return the probabilities of *reject* by a model with some terms that is fitted on other rows."""
        kept = np.isin(TERMS, subset)
        sides, terms, is_reject = fitted
        return fit_residual_model(sides, terms * kept, is_reject).reject_probabilities(self._sides, self._terms * kept)

    def cross_fitted(self, subset: tuple[str, ...]) -> NDArray[np.float64]:
        folds = np.random.default_rng(0).permutation(int(self.parts.max()) + 1)[self.parts] % N_FOLDS
        scores = np.empty(len(folds))
        for fold in range(N_FOLDS):
            seen = folds != fold
            fitted = (self._sides[seen], self._terms[seen], self.is_reject[seen])
            scores[~seen] = self.scored(fitted, subset)[~seen]
        return scores
