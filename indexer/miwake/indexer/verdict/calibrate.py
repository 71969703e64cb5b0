"""Fitting a calibration: queries of calibration parts against references of fit parts, measured by cross-fitting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from miwake.indexer import evaluation
from miwake.indexer.answers import LabelMethod
from miwake.indexer.chance import best_beyond_chance
from miwake.indexer.search.exact import find_exactly
from miwake.indexer.storage.station import DEFAULT_SET
from miwake.indexer.verdict.calibration import (
    METHODS,
    Calibration,
    Evidence,
    Measured,
    RerankSettings,
    ResidualCalibration,
    ThresholdSet,
    VoteSettings,
)
from miwake.indexer.verdict.choosing_rows import choose_rows, pieces
from miwake.indexer.verdict.cross_fitting import (
    N_NOVELTY,
    answer_further,
    cross_fit,
    cross_fit_labels,
    labels_by,
    scores_of,
)
from miwake.indexer.verdict.match import histogram
from miwake.indexer.verdict.measuring import Bench, Sample
from miwake.indexer.verdict.offering import Offer, offer_residuals
from miwake.indexer.verdict.pair_measuring import measure_pairs
from miwake.indexer.verdict.pairs import calibrate_pairs
from miwake.indexer.verdict.probability import fit_probabilities
from miwake.indexer.verdict.residual_terms import terms_of
from miwake.indexer.verdict.scores import CalibrationScores, joined
from miwake.indexer.verdict.votes import Classes, count, distance_weights, log_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.indexer.verdict.choosing_rows import Rows

POWERS = ((2, 6), (2, 4), (2, 8), (1, 4), (1, 6), (1, 8))
"""Powers of eta and gamma that are tried, the usual ones first."""

BANDWIDTHS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Bandwidths of the vote that are tried, in medians of the distance to the last voting reference."""

MAX_CHOOSING = 1000
"""Rows on which spaces and powers of SOART3 are tried: they differ by tenths of a point, if at all."""

N_RANDOM_PAIRS = 25
"""References drawn at random for each query, beside its candidates, so that the mix has also seen far pairs."""

NOVELTY_FALSE_ALARMS = 0.01
PASS_AT_MOST = 0.1
"""A part passes up to this reject probability: break-even where an escape costs nine times an overkill."""
REJECT_AT_LEAST = 0.5
SURE_AT_LEAST = 0.5

Find = Callable[[NDArray[np.float32], int], NDArray[np.int64]]
"""Returns the rows (Q, M) that are nearest to (Q, D) queries, and M."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What calibration fitted, and how its rows are answered.

    Attributes
    ----------
    calibration : Calibration
    answer : callable
        Returns what every row answered by fits that have not seen its part; rows that nothing was fitted on are
        answered when it is called.
    """

    calibration: Calibration
    answer: Callable[[], CalibrationScores]


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
    """Fit mix, vote, probabilities and thresholds, and choose the method that measures best beyond chance.

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
    rows = choose_rows(sample, calibrates, parts, pass_labels, seed)
    bench = _bench(sample, rows, rows.sampled, anchors, pass_labels, n_candidates=n_candidates, seed=seed)
    vote = VoteSettings(n_voting=n_voting, bandwidth=_fit_bandwidth(bench, n_voting))
    rerank, rerank_accuracy = _choose_rerank(bench, vote, n_candidates)
    measured = bench.measured(rerank)
    crossed = cross_fit(bench, measured, vote)
    methods = {METHODS[method]: _rates(bench, crossed.found[:, method - 1]) for method in LabelMethod}
    right = {method: crossed.found[:, method - 1] == bench.truth for method in LabelMethod}
    method = best_beyond_chance(right, usual=LabelMethod.VOTE)
    mix = measured.fit_mix(np.arange(len(bench.truth)))
    weighed = bench.weigh(measured.candidates, mix, vote)
    offer = offer_residuals(
        bench, measured.candidates, vote, crossed, method, weighed.features, rows.parts[bench.rows], seed=seed
    )
    scores = scores_of(bench, measured.candidates, offer.crossed, offer.answered, rows)
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
        pairs=calibrate_pairs(measure_pairs(bench, rows, rerank, mix, seed=seed)),
        residuals=_with_rates(bench, offer),
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

    def answer_more(chosen: NDArray[np.intp]) -> CalibrationScores:
        more = _bench(sample, rows, chosen, anchors, pass_labels, n_candidates=n_candidates, seed=seed, find=find_more)
        candidates, taken, terms = more.candidates(rerank), offer.calibration, None
        if sample.maps is not None and taken is not None and taken.model is not None:
            terms = terms_of(sample.maps.residuals(sample, chosen, taken.reference_map))
        found = answer_further(more, candidates, vote, offer.crossed, terms)
        answered = labels_by(more, found, method, None if taken is None else taken.model, terms)
        return scores_of(more, candidates, found, answered, rows)

    def answer() -> CalibrationScores:
        return joined([scores, *map(answer_more, pieces(rows.others))])

    return Calibrated(calibration, answer)


def _bench(
    sample: Sample,
    rows: Rows,
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
            found = cross_fit_labels(bench, bench.measured(settings), vote)
            right[settings] = found[:, LabelMethod.SOART3_VOTE - 1] == bench.truth
    accuracy = {f"{one.space} {one.p_eta}/{one.p_gamma}": float(hits.mean()) for one, hits in right.items()}
    return best_beyond_chance(right, usual=next(iter(right))), accuracy


def _with_rates(bench: Bench, offer: Offer) -> ResidualCalibration | None:
    """Return what was offered with what the labels reach that follow it."""
    told = offer.calibration
    return told if told is None or told.model is None else replace(told, labels=_rates(bench, offer.answered))


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
