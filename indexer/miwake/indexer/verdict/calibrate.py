"""Fitting a calibration: queries of calibration parts against references of fit parts, measured by cross-fitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer import evaluation
from miwake.indexer.answers import LabelMethod
from miwake.indexer.errors import CalibrationError
from miwake.indexer.search.candidates import Candidates, RerankSpace, measure, nearest
from miwake.indexer.search.kinds import build_flat
from miwake.indexer.search.loading import load_index
from miwake.indexer.search.proposing import propose
from miwake.indexer.soart3.kernel import measures_by_id
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
from miwake.indexer.verdict.match import fit_mix, histogram
from miwake.indexer.verdict.probability import fit_probabilities
from miwake.indexer.verdict.votes import Classes, count, distance_weights, log_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Labelled rows as the calibration sees them.

    Attributes
    ----------
    embeddings : (N, D) float32
    raw : (N, V) float32
        Inspection vectors on a scale of 0 … 1.
    labels : (N,) int32
    """

    embeddings: NDArray[np.float32]
    raw: NDArray[np.float32]
    labels: NDArray[np.int32]

    def take(self, rows: NDArray[np.intp]) -> Sample:
        """Return some rows."""
        return Sample(embeddings=self.embeddings[rows], raw=self.raw[rows], labels=self.labels[rows])


@dataclass(frozen=True, slots=True)
class _Bench:
    """Calibration queries against references: what every fit below works on."""

    references: Sample
    queries: Sample
    anchor_distances: NDArray[np.float32]
    classes: Classes
    reference_columns: NDArray[np.intp]
    truth: NDArray[np.intp]
    positions: NDArray[np.int64]
    random_positions: NDArray[np.int64]
    folds: NDArray[np.intp]

    def space(self, settings: RerankSettings) -> tuple[RerankSpace, NDArray[np.float32]]:
        in_embedding = settings.space == "embedding"
        references = self.references.embeddings if in_embedding else self.references.raw
        queries = self.queries.embeddings if in_embedding else self.queries.raw
        return RerankSpace(references, in_embedding, settings.p_eta, settings.p_gamma), queries

    def measured(self, settings: RerankSettings) -> _Measured:
        space, queries = self.space(settings)
        found = measure(self.positions, self.queries.embeddings, self.references.embeddings, space, queries)
        candidates = nearest(found, self.positions.shape[1])
        far = measures_by_id(queries, space.references, self.random_positions, p_eta=space.p_eta, p_gamma=space.p_gamma)
        positions = np.hstack([candidates.positions, self.random_positions])
        return _Measured(
            candidates,
            np.hstack([candidates.beta, far.beta]),
            np.hstack([candidates.eta, far.eta]),
            np.hstack([candidates.gamma, far.gamma]),
            self.reference_columns[positions] == self.truth[:, None],
        )


@dataclass(frozen=True, slots=True)
class _Measured:
    """Candidates in one space with one pair of powers, and all pairs (Q, M + random) for the mix."""

    candidates: Candidates
    beta: NDArray[np.float32]
    eta: NDArray[np.float32]
    gamma: NDArray[np.float32]
    same: NDArray[np.bool_]

    def fit_mix(self, rows: NDArray[np.intp]) -> MatchMix:
        return fit_mix(
            self.beta[rows].ravel(), self.eta[rows].ravel(), self.gamma[rows].ravel(), self.same[rows].ravel()
        )


