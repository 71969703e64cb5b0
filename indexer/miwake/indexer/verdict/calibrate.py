"""Fitting a calibration: queries of calibration parts against references of fit parts, measured by cross-fitting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer import evaluation
from miwake.indexer.answers import LabelMethod
from miwake.indexer.errors import CalibrationError
from miwake.indexer.search.exact import find_exactly
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
from miwake.indexer.verdict.votes import Classes, count, distance_weights, log_share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.judge import Weighed
    from miwake.indexer.verdict.match import MatchMix
    from miwake.indexer.verdict.probability import ProbabilityModel

POWERS = ((2, 6), (2, 4), (2, 8), (1, 4), (1, 6), (1, 8))
"""Powers of eta and gamma that are tried, the usual ones first."""

BANDWIDTHS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Bandwidths of the vote that are tried, in medians of the distance to the last voting reference."""

N_FOLDS = 5
MAX_QUERIES = 4000
"""Calibration rows used: more would sharpen no figure below a tenth of a point."""

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
) -> Calibration:
    """Fit mix, vote, probabilities and thresholds, and choose the method that measures best.

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

    Raises
    ------
    CalibrationError
        If too few calibration rows have a label that the references know, or no pair matches or mismatches.
    """
    bench, n_not_covered, n_parts = _prepare(
        sample, calibrates, parts, anchors, pass_labels, n_candidates=n_candidates, seed=seed
    )
    vote = VoteSettings(n_voting=n_voting, bandwidth=_fit_bandwidth(bench, n_voting))
    rerank, rerank_accuracy = _choose_rerank(bench, vote, n_candidates)
    measured = bench.measured(rerank)
    found, confidence = _cross_fit(bench, measured, vote)
    methods = {METHODS[method]: _rates(bench, found[:, method - 1]) for method in LabelMethod}
    method = max(LabelMethod, key=lambda one: (methods[METHODS[one]].accuracy, one == LabelMethod.VOTE))
    answered = found[:, method - 1]
    rows = np.arange(len(bench.truth))
    mix = measured.fit_mix(rows)
    weighed = _weigh(bench, measured.candidates, mix, vote)
    novelty_at_most = float(np.quantile(measured.candidates.novelty(N_NOVELTY), 1 - NOVELTY_FALSE_ALARMS))
    pairs = mix.distances(mix.scores(measured.beta, measured.eta, measured.gamma))
    return Calibration(
        rerank=rerank,
        mix=mix,
        vote=vote,
        probability=fit_probabilities(weighed.features, bench.truth, bench.classes),
        method=METHODS[method],
        n_novelty=N_NOVELTY,
        thresholds=ThresholdSet(
            name="default",
            pass_at_most=PASS_AT_MOST,
            reject_at_least=REJECT_AT_LEAST,
            sure_at_least=SURE_AT_LEAST,
            novelty_at_most=novelty_at_most,
            novelty_false_alarms=NOVELTY_FALSE_ALARMS,
        ),
        evidence=Evidence(
            n_rows=len(rows),
            n_parts=n_parts,
            n_references=int((~calibrates).sum()),
            n_not_covered=n_not_covered,
            methods=methods,
            rerank_accuracy=rerank_accuracy,
            calibration_error=evaluation.expected_calibration_error(
                confidence[rows, answered], answered == bench.truth
            ),
            histogram=histogram(pairs.ravel(), measured.same.ravel()),
        ),
    )


def _prepare(
    sample: Sample,
    calibrates: NDArray[np.bool_],
    parts: Sequence[str],
    anchors: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    pass_labels: Sequence[int],
    *,
    n_candidates: int,
    seed: int,
) -> tuple[Bench, int, int]:
    rng = np.random.default_rng(seed)
    references, queries = np.flatnonzero(~calibrates), np.flatnonzero(calibrates)
    classes = Classes.of(sample.labels[references], pass_labels)
    covered = queries[np.isin(sample.labels[queries], classes.labels)]
    n_not_covered = len(queries) - len(covered)
    if len(covered) > MAX_QUERIES:
        covered = np.sort(rng.choice(covered, MAX_QUERIES, replace=False))
    if len(covered) < MIN_QUERIES:
        message = (
            f"{len(covered)} calibration rows whose label the {len(references)} fit references know, "
            f"expected at least {MIN_QUERIES}: the data needs more parts of each class"
        )
        raise CalibrationError(message)
    part_of = _part_numbers([parts[row] for row in covered.tolist()])
    embedded = sample.embeddings[covered]
    bench = Bench(
        sample,
        covered,
        anchors(embedded),
        classes,
        classes.columns(sample.labels),
        classes.columns(sample.labels[covered]),
        find_exactly(embedded, sample.embeddings, references, min(n_candidates, len(references))),
        references[rng.integers(0, len(references), (len(covered), N_RANDOM_PAIRS))],
        rng.permutation(part_of.max() + 1)[part_of] % N_FOLDS,
    )
    return bench, n_not_covered, int(part_of.max()) + 1


def _part_numbers(parts: Sequence[str]) -> NDArray[np.intp]:
    names = [part or f"\0{row}" for row, part in enumerate(parts)]
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1]


def _fit_bandwidth(bench: Bench, n_voting: int) -> float:
    """Return the bandwidth under which the class-balanced shares say most about the truth, classes weighing alike."""
    candidates = bench.measured(RerankSettings()).candidates
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
            found, _ = _cross_fit(bench, bench.measured(settings), vote, with_probabilities=False)
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


def _cross_fit(
    bench: Bench, measured: MeasuredPairs, vote: VoteSettings, *, with_probabilities: bool = True
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return method columns (Q, 3) and class probabilities (Q, C), each row by a fit that has not seen its part."""
    found = np.empty((len(bench.truth), len(LabelMethod)), dtype=np.intp)
    probabilities = np.zeros((len(bench.truth), len(bench.classes.labels)))
    for fold in range(N_FOLDS):
        held_out, seen = np.flatnonzero(bench.folds == fold), np.flatnonzero(bench.folds != fold)
        if not len(held_out) or not len(seen):
            message = f"calibration rows of fewer than {N_FOLDS} parts: a cross-fit needs that many"
            raise CalibrationError(message)
        mix = measured.fit_mix(seen)
        if not with_probabilities:
            weighed = _weigh(bench.take(held_out), measured.candidates.take(held_out), mix, vote)
            found[held_out] = weighed.method_columns
        else:
            weighed = _weigh(bench, measured.candidates, mix, vote)
            found[held_out] = weighed.method_columns[held_out]
            model: ProbabilityModel = fit_probabilities(weighed.features.take(seen), bench.truth[seen], bench.classes)
            probabilities[held_out] = model.class_probabilities(weighed.features.take(held_out), bench.classes)
    return found, probabilities


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
