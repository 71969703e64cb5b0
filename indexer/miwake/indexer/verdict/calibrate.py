"""Fitting a calibration: queries of calibration parts against references of fit parts, measured by cross-fitting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from miwake.indexer import evaluation
from miwake.indexer.answers import LabelMethod
from miwake.indexer.errors import CalibrationError
from miwake.indexer.search.exact import find_exactly
from miwake.indexer.storage.station import DEFAULT_SET
from miwake.indexer.verdict.calibration import (
    METHODS,
    Calibration,
    Evidence,
    Measured,
    RerankSettings,
    ThresholdSet,
    VoteSettings,
)
from miwake.indexer.verdict.judge import weigh
from miwake.indexer.verdict.match import histogram
from miwake.indexer.verdict.measuring import Bench, MeasuredPairs, Sample
from miwake.indexer.verdict.probability import fit_probabilities
from miwake.indexer.verdict.scores import CalibrationScores, joined
from miwake.indexer.verdict.votes import Classes, count, distance_weights, log_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.judge import Weighed
    from miwake.indexer.verdict.match import MatchMix
    from miwake.indexer.verdict.probability import Features, ProbabilityModel

POWERS = ((2, 6), (2, 4), (2, 8), (1, 4), (1, 6), (1, 8))
"""Powers of eta and gamma that are tried, the usual ones first."""

BANDWIDTHS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Bandwidths of the vote that are tried, in medians of the distance to the last voting reference."""

N_FOLDS = 5
MAX_QUERIES = 4000
"""Calibration rows that fits work on: more would sharpen no figure below a tenth of a point."""

MAX_ANSWERED = 12_000
"""Calibration rows that are answered, in whole parts: to promise 0.1 % takes 3,000 reject parts."""

MAX_CHOOSING = 1000
"""Of them, those on which spaces and powers of SOART3 are tried: they differ by tenths of a point, if at all."""

N_RANDOM_PAIRS = 25
"""References drawn at random for each query, beside its candidates, so that the mix has also seen far pairs."""

N_NOVELTY = 5
NOVELTY_FALSE_ALARMS = 0.01
PASS_AT_MOST = 0.1
"""A part passes up to this reject probability: break-even where an escape costs nine times an overkill."""
REJECT_AT_LEAST = 0.5
SURE_AT_LEAST = 0.5
MIN_QUERIES = 10
"""Fewer calibration rows than this say nothing."""

Find = Callable[[NDArray[np.float32], int], NDArray[np.int64]]
"""Returns the rows (Q, M) that are nearest to (Q, D) queries, and M."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What calibration fitted, and what its rows answered by fits that have not seen their part."""

    calibration: Calibration
    scores: CalibrationScores


@dataclass(frozen=True, slots=True)
class _CrossFitted:
    """What each query is answered by fits that have not seen its part.

    Attributes
    ----------
    found : (Q, 3)
        Method columns.
    probabilities : (Q, C) float64
    rejects : (Q,) float64
        Reject probabilities; zeros where all classes are on one side.
    fits : tuple of (mix, probability model)
        One a fold.
    """

    found: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    rejects: NDArray[np.float64]
    fits: tuple[tuple[MatchMix, ProbabilityModel], ...]


