"""Measuring everything about one trial once, and reading it off for all queries, for each class and for each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.assessing.figures import Assessment, ClassFigures, Figures, GroupFigures, values_of
from miwake.indexer.assessing.identification import N_RANKS, search_anchors, search_references
from miwake.indexer.assessing.open_set import open_set
from miwake.indexer.assessing.verification import anchor_pairs, reference_pairs
from miwake.indexer.evaluation import evaluate

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from miwake.indexer.assessing.answering import Answer
    from miwake.indexer.assessing.identification import Search
    from miwake.indexer.assessing.trial import Distance, Trial
    from miwake.indexer.assessing.verification import Pairs
    from miwake.indexer.evaluation import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What each way to a label says of Q queries; see ``Figures``."""

    nearest_anchor: Answer
    nearest_mean_embedding: Answer
    nearest_references: Answer
    vote: Answer | None = None
    soart3_vote: Answer | None = None


def assess(
    trial: Trial,
    answers: Answers,
    *,
    parts: Sequence[str],
    groups: Sequence[str],
    pass_labels: Sequence[int],
    known_to_embedder: Collection[int] = (),
    seed: int = 0,
) -> Assessment:
    """Return all figures of a trial.

    Parameters
    ----------
    answers : Answers
        To its Q queries.
    parts, groups : Q texts
        Empty where not known.
    known_to_embedder : collection of int
        Labels that the embedder was trained on.
    seed : int
        Of the pairs that are drawn.
    """
    nearest = _nearest_of_each_class(trial)
    euclidean = nearest["euclidean"]
    measured = _Measured(
        trial=trial,
        answers=answers,
        parts=np.array(parts, dtype=object),
        pass_labels=tuple(pass_labels),
        known_to_embedder=frozenset(known_to_embedder),
        pairs={
            "references": reference_pairs(trial, seed=seed),
            "anchors": anchor_pairs(trial, "class-mean"),
            "mean_embeddings": anchor_pairs(trial, "mean-embedding"),
        },
        searches={
            "references": search_references(trial, nearest),
            "anchors": search_anchors(trial, "class-mean"),
            "mean_embeddings": search_anchors(trial, "mean-embedding"),
        },
        nearest=trial.to_references(euclidean.reshape(len(euclidean), -1), "euclidean").reshape(euclidean.shape),
    )
    everything = measured.figures(np.ones(len(parts), dtype=np.bool_), with_curves=True)
    return Assessment(
        **values_of(everything),
        classes=tuple(measured.of_class(label, everything) for label in np.unique(trial.queries.labels).tolist()),
        groups=measured.by_group(groups),
    )


def _nearest_of_each_class(trial: Trial) -> dict[Distance, NDArray[np.int64]]:
    """Return the positions (Q, C, 20) of each class's nearest references; SOART3 compares the Euclidean ones."""

    def found(by: Distance) -> NDArray[np.int64]:
        of_class = [np.flatnonzero(trial.references.labels == label) for label in trial.classes]
        return np.stack([trial.nearest(rows, N_RANKS, by=by) for rows in of_class], axis=1)

    euclidean = found("euclidean")
    cosine = euclidean if trial.is_unit else found("cosine")
    return {name: cosine if name == "cosine" else euclidean for name in trial.distances}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """Everything that is measured once; ``nearest`` (Q, C, 20) are Euclidean distances."""

    trial: Trial
    answers: Answers
    parts: NDArray[np.object_]
    pass_labels: tuple[int, ...]
    known_to_embedder: frozenset[int]
    pairs: dict[str, Pairs]
    searches: dict[str, dict[Distance, Search]]
    nearest: NDArray[np.float32]

    def figures(self, queries: NDArray[np.bool_], *, with_curves: bool = False, with_open_set: bool = True) -> Figures:
        """Return the figures of some queries, a mask (Q,)."""
        parts = self.parts.tolist()
        own_parts = [part or row for row, part in enumerate(parts) if queries[row]]
        return Figures(
            n_queries=int(queries.sum()),
            n_query_parts=len(set(own_parts)),
            nearest_anchor=self._evaluated(self.answers.nearest_anchor, queries),
            nearest_mean_embedding=self._evaluated(self.answers.nearest_mean_embedding, queries),
            nearest_references=self._evaluated(self.answers.nearest_references, queries),
            vote=None if self.answers.vote is None else self._evaluated(self.answers.vote, queries),
            soart3_vote=None
            if self.answers.soart3_vote is None
            else self._evaluated(self.answers.soart3_vote, queries),
            verification={
                name: pairs.separations(queries, with_curve=with_curves) for name, pairs in self.pairs.items()
            },
            identification={
                name: {by: one.identification(queries, parts, with_curve=with_curves) for by, one in found.items()}
                for name, found in self.searches.items()
            },
            open_set=open_set(
                self.nearest[queries],
                self.trial.queries.labels[queries],
                self.trial.classes,
                pass_labels=self.pass_labels,
                known_to_embedder=self.known_to_embedder,
            )
            if with_open_set
            else None,
        )

    def of_class(self, label: int, everything: Figures) -> ClassFigures:
        """Return the figures of the queries of one class, given those of all."""
        figures = self.figures(self.trial.queries.labels == label, with_open_set=False)
        counts = {name: _counts(way, label) for name, way in everything.ways().items() if way is not None}
        return ClassFigures(
            **values_of(figures),
            label=label,
            is_pass=label in self.pass_labels if self.pass_labels else None,
            n_references=int((self.trial.references.labels == label).sum()),
            precision={name: right / found if found else None for name, (right, found, _) in counts.items()},
            f1={name: 2 * right / (found + true) for name, (right, found, true) in counts.items()},
        )

    def by_group(self, groups: Sequence[str]) -> tuple[GroupFigures, ...]:
        """Return the figures of each group of parts; nothing where no query names one."""
        if not any(groups):
            return ()
        of_query = np.array(groups, dtype=object)
        return tuple(
            GroupFigures(**values_of(self.figures(of_query == group)), group=group) for group in sorted(set(groups))
        )

    def _evaluated(self, answer: Answer, queries: NDArray[np.bool_]) -> Evaluation:
        return evaluate(
            self.trial.queries.labels[queries],
            answer.labels[queries],
            pass_labels=self.pass_labels,
            probabilities=None if answer.probabilities is None else answer.probabilities[queries],
            parts=self.parts[queries].tolist(),
        )


def _counts(way: Evaluation, label: int) -> tuple[int, int, int]:
    """Return how many rows of a label were found, were answered with it, and bear it."""
    column = way.labels.index(label)
    answered = sum(row[column] for row in way.confusion)
    return way.confusion[column][column], answered, sum(way.confusion[column])
