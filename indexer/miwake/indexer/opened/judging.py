"""Judging vectors by the references of an index: candidates, votes, probabilities, the decision, and the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from miwake.indexer.answers import VerdictBatch
from miwake.indexer.errors import ArtifactCorruptError
from miwake.indexer.laps import JUDGE, RESIDUALS
from miwake.indexer.opened.found import Found
from miwake.indexer.opened.querying import Asked, find
from miwake.indexer.opened.served_maps import ServedMaps
from miwake.indexer.search.options import AS_CALIBRATED
from miwake.indexer.verdict.calibration import METHODS
from miwake.indexer.verdict.judge import decide
from miwake.indexer.verdict.reasons import beyond_limits, hold_back, reasons_for
from miwake.indexer.verdict.residual_terms import on_their_side, reject_probabilities
from miwake.indexer.verdict.votes import Classes, distance_weights, with_newcomers
from miwake.indexer.verdict.weighing import vote_failure_modes, weigh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.laps import Laps
    from miwake.indexer.opened.contents import IndexContents
    from miwake.indexer.opened.live import LiveReferences
    from miwake.indexer.search.candidates import Candidates
    from miwake.indexer.verdict.residual_terms import ResidualTerms
    from miwake.indexer.verdict.weighing import Weighed


class Likelihoods(NamedTuple):
    """How sure an answer is: of its label and beyond the runner-up (Q,) float64, and of a reject, or None."""

    label: NDArray[np.float64]
    margin: NDArray[np.float64]
    reject: NDArray[np.float64] | None


class Judge:
    """Judges as the index was calibrated, whatever evidence is asked for.

    Attributes
    ----------
    classes : Classes
        Of the references that count.

    Raises
    ------
    ArtifactCorruptError
        If the anchors are of other classes than the references.
    """

    def __init__(self, contents: IndexContents, references: LiveReferences) -> None:
        self.classes = Classes.of(references.counted_labels(), contents.pass_labels)
        if not np.array_equal(self.classes.labels, references.anchors.classes):
            message = f"{contents.station}/{contents.generation}: anchors of other classes than the references'"
            raise ArtifactCorruptError(message)
        self._references = references
        self._embedder = contents.embedder
        self._calibration = contents.calibration
        self._columns = self.classes.columns(references.labels)
        self._is_newcomer = ~self.classes.passes & ~np.isin(self.classes.labels, contents.anchors.labels)
        self._class_failure_codes = references.usual_failure_codes(self.classes.labels.tolist())
        self._maps = ServedMaps(contents)
        self._method = next(one for one, name in METHODS.items() if name == contents.calibration.method)

    def judge(
        self,
        vectors: NDArray[np.float32],
        embedded: NDArray[np.float32],
        asked: Asked,
        templates: NDArray[np.float32] | None,
        laps: Laps,
    ) -> VerdictBatch:
        """Return the verdicts on (Q, V) vectors with (Q, D) embeddings; ``asked`` is about the neighbours shown."""
        n_candidates = min(self._calibration.rerank.n_candidates, self._references.n_counted)
        candidates = self._references.find_voters(vectors, embedded, n_candidates, laps)
        anchors = self._references.anchors
        all_distances = anchors.all_distances(embedded)
        weighed = self._weigh(candidates, anchors.nearest_of_class(all_distances))
        laps.end(JUDGE)
        residuals, terms = self._maps.compare(vectors, templates)
        if residuals is not None:
            laps.end(RESIDUALS)
        probabilities, rejects = self._probabilities(weighed, terms)
        answered = weighed.method_columns[:, self._method - 1]
        if rejects is not None:
            answered = on_their_side(answered, probabilities, rejects, self.classes.passes, self._maps.model, terms)
        answered = self._with_newcomers(answered, candidates)
        likelihoods = _likelihoods(probabilities, rejects, answered)
        novelty = candidates.novelty(self._calibration.n_novelty)
        passes, thresholds = self.classes.passes[answered], self._calibration.thresholds
        to_decide = np.where(passes, self._novelty_of_passing(candidates, novelty), novelty)
        decisions = decide(passes, likelihoods.label, likelihoods.reject, to_decide, thresholds)
        health = self._embedder.health(vectors)
        beyond = beyond_limits(health, thresholds.health_at_most)
        order = all_distances.argsort(axis=1, kind="stable")
        failure_modes = self._vote_failure_modes(candidates, weighed, answered)
        neighbours = self._references.neighbours(self._shown(vectors, embedded, asked, candidates, weighed))
        laps.end(JUDGE)
        return VerdictBatch(
            labels=self.classes.labels[answered],
            failure_modes=failure_modes,
            decisions=hold_back(decisions, beyond),
            reasons=reasons_for(decisions, passes, likelihoods.reject, beyond),
            probabilities=likelihoods.label.astype(np.float32),
            reject_probabilities=None if likelihoods.reject is None else likelihoods.reject.astype(np.float32),
            margins=likelihoods.margin.astype(np.float32),
            novelty=novelty,
            health=health,
            method=self._method,
            method_labels=self.classes.labels[weighed.method_columns],
            anchor_labels=anchors.labels[order],
            anchor_distances=np.take_along_axis(all_distances, order, axis=1),
            neighbours=neighbours,
            residuals=residuals,
            stage_seconds=laps.seconds,
        )

    def _with_newcomers(self, answered: NDArray[np.intp], candidates: Candidates) -> NDArray[np.intp]:
        """Return the answers, those of kinds of rejects among them that the generation has no reference of."""
        if not self._is_newcomer.any():
            return answered
        vote = self._calibration.vote
        nearest = slice(None, vote.n_voting)
        weights = distance_weights(candidates.distances[:, nearest], vote.bandwidth)
        columns = self._columns[candidates.positions[:, nearest]]
        return with_newcomers(answered, columns, weights, self.classes, self._is_newcomer)

    def _novelty_of_passing(self, candidates: Candidates, novelty: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the novelty to passing: rejects that were added since make nothing near enough to pass."""
        if not self._references.has_added:
            return novelty
        added_rejects = self._references.is_added(candidates.positions)
        added_rejects &= ~self.classes.passes[self._columns[candidates.positions]]
        if not added_rejects.any():
            return novelty
        return candidates.novelty(self._calibration.n_novelty, without=added_rejects)

    def _weigh(self, candidates: Candidates, anchor_distances: NDArray[np.float32]) -> Weighed:
        calibration = self._calibration
        return weigh(candidates, anchor_distances, self._columns, self.classes, calibration.mix, calibration.vote)

    def _probabilities(
        self, weighed: Weighed, terms: ResidualTerms | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the probability of each class (Q, C), and of a reject (Q,) or None."""
        model, features = self._calibration.probability, weighed.features
        if not self.classes.has_sides:
            return model.class_probabilities(features, self.classes), None
        rejects = reject_probabilities(model, self._maps.model, features, terms)
        return model.class_probabilities(features, self.classes, rejects), rejects

    def _shown(
        self,
        vectors: NDArray[np.float32],
        embedded: NDArray[np.float32],
        asked: Asked,
        candidates: Candidates,
        weighed: Weighed,
    ) -> Found:
        """Return the neighbours to show: the best of those that voted, unless others or more are asked for."""
        n_candidates = min(self._calibration.rerank.n_candidates, candidates.positions.shape[1])
        are_enough = n_candidates >= min(asked.n_neighbours, self._references.n_counted)
        if not asked.n_neighbours or (are_enough and asked.options == AS_CALIBRATED):
            return Found(candidates, weighed.ranking[:, : asked.n_neighbours], weighed.match_distances)
        return find(self._references, self._calibration, vectors, embedded, asked)

    def _vote_failure_modes(
        self, candidates: Candidates, weighed: Weighed, answered: NDArray[np.intp]
    ) -> tuple[str, ...]:
        """Return the failure mode with the most weight among the voting neighbours that bear the answered label."""
        codes = self._references.failure_codes, self._class_failure_codes
        winners = vote_failure_modes(
            candidates, weighed, answered, self._columns, *codes, self._calibration.vote.n_voting
        )
        return tuple(self._references.failure_mode_names[code] for code in winners.tolist())


def _likelihoods(
    probabilities: NDArray[np.float64], rejects: NDArray[np.float64] | None, answered: NDArray[np.intp]
) -> Likelihoods:
    rows = np.arange(len(answered))
    of_label = probabilities[rows, answered]
    others = probabilities.copy()
    others[rows, answered] = 0.0
    return Likelihoods(of_label, of_label - others.max(axis=1), rejects)