def calibrate(
    references: Sample,
    queries: Sample,
    query_parts: Sequence[str],
    anchors: tuple[NDArray[np.int32], NDArray[np.float32]],
    pass_labels: Sequence[int],
    *,
    n_candidates: int = 100,
    n_voting: int = 15,
    seed: int = 0,
) -> Calibration:
    """Fit mix, vote, probabilities and thresholds, and choose the method that measures best.

    Parameters
    ----------
    references : Sample
        Rows of fit parts.
    queries, query_parts
        Rows of calibration parts, none of which is among the fit parts; an empty part is a part of its own.
    anchors : (C,) int32 labels and (Q, C) float32 distances
        Labels of the anchors of the references, sorted, and each query's distances to them.
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
        references, queries, query_parts, anchors, pass_labels, n_candidates=n_candidates, seed=seed
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
            n_references=len(references.labels),
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
    references: Sample,
    queries: Sample,
    query_parts: Sequence[str],
    anchors: tuple[NDArray[np.int32], NDArray[np.float32]],
    pass_labels: Sequence[int],
    *,
    n_candidates: int,
    seed: int,
) -> tuple[_Bench, int, int]:
    rng = np.random.default_rng(seed)
    covered = np.flatnonzero(np.isin(queries.labels, references.labels))
    n_not_covered = len(queries.labels) - len(covered)
    if len(covered) > MAX_QUERIES:
        covered = np.sort(rng.choice(covered, MAX_QUERIES, replace=False))
    if len(covered) < MIN_QUERIES:
        message = (
            f"{len(covered)} calibration rows whose label the {len(references.labels)} fit references know, "
            f"expected at least {MIN_QUERIES}: the data needs more parts of each class"
        )
        raise CalibrationError(message)
    queries = queries.take(covered)
    part_of = _part_numbers([query_parts[row] for row in covered.tolist()])
    classes = Classes.of(references.labels, pass_labels)
    n_references, n_dimensions = references.embeddings.shape
    index = load_index(build_flat(references.embeddings), n_references=n_references, n_dimensions=n_dimensions)
    bench = _Bench(
        references,
        queries,
        anchors[1][covered],
        classes,
        classes.columns(references.labels),
        classes.columns(queries.labels),
        propose(index, queries.embeddings, min(n_candidates, n_references)),
        rng.integers(0, n_references, (len(covered), N_RANDOM_PAIRS)),
        rng.permutation(part_of.max() + 1)[part_of] % N_FOLDS,
    )
    return bench, n_not_covered, int(part_of.max()) + 1


def _part_numbers(parts: Sequence[str]) -> NDArray[np.intp]:
    names = [part or f"\0{row}" for row, part in enumerate(parts)]
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1]


def _fit_bandwidth(bench: _Bench, n_voting: int) -> float:
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


def _choose_rerank(bench: _Bench, vote: VoteSettings, n_candidates: int) -> tuple[RerankSettings, dict[str, float]]:
    """Return what re-ranks best, the usual settings unless beaten beyond chance, and the accuracy of all tried."""
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


def _weigh(bench: _Bench, candidates: Candidates, mix: MatchMix, vote: VoteSettings) -> Weighed:
    return weigh(candidates, bench.anchor_distances, bench.reference_columns, bench.classes, mix, vote)


def _cross_fit(
    bench: _Bench, measured: _Measured, vote: VoteSettings, *, with_probabilities: bool = True
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return method columns (Q, 3) and class probabilities (Q, C), each row by a fit that has not seen its part."""
    found = np.empty((len(bench.truth), len(LabelMethod)), dtype=np.intp)
    probabilities = np.zeros((len(bench.truth), len(bench.classes.labels)))
    for fold in range(N_FOLDS):
        held_out, seen = np.flatnonzero(bench.folds == fold), np.flatnonzero(bench.folds != fold)
        if not len(held_out) or not len(seen):
            message = f"calibration rows of fewer than {N_FOLDS} parts: a cross-fit needs that many"
            raise CalibrationError(message)
        weighed = _weigh(bench, measured.candidates, measured.fit_mix(seen), vote)
        found[held_out] = weighed.method_columns[held_out]
        if with_probabilities:
            model: ProbabilityModel = fit_probabilities(weighed.features.take(seen), bench.truth[seen], bench.classes)
            probabilities[held_out] = model.class_probabilities(weighed.features.take(held_out), bench.classes)
    return found, probabilities


def _rates(bench: _Bench, found: NDArray[np.intp]) -> Measured:
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