def calibrate(
    sample: Sample,
    calibrates: NDArray[np.bool_],
    parts: Sequence[str],
    anchors: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    pass_labels: Sequence[int],
    *,
    n_candidates: int = 100,
    n_voting: int = 15,
    seed: int = 0,
    find_more: Find | None = None,
) -> Calibrated:
    """Fit mix, vote, probabilities and thresholds, choose the method that measures best, and answer every row.

    Parameters
    ----------
    sample : Sample
        N rows.
    calibrates : (N,) bool
        Which of them are queries, the others being the references; no part is on both sides.
    parts : N texts
        An empty one is a part of its own.
    anchors : callable
        Returns the (Q, C) float32 distances of (Q, D) float32 embedded queries to the nearest anchor of each class of
        the references, sorted by label.
    pass_labels : sequence of int
    n_candidates, n_voting : int
        M, and how many references vote.
    seed : int
        Of the random pairs and of the rows used where there are more than ``MAX_QUERIES``.
    find_more : callable, optional
        Returns the rows (Q, M) of the references nearest to (Q, D) embedded queries, for rows that nothing is fitted
        on; by default every reference is compared.

    Raises
    ------
    CalibrationError
        If too few calibration rows have a label that the references know, or no pair matches or mismatches.
    """
    rows = _choose_rows(sample, calibrates, parts, pass_labels, seed)
    bench = _bench(sample, rows, rows.sampled, anchors, pass_labels, n_candidates=n_candidates, seed=seed)
    vote = VoteSettings(n_voting=n_voting, bandwidth=_fit_bandwidth(bench, n_voting))
    rerank, rerank_accuracy = _choose_rerank(bench, vote, n_candidates)
    measured = bench.measured(rerank)
    crossed = _cross_fit(bench, measured, vote)
    methods = {METHODS[method]: _rates(bench, crossed.found[:, method - 1]) for method in LabelMethod}
    method = max(LabelMethod, key=lambda one: (methods[METHODS[one]].accuracy, one == LabelMethod.VOTE))
    mix = measured.fit_mix(np.arange(len(bench.truth)))
    weighed = _weigh(bench, measured.candidates, mix, vote)
    scores = _scores(bench, measured.candidates, crossed, method, rows)
    pairs = mix.distances(mix.scores(measured.beta, measured.eta, measured.gamma))
    calibration = Calibration(
        rerank=rerank,
        mix=mix,
        vote=vote,
        probability=fit_probabilities(weighed.features, bench.truth, bench.classes),
        method=METHODS[method],
        n_novelty=N_NOVELTY,
        thresholds=ThresholdSet(
            name=DEFAULT_SET,
            pass_at_most=PASS_AT_MOST,
            reject_at_least=REJECT_AT_LEAST,
            sure_at_least=SURE_AT_LEAST,
            novelty_at_most=float(np.quantile(scores.novelty, 1 - NOVELTY_FALSE_ALARMS)),
            novelty_false_alarms=NOVELTY_FALSE_ALARMS,
        ),
        evidence=Evidence(
            n_rows=len(scores),
            n_parts=scores.n_parts,
            n_references=len(rows.references),
            n_not_covered=rows.n_not_covered,
            methods=methods,
            rerank_accuracy=rerank_accuracy,
            calibration_error=evaluation.expected_calibration_error(
                scores.probabilities, scores.answered == scores.truth
            ),
            histogram=histogram(pairs.ravel(), measured.same.ravel()),
        ),
    )
    further = [
        _answer_further(
            _bench(sample, rows, chosen, anchors, pass_labels, n_candidates=n_candidates, seed=seed, find=find_more),
            rerank,
            vote,
            method,
            crossed,
            rows,
        )
        for chosen in _pieces(rows.others)
    ]
    return Calibrated(calibration, joined([scores, *further]))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Who is compared with whom: rows of a sample, ascending.

    Attributes
    ----------
    references : (R,)
    sampled, others : rows
        Queries that fits work on, and those that are answered besides.
    parts, folds : (N,)
        Of each query, the number of its part, and the fold of that part; -1 elsewhere.
    n_not_covered : int
        Queries left out because no reference bears their label.
    """

    references: NDArray[np.intp]
    sampled: NDArray[np.intp]
    others: NDArray[np.intp]
    parts: NDArray[np.intp]
    folds: NDArray[np.intp]
    n_not_covered: int


def _choose_rows(
    sample: Sample, calibrates: NDArray[np.bool_], parts: Sequence[str], pass_labels: Sequence[int], seed: int
) -> _Rows:
    rng = np.random.default_rng(seed)
    references, queries = np.flatnonzero(~calibrates), np.flatnonzero(calibrates)
    covered = queries[np.isin(sample.labels[queries], sample.labels[references])]
    if len(covered) < MIN_QUERIES:
        message = (
            f"{len(covered)} calibration rows whose label the {len(references)} fit references know, "
            f"expected at least {MIN_QUERIES}: the data needs more parts of each class"
        )
        raise CalibrationError(message)
    part_of = _part_numbers([parts[row] for row in covered.tolist()])
    answered = covered
    if len(covered) > MAX_ANSWERED:
        kept = _whole_parts(part_of, ~np.isin(sample.labels[covered], pass_labels), rng)
        answered, part_of = covered[kept], np.unique(part_of[kept], return_inverse=True)[1]
    sampled = answered
    if len(answered) > MAX_QUERIES:
        sampled = np.sort(rng.choice(answered, MAX_QUERIES, replace=False))
    numbers, folds = np.full((2, len(sample.labels)), -1, dtype=np.intp)
    numbers[answered] = part_of
    folds[answered] = rng.permutation(part_of.max() + 1)[part_of] % N_FOLDS
    others = np.setdiff1d(answered, sampled, assume_unique=True)
    return _Rows(references, sampled, others, numbers, folds, len(queries) - len(covered))


def _whole_parts(part_of: NDArray[np.intp], is_reject: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return about ``MAX_ANSWERED`` rows, whole parts: at least half of them of parts with rejects, if there are."""
    order = rng.permutation(part_of.max() + 1)
    has_reject = np.zeros(len(order), dtype=bool)
    has_reject[part_of[is_reject]] = True
    sizes = np.bincount(part_of, minlength=len(order))
    rejects, others = order[has_reject[order]], order[~has_reject[order]]
    room = max(MAX_ANSWERED // 2, MAX_ANSWERED - int(sizes[others].sum()))
    rejects = rejects[np.cumsum(sizes[rejects]) <= room]
    others = others[np.cumsum(sizes[others]) <= MAX_ANSWERED - int(sizes[rejects].sum())]
    return np.flatnonzero(np.isin(part_of, np.concatenate([rejects, others])))


def _pieces(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [rows[first : first + MAX_QUERIES] for first in range(0, len(rows), MAX_QUERIES)]


def _bench(
    sample: Sample,
    rows: _Rows,
    chosen: NDArray[np.intp],
    anchors: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    pass_labels: Sequence[int],
    *,
    n_candidates: int,
    seed: int,
    find: Find | None = None,
) -> Bench:
    references = rows.references
    n_candidates = min(n_candidates, len(references))
    classes = Classes.of(sample.labels[references], pass_labels)
    embedded = sample.embeddings[chosen]
    if find is None:
        found = find_exactly(embedded, sample.embeddings, references, n_candidates)
    else:
        found = find(embedded, n_candidates)
    drawn = np.random.default_rng(seed).integers(0, len(references), (len(chosen), N_RANDOM_PAIRS))
    return Bench(
        sample,
        chosen,
        anchors(embedded),
        classes,
        classes.columns(sample.labels),
        classes.columns(sample.labels[chosen]),
        found,
        references[drawn],
        rows.folds[chosen],
    )


def _part_numbers(parts: Sequence[str]) -> NDArray[np.intp]:
    names = [part or f"\0{row}" for row, part in enumerate(parts)]
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1]


def _fit_bandwidth(bench: Bench, n_voting: int) -> float:
    """Return the bandwidth under which the class-balanced shares say most about the truth, classes weighing alike."""
    candidates = bench.candidates(RerankSettings())
    distances = candidates.distances[:, :n_voting]
    columns = bench.reference_columns[candidates.positions[:, :n_voting]]
    unit = max(float(np.median(distances[:, -1])), 1e-6)
    class_weights = 1.0 / np.bincount(bench.truth, minlength=len(bench.classes.labels))[bench.truth]

    def loss(bandwidth: float) -> float:
        shares = count(columns, distance_weights(distances, bandwidth), bench.classes).shares
        return -float(class_weights @ log_share(shares)[np.arange(len(shares)), bench.truth])

    return min((unit * factor for factor in BANDWIDTHS), key=loss)


def _choose_rerank(bench: Bench, vote: VoteSettings, n_candidates: int) -> tuple[RerankSettings, dict[str, float]]:
    """Return what re-ranks best, the usual settings unless beaten beyond chance, and the accuracy of all tried."""
    if len(bench.truth) > MAX_CHOOSING:
        bench = bench.take(np.linspace(0, len(bench.truth) - 1, MAX_CHOOSING).astype(np.intp))
    right: dict[RerankSettings, NDArray[np.bool_]] = {}
    for space in ("embedding", "raw"):
        for p_eta, p_gamma in POWERS if space == "embedding" else POWERS[:1]:
            settings = RerankSettings(space=space, p_eta=p_eta, p_gamma=p_gamma, n_candidates=n_candidates)
            found = _cross_fit_labels(bench, bench.measured(settings), vote)
            right[settings] = found[:, LabelMethod.SOART3_VOTE - 1] == bench.truth
    best = usual = next(iter(right))
    for settings, hits in right.items():
        gained, lost = int((hits & ~right[usual]).sum()), int((~hits & right[usual]).sum())
        # McNemar: two standard errors of the difference; less is the luck of having tried several.
        if gained - lost > 2 * np.sqrt(gained + lost) and hits.mean() > right[best].mean():
            best = settings
    accuracy = {f"{one.space} {one.p_eta}/{one.p_gamma}": float(hits.mean()) for one, hits in right.items()}
    return best, accuracy


def _weigh(bench: Bench, candidates: Candidates, mix: MatchMix, vote: VoteSettings) -> Weighed:
    return weigh(candidates, bench.anchor_distances, bench.reference_columns, bench.classes, mix, vote)


def _cross_fit_labels(bench: Bench, measured: MeasuredPairs, vote: VoteSettings) -> NDArray[np.intp]:
    """Return method columns (Q, 3), each row by a mix that has not seen its part."""
    found = np.empty((len(bench.truth), len(LabelMethod)), dtype=np.intp)
    for held_out, seen in _folds(bench):
        mix = measured.fit_mix(seen)
        found[held_out] = _weigh(bench.take(held_out), measured.candidates.take(held_out), mix, vote).method_columns
    return found


def _cross_fit(bench: Bench, measured: MeasuredPairs, vote: VoteSettings) -> _CrossFitted:
    """Return what each row is answered by a fit that has not seen its part."""
    crossed = _unanswered(bench, ())
    fits = []
    for held_out, seen in _folds(bench):
        mix = measured.fit_mix(seen)
        weighed = _weigh(bench, measured.candidates, mix, vote)
        model = fit_probabilities(weighed.features.take(seen), bench.truth[seen], bench.classes)
        _answer(crossed, held_out, weighed.method_columns[held_out], weighed.features.take(held_out), model, bench)
        fits.append((mix, model))
    return replace(crossed, fits=tuple(fits))


def _folds(bench: Bench) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    for fold in range(N_FOLDS):
        held_out, seen = np.flatnonzero(bench.folds == fold), np.flatnonzero(bench.folds != fold)
        if not len(held_out) or not len(seen):
            message = f"calibration rows of fewer than {N_FOLDS} parts: a cross-fit needs that many"
            raise CalibrationError(message)
        yield held_out, seen


def _answer_further(
    bench: Bench, rerank: RerankSettings, vote: VoteSettings, method: LabelMethod, fitted: _CrossFitted, rows: _Rows
) -> CalibrationScores:
    """Return the scores of rows that nothing was fitted on, each still by the fit of its part's fold."""
    candidates = bench.candidates(rerank)
    crossed = _unanswered(bench, fitted.fits)
    for fold, (mix, model) in enumerate(fitted.fits):
        held_out = np.flatnonzero(bench.folds == fold)
        if len(held_out):
            weighed = _weigh(bench.take(held_out), candidates.take(held_out), mix, vote)
            _answer(crossed, held_out, weighed.method_columns, weighed.features, model, bench)
    return _scores(bench, candidates, crossed, method, rows)


def _unanswered(bench: Bench, fits: tuple[tuple[MatchMix, ProbabilityModel], ...]) -> _CrossFitted:
    n_queries, n_classes = len(bench.truth), len(bench.classes.labels)
    found = np.empty((n_queries, len(LabelMethod)), dtype=np.intp)
    return _CrossFitted(found, np.zeros((n_queries, n_classes)), np.zeros(n_queries), fits)


def _answer(
    crossed: _CrossFitted,
    held_out: NDArray[np.intp],
    columns: NDArray[np.intp],
    features: Features,
    model: ProbabilityModel,
    bench: Bench,
) -> None:
    crossed.found[held_out] = columns
    crossed.probabilities[held_out] = model.class_probabilities(features, bench.classes)
    if bench.classes.has_sides:
        crossed.rejects[held_out] = model.reject_probabilities(features)


def _scores(
    bench: Bench, candidates: Candidates, crossed: _CrossFitted, method: LabelMethod, rows: _Rows
) -> CalibrationScores:
    answered = crossed.found[:, method - 1]
    labels = bench.classes.labels
    return CalibrationScores(
        truth=labels[bench.truth],
        answered=labels[answered],
        reject_probabilities=crossed.rejects if bench.classes.has_sides else np.empty(0),
        probabilities=crossed.probabilities[np.arange(len(answered)), answered],
        novelty=candidates.novelty(N_NOVELTY),
        parts=rows.parts[bench.rows].astype(np.int32),
    )


def _rates(bench: Bench, found: NDArray[np.intp]) -> Measured:
    labels = bench.classes.labels
    truth, answered = labels[bench.truth], labels[found]
    passes = [int(label) for label in labels[bench.classes.passes]]
    escape = evaluation.escape_rate(truth, answered, passes)
    overkill = evaluation.overkill_rate(truth, answered, passes)
    return Measured(
        accuracy=evaluation.accuracy(truth, answered),
        balanced_accuracy=evaluation.balanced_accuracy(truth, answered),
        escape_rate=None if escape is None else escape.value,
        overkill_rate=None if overkill is None else overkill.value,
    )
