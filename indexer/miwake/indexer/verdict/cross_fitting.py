"""Cross-fitting: what each calibration row is answered by a mix and probabilities that have not seen its part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from miwake.indexer.answers import LabelMethod
from miwake.indexer.errors import CalibrationError
from miwake.indexer.verdict.choosing_rows import N_FOLDS
from miwake.indexer.verdict.probability import fit_probabilities
from miwake.indexer.verdict.residual_terms import fit_residual_model, on_their_side, reject_probabilities
from miwake.indexer.verdict.scores import CalibrationScores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.calibration import VoteSettings
    from miwake.indexer.verdict.choosing_rows import Rows
    from miwake.indexer.verdict.match import MatchMix
    from miwake.indexer.verdict.measuring import Bench, MeasuredPairs
    from miwake.indexer.verdict.probability import Features, ProbabilityModel
    from miwake.indexer.verdict.residual_terms import ResidualModel, ResidualTerms

N_NOVELTY = 5
"""Nearest references whose mean distance is the novelty."""


class FoldFit(NamedTuple):
    """What was fitted without the parts of one fold; ``residuals`` where terms are weighed."""

    mix: MatchMix
    probability: ProbabilityModel
    residuals: ResidualModel | None = None


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """What each query is answered by fits that have not seen its part.

    Attributes
    ----------
    found : (Q, 3)
        Method columns.
    probabilities : (Q, C) float64
    rejects : (Q,) float64
        Reject probabilities; zeros where all classes are on one side.
    fits : tuple of FoldFit
        One a fold.
    """

    found: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    rejects: NDArray[np.float64]
    fits: tuple[FoldFit, ...]


def cross_fit_labels(bench: Bench, measured: MeasuredPairs, vote: VoteSettings) -> NDArray[np.intp]:
    """Return method columns (Q, 3), each row by a mix that has not seen its part."""
    found = np.empty((len(bench.truth), len(LabelMethod)), dtype=np.intp)
    for held_out, seen in _folds(bench):
        mix = measured.fit_mix(seen)
        found[held_out] = bench.take(held_out).weigh(measured.candidates.take(held_out), mix, vote).method_columns
    return found


def cross_fit(bench: Bench, measured: MeasuredPairs, vote: VoteSettings) -> CrossFitted:
    """Return what each row is answered by a fit that has not seen its part."""
    crossed = _unanswered(bench, ())
    fits = []
    for held_out, seen in _folds(bench):
        mix = measured.fit_mix(seen)
        weighed = bench.weigh(measured.candidates, mix, vote)
        model = fit_probabilities(weighed.features.take(seen), bench.truth[seen], bench.classes)
        fits.append(FoldFit(mix, model))
        _answer(crossed, held_out, weighed.method_columns[held_out], weighed.features.take(held_out), fits[-1], bench)
    return replace(crossed, fits=tuple(fits))


def cross_fit_terms(
    bench: Bench, candidates: Candidates, vote: VoteSettings, fitted: CrossFitted, terms: ResidualTerms
) -> CrossFitted:
    """Return what each row is answered where residual terms are weighed, by fits that have not seen its part."""
    is_reject = ~bench.classes.passes[bench.truth]
    crossed = _unanswered(bench, ())
    fits = []
    for (held_out, seen), without in zip(_folds(bench), fitted.fits, strict=True):
        features = bench.weigh(candidates, without.mix, vote).features
        known = seen[terms.is_there[seen]]
        model = fit_residual_model(features.sides[known], terms.values[known], is_reject[known])
        fits.append(without._replace(residuals=model))
        columns, own = fitted.found[held_out], features.take(held_out)
        _answer(crossed, held_out, columns, own, fits[-1], bench, terms.take(held_out))
    return replace(crossed, fits=tuple(fits))


def _folds(bench: Bench) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    for fold in range(N_FOLDS):
        held_out, seen = np.flatnonzero(bench.folds == fold), np.flatnonzero(bench.folds != fold)
        if not len(held_out) or not len(seen):
            message = f"calibration rows of fewer than {N_FOLDS} parts: a cross-fit needs that many"
            raise CalibrationError(message)
        yield held_out, seen


def answer_further(
    bench: Bench, candidates: Candidates, vote: VoteSettings, fitted: CrossFitted, terms: ResidualTerms | None
) -> CrossFitted:
    """Return what rows are answered that nothing was fitted on, each still by the fit of its part's fold."""
    crossed = _unanswered(bench, fitted.fits)
    for fold, fit in enumerate(fitted.fits):
        held_out = np.flatnonzero(bench.folds == fold)
        if len(held_out):
            weighed = bench.take(held_out).weigh(candidates.take(held_out), fit.mix, vote)
            own = None if terms is None else terms.take(held_out)
            _answer(crossed, held_out, weighed.method_columns, weighed.features, fit, bench, own)
    return crossed


def labels_by(
    bench: Bench,
    crossed: CrossFitted,
    method: LabelMethod,
    model: ResidualModel | None = None,
    terms: ResidualTerms | None = None,
) -> NDArray[np.intp]:
    """Return the class columns (Q,) that are answered by a method, on the side that residual terms call for."""
    found = crossed.found[:, method - 1]
    return on_their_side(found, crossed.probabilities, crossed.rejects, bench.classes.passes, model, terms)


def scores_of(
    bench: Bench, candidates: Candidates, crossed: CrossFitted, answered: NDArray[np.intp], rows: Rows
) -> CalibrationScores:
    """Return what the queries of a bench answered, as it is kept; ``answered`` are class columns (Q,)."""
    labels = bench.classes.labels
    return CalibrationScores(
        truth=labels[bench.truth],
        answered=labels[answered],
        reject_probabilities=crossed.rejects if bench.classes.has_sides else np.empty(0),
        probabilities=crossed.probabilities[np.arange(len(answered)), answered],
        novelty=candidates.novelty(N_NOVELTY),
        parts=rows.parts[bench.rows].astype(np.int32),
    )


def _unanswered(bench: Bench, fits: tuple[FoldFit, ...]) -> CrossFitted:
    n_queries, n_classes = len(bench.truth), len(bench.classes.labels)
    found = np.empty((n_queries, len(LabelMethod)), dtype=np.intp)
    return CrossFitted(found, np.zeros((n_queries, n_classes)), np.zeros(n_queries), fits)


def _answer(
    crossed: CrossFitted,
    held_out: NDArray[np.intp],
    columns: NDArray[np.intp],
    features: Features,
    fit: FoldFit,
    bench: Bench,
    terms: ResidualTerms | None = None,
) -> None:
    rejects = None
    if bench.classes.has_sides:
        rejects = reject_probabilities(fit.probability, fit.residuals, features, terms)
        crossed.rejects[held_out] = rejects
    crossed.found[held_out] = columns
    crossed.probabilities[held_out] = fit.probability.class_probabilities(features, bench.classes, rejects)
