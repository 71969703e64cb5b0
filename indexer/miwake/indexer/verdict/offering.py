"""Offering the residuals against reference maps to a calibration, which takes them only where they cut escapes.

They are compared where 5 % of the passes are called rejects, by probabilities of *reject* that have not seen the part,
with the terms and without. The share of escapes must fall with an interval over parts that excludes 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from miwake.indexer.residuals.against import against_means, against_templates
from miwake.indexer.verdict.calibration import ResidualCalibration
from miwake.indexer.verdict.cross_fitting import CrossFitted, cross_fit_terms, labels_by
from miwake.indexer.verdict.matched import compare_matched
from miwake.indexer.verdict.reference_maps import LEAST_ROWS, OfferedMap, ReferenceMapChoice
from miwake.indexer.verdict.residual_terms import ResidualTerms, fit_residual_model, label_cut, terms_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.indexer.anchors import Anchors
    from miwake.indexer.answers import LabelMethod, ResidualBatch
    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.calibration import VoteSettings
    from miwake.indexer.verdict.measuring import Bench, Sample
    from miwake.indexer.verdict.probability import Features

MATCHED_OVERKILL = 0.05
"""Where escapes are compared: few passes are enough to set the threshold, and a line can live with it."""

Templates = Callable[[NDArray[np.intp]], NDArray[np.float32]]
"""Returns the templates (n, V) float32 of n rows of the sample; rows of NaN where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedMaps:
    """What maps the rows of a sample may be compared with.

    Attributes
    ----------
    choice : text
    shape : (rows, columns)
        Of the maps.
    pass_means : (R, V) float32
        The mean inspection vector of each pass class, without calibration rows.
    templates : callable, optional
        None where no row brings one.
    """

    choice: ReferenceMapChoice
    shape: tuple[int, int]
    pass_means: NDArray[np.float32]
    templates: Templates | None = None

    @classmethod
    def of(
        cls,
        choice: ReferenceMapChoice,
        shape: tuple[int, int],
        anchors: Anchors,
        pass_labels: Sequence[int],
        templates: Templates | None,
    ) -> OfferedMaps:
        """Return what may be compared with where the pass classes have these anchors."""
        return cls(choice=choice, shape=shape, pass_means=anchors.pass_means(pass_labels), templates=templates)

    def residuals(self, sample: Sample, rows: NDArray[np.intp], reference_map: OfferedMap) -> ResidualBatch:
        """Return how some rows of the sample differ from their maps of one kind."""
        vectors, scale = sample.vectors[rows], sample.value_range
        if reference_map == "class-mean":
            return against_means(vectors, self.pass_means, self.shape, scale)
        templates = np.full_like(vectors, np.nan) if self.templates is None else self.templates(rows)
        return against_templates(vectors, templates, self.shape, scale)

    def choose(self, bench: Bench) -> tuple[OfferedMap, ResidualTerms] | None:
        """Return what map is offered and the terms of the bench's queries; None where there is nothing to offer."""
        kinds: tuple[OfferedMap, ...] = ("template", "class-mean")
        for kind in kinds:
            if self.choice in ("auto", kind) and not (kind == "template" and self.templates is None):
                terms = terms_of(self.residuals(bench.sample, bench.rows, kind))
                if _are_enough(bench, terms):
                    return kind, terms
        return None


@dataclass(frozen=True, slots=True)
class Offer:
    """What became of the offer.

    Attributes
    ----------
    calibration : ResidualCalibration or None
        None where nothing could be offered.
    crossed : CrossFitted
        What is answered, with the terms where they were taken.
    answered : (Q,)
        Class columns.
    """

    calibration: ResidualCalibration | None
    crossed: CrossFitted
    answered: NDArray[np.intp]


def offer_residuals(
    bench: Bench,
    candidates: Candidates,
    vote: VoteSettings,
    fitted: CrossFitted,
    method: LabelMethod,
    features: Features,
    parts: NDArray[np.intp],
    *,
    seed: int,
) -> Offer:
    """Offer the residuals of a bench's queries to their calibration.

    Parameters
    ----------
    bench : Bench
        Its sample holds the maps that are offered, if any.
    fitted : CrossFitted
        Without the terms.
    method : LabelMethod
        That answers.
    features : Features
        Of the queries, by the mix of all of them.
    parts : (Q,)
        A number for each part.
    """
    maps, without = bench.sample.maps, labels_by(bench, fitted, method)
    chosen = None if maps is None or not bench.classes.has_sides else maps.choose(bench)
    if chosen is None:
        return Offer(None, fitted, without)
    kind, terms = chosen
    crossed = cross_fit_terms(bench, candidates, vote, fitted, terms)
    known, is_pass = np.flatnonzero(terms.is_there), bench.classes.passes[bench.truth]
    escapes = compare_matched(
        fitted.rejects[known],
        crossed.rejects[known],
        ~is_pass[known],
        parts[known],
        overkill_rate=MATCHED_OVERKILL,
        seed=seed,
    )
    told = ResidualCalibration(
        reference_map=kind,
        n_rows=len(known),
        n_parts=len(np.unique(parts[known])),
        n_rejects=int((~is_pass[known]).sum()),
        escapes=escapes,
    )
    if not escapes.is_beyond_chance:
        return Offer(told, fitted, without)
    model = fit_residual_model(features.sides[known], terms.values[known], ~is_pass[known])
    passed = bench.classes.passes[without[known]]
    cut = label_cut(
        crossed.rejects[known],
        is_pass[known],
        n_overkills=int((is_pass[known] & ~passed).sum()),
        n_escapes=int((~is_pass[known] & passed).sum()),
    )
    model = replace(model, label_reject_at_least=cut)
    return Offer(replace(told, model=model), crossed, labels_by(bench, crossed, method, model, terms))


def _are_enough(bench: Bench, terms: ResidualTerms) -> bool:
    """Return whether every fold leaves enough rejects and passes with a map to fit on."""
    is_reject = ~bench.classes.passes[bench.truth]
    return all(
        (terms.is_there & (is_reject == side) & (bench.folds != fold)).sum() >= LEAST_ROWS
        for fold in np.unique(bench.folds)
        for side in (False, True)
    )
