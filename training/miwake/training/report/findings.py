"""Everything that a report shows, found once from an examination."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.assessing.figures import WAYS
from miwake.indexer.records import is_pass
from miwake.training.grids import by_way
from miwake.training.report.cases import worst_cases
from miwake.training.report.pair_distances import pair_distances
from miwake.training.report.pass_and_reject import gap, reject_probabilities, trade_off
from miwake.training.report.reliability import reliability
from miwake.training.report.watching import health_shares, novelty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.assessing.answering import Answer
    from miwake.indexer.embedder import Embedder, EmbedderCard
    from miwake.indexer.evaluation import Evaluation
    from miwake.training.evaluate import EmbedderEvaluation, Examination
    from miwake.training.report.cases import WorstCases
    from miwake.training.report.learning import Learning
    from miwake.training.report.pair_distances import PairDistances
    from miwake.training.report.pass_and_reject import Gap, TradeOff
    from miwake.training.report.reliability import Bin
    from miwake.training.report.watching import HealthShares, Novelty


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a report shows.

    Attributes
    ----------
    examined : Examination
    card : EmbedderCard
    way : text
        What an index would answer by, of ``Figures.ways``.
    fingerprint : text
        SHA-256 over the row hashes of the queries, in order.
    failure_modes : by label, text
        The usual one.
    bins : tuple of Bin
        Of the way's probabilities; empty where it tells none.
    pairs : PairDistances
    trade_off, gap : TradeOff and Gap, or None
        None without pass labels, or without passes or rejects.
    worst : WorstCases
    health, novelty : HealthShares and Novelty, or None
        None where the artifact does not say what is ordinary, and where nothing could be calibrated.
    learning : Learning or None
        None where there is no log.
    """

    examined: Examination
    card: EmbedderCard
    way: str
    fingerprint: str
    failure_modes: dict[int, str]
    bins: tuple[Bin, ...]
    pairs: PairDistances
    trade_off: TradeOff | None
    gap: Gap | None
    worst: WorstCases
    health: HealthShares | None
    novelty: Novelty | None
    learning: Learning | None

    @property
    def evaluation(self) -> EmbedderEvaluation:
        """All figures."""
        return self.examined.evaluation

    @property
    def answering(self) -> Evaluation:
        """How right the way is that an index would answer by."""
        return by_way(self.way, self.evaluation)

    @property
    def has_sides(self) -> bool:
        """Whether there are pass labels."""
        return bool(self.examined.queries.pass_labels)

    def name(self, label: int) -> str:
        """Return a label with its usual failure mode."""
        return f"{label} {self.failure_modes.get(label, '')}".strip()

    def name_and_side(self, label: int) -> str:
        """Return a label with its usual failure mode, and that it means pass where the mode does not say so."""
        is_told = self.failure_modes.get(label, "").lower() == "pass"
        return self.name(label) + (" (pass)" if label in self.examined.queries.pass_labels and not is_told else "")


def find(examined: Examination, embedder: Embedder, learning: Learning | None) -> Findings:
    """Return everything that a report shows."""
    queries, trial = examined.queries, examined.trial
    way = examined.evaluation.answering_way()
    answer = _answer(examined, way)
    rejects = _rejects(examined)
    return Findings(
        examined=examined,
        card=embedder.card,
        way=way,
        fingerprint=hashlib.sha256("\n".join(queries.row_hashes()).encode()).hexdigest(),
        failure_modes=_usual_failure_modes(examined),
        bins=_bins(examined, answer),
        pairs=pair_distances(trial),
        trade_off=None if rejects is None else trade_off(rejects, ~is_pass(queries.labels, queries.pass_labels)),
        gap=_gap(examined),
        worst=worst_cases(examined, answer, rejects),
        health=health_shares(embedder, queries),
        novelty=novelty(trial, queries.parts),
        learning=learning,
    )


def _answer(examined: Examination, way: str) -> Answer:
    found: Answer | None = getattr(examined.answers, WAYS[way])
    return examined.answers.nearest_references if found is None else found


def _bins(examined: Examination, answer: Answer) -> tuple[Bin, ...]:
    if answer.probabilities is None:
        return ()
    queries = examined.queries
    return reliability(answer.probabilities, answer.labels == queries.labels, queries.parts)


def _gap(examined: Examination) -> Gap | None:
    pass_labels = examined.queries.pass_labels
    if not pass_labels:
        return None
    asked, known = examined.trial.queries, examined.trial.references
    return gap(
        asked.embeddings,
        ~is_pass(asked.labels, pass_labels),
        known.embeddings,
        ~is_pass(known.labels, pass_labels),
    )


def _rejects(examined: Examination) -> NDArray[np.float64] | None:
    if examined.indexed is None or not examined.queries.pass_labels:
        return None
    return reject_probabilities(examined.indexed, examined.queries.pass_labels)


def _usual_failure_modes(examined: Examination) -> dict[int, str]:
    counted: dict[int, Counter[str]] = {}
    for records in (examined.queries, examined.references):
        for label, mode in zip(records.labels.tolist(), records.failure_modes, strict=True):
            counted.setdefault(label, Counter())[mode] += 1
    return {label: modes.most_common(1)[0][0] for label, modes in counted.items()}
