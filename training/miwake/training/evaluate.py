"""What a fitted embedder is worth on rows that it has not seen: every way to a label, verification, open set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.answers import LabelMethod
from miwake.indexer.assessing.answering import Answer, answer, calibrate_references, with_maps
from miwake.indexer.assessing.assess import Answers, assess
from miwake.indexer.assessing.figures import Assessment, values_of
from miwake.indexer.assessing.trial import Fit, Trial, part_codes
from miwake.indexer.building.anchor_fitting import Members, fit_kinds
from miwake.indexer.errors import CalibrationError, DataError, EmbedderError
from miwake.indexer.splits import divide_for_calibration, held_out_split
from miwake.indexer.verdict.measuring import Sample
from miwake.training.errors import FittedRowsError
from miwake.training.retrieval import N_VOTING, anchor_labels, vote_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from miwake.indexer.anchors import AnchorKind
    from miwake.indexer.assessing.answering import IndexAnswers
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.records import Records
    from miwake.indexer.verdict.calibration import Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationUsed:
    """What SOART3 and the probabilities rest on: references that the embedder was not fitted on, and no query.

    Attributes
    ----------
    n_rows, n_parts : int
    method, anchors : text
        The way to a label that an index of these references would answer by, and its kind of anchors.
    space : text
        Where SOART3 compares: ``embedding`` or ``raw``.
    p_eta, p_gamma : int
        Its powers.
    """

    n_rows: int
    n_parts: int
    method: str
    anchors: str
    space: str
    p_eta: int
    p_gamma: int

    def way(self) -> str:
        """Return what its method is called among ``Figures.ways``."""
        anchor = "nearest anchor" if self.anchors == "class-mean" else "nearest mean embedding"
        return {"nearest_anchor": anchor, "vote": "vote", "soart3_vote": "SOART3 vote"}[self.method]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderEvaluation(Assessment):
    """What a fitted embedder is worth on rows that it has not seen.

    Attributes
    ----------
    source, embedder_id : text
    n_references : int
    calibrations : tuple of CalibrationUsed
        One, or with all rows as queries one for each half of the parts, fitted on the other half.
    not_calibrated : text
        Why there are none, and so neither SOART3 nor calibrated probabilities; else empty.
    """

    source: str
    embedder_id: str
    n_references: int
    calibrations: tuple[CalibrationUsed, ...]
    not_calibrated: str

    def answering_way(self) -> str:
        """Return which of ``ways`` an index would answer by; the majority where nothing could be calibrated."""
        return self.calibrations[0].way() if self.calibrations else "15 nearest"


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries that were put to references: what every way says, and why nothing was calibrated, or the empty text."""

    trial: Trial
    answers: Answers
    indexed: IndexAnswers | None
    not_calibrated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """An evaluation, and what it was read off.

    Attributes
    ----------
    evaluation : EmbedderEvaluation
    queries, references : Records
        Q and R rows; the same where all rows are asked.
    trial : Trial
        Their embeddings, and the anchors of the references.
    answers : Answers
        The labels that each way gives the queries.
    indexed : IndexAnswers or None
        What an index of the references says of the queries; None where nothing could be calibrated.
    """

    evaluation: EmbedderEvaluation
    queries: Records
    references: Records
    trial: Trial
    answers: Answers
    indexed: IndexAnswers | None


def evaluate_held_out(embedder: Embedder, records: Records) -> EmbedderEvaluation:
    """Evaluate on the held-out split of ``records``, against its training split as references.

    Raises
    ------
    FittedRowsError
        If the embedder was fitted on any of the held-out rows.
    DataError, EmbedderError
        If one side of the split is empty, or the data do not fit the embedder.
    """
    return examine_held_out(embedder, records).evaluation


def evaluate_all(embedder: Embedder, records: Records) -> EmbedderEvaluation:
    """Evaluate on every row of ``records`` against all the others that are not of its own part.

    The anchors are those of all rows, so that a row has a small say in the anchor of its own class.

    Raises
    ------
    FittedRowsError
        If the embedder was fitted on any of the rows.
    EmbedderError
        If the data do not fit the embedder.
    """
    return examine_all(embedder, records).evaluation


def examine_held_out(embedder: Embedder, records: Records) -> Examination:
    """Return what ``evaluate_held_out`` does, with what it was read off."""
    references, queries = held_out_sides(records)
    return _examine(embedder, queries, references)


def held_out_sides(records: Records) -> tuple[Records, Records]:
    """Return the training rows, which are references, and the held-out rows, which are queries.

    Raises
    ------
    DataError
        If there are none on one side.
    """
    references, queries = held_out_split(records)
    if not len(references) or not len(queries):
        message = (
            f"{records.source}: {len(references)} training and {len(queries)} held-out rows, expected some of each"
        )
        raise DataError(message)
    return references, queries


def examine_all(embedder: Embedder, records: Records) -> Examination:
    """Return what ``evaluate_all`` does, with what it was read off."""
    return _examine(embedder, records, records)


def ask(embedder: Embedder, queries: Records, references: Records) -> Asked:
    """Put queries to references, every way to a label; where both are the same records, each to the other parts.

    Raises
    ------
    FittedRowsError
        If the embedder was fitted on any of the queries.
    EmbedderError
        If the data do not fit the embedder.
    """
    _refuse_misfits(embedder, queries)
    refuse_fitted_rows(embedder, queries)
    query_parts = tuple(part or row for part, row in zip(queries.parts, queries.ids, strict=True))
    reference_parts = query_parts if queries is references else references.parts
    trial, why_not = _calibrated(
        _trial(embedder, queries, references, query_parts, reference_parts), embedder, references
    )
    indexed = answer(trial, queries.pass_labels) if trial.fits else None
    return Asked(trial, _answers(trial, query_parts, reference_parts, indexed), indexed, why_not)


def _examine(embedder: Embedder, queries: Records, references: Records) -> Examination:
    asked = ask(embedder, queries, references)
    found = assess(
        asked.trial,
        asked.answers,
        parts=queries.parts,
        groups=queries.groups,
        pass_labels=queries.pass_labels,
        known_to_embedder=embedder.card.labels,
    )
    evaluation = EmbedderEvaluation(
        **values_of(found),
        source=queries.source,
        embedder_id=embedder.card.embedder_id,
        n_references=len(references),
        calibrations=tuple(_used(fit) for fit in asked.trial.fits),
        not_calibrated=asked.not_calibrated,
    )
    return Examination(
        evaluation=evaluation,
        queries=queries,
        references=references,
        trial=asked.trial,
        answers=asked.answers,
        indexed=asked.indexed,
    )


def _trial(
    embedder: Embedder,
    queries: Records,
    references: Records,
    query_parts: Sequence[str],
    reference_parts: Sequence[str],
) -> Trial:
    asked = _sample(embedder, queries)
    known = asked if queries is references else _sample(embedder, references)
    members = Members(known.vectors, known.embeddings, known.labels)
    fitted = fit_kinds(members, embedder, held_out=np.zeros(len(references), dtype=np.bool_))
    anchors = {kind: of_all for kind, (of_all, _) in fitted.items()}
    is_same = asked is known
    asked = with_maps(asked, embedder, anchors["class-mean"], references.pass_labels, queries.templates)
    known = asked if is_same else known
    query_codes, reference_codes = part_codes(query_parts, reference_parts)
    return Trial(asked, known, anchors, query_codes, reference_codes)


def _sample(embedder: Embedder, records: Records) -> Sample:
    return Sample(
        embeddings=embedder.embed(records.vectors),
        vectors=records.vectors,
        labels=records.labels,
        value_range=embedder.card.value_range,
    )


def _calibrated(trial: Trial, embedder: Embedder, references: Records) -> tuple[Trial, str]:
    """Return the trial with what can be calibrated without any part of a query, or why nothing can be."""
    everyone = np.arange(len(trial.queries.labels))
    if trial.queries is trial.references:
        is_first = divide_for_calibration(references.labels, references.parts, share=0.5)
        sides = [(np.flatnonzero(half), np.flatnonzero(~half)) for half in (is_first, ~is_first)]
    else:
        sides = [(everyone, np.arange(len(references)))]
    try:
        fits = [Fit(queries, *_calibration(trial.references, rows, embedder, references)) for queries, rows in sides]
    except CalibrationError as error:
        return trial, str(error)
    return replace(trial, fits=tuple(fits)), ""


def _calibration(
    known: Sample, rows: NDArray[np.intp], embedder: Embedder, references: Records
) -> tuple[Calibration, AnchorKind]:
    taken = references.take(rows)
    sample = replace(known, embeddings=known.embeddings[rows], vectors=taken.vectors, labels=taken.labels)
    return calibrate_references(
        sample, taken.row_hashes(), taken.parts, embedder, references.pass_labels, taken.templates
    )


def _answers(
    trial: Trial, query_parts: Sequence[str], reference_parts: Sequence[str], found: IndexAnswers | None
) -> Answers:
    queries, references = trial.queries.embeddings, trial.references.embeddings
    voted, shares = vote_labels(
        queries,
        references,
        trial.references.labels,
        query_parts=query_parts,
        reference_parts=reference_parts,
        n_voting=N_VOTING,
    )
    majority = Answer(voted, shares)
    nearest, nearest_mean = (
        anchor_labels(queries, anchors.embeddings, anchors.labels)
        for anchors in (trial.anchors["class-mean"], trial.anchors["mean-embedding"])
    )
    if found is None:
        return Answers(
            nearest_anchor=Answer(nearest), nearest_mean_embedding=Answer(nearest_mean), nearest_references=majority
        )
    return Answers(
        nearest_anchor=found.of(nearest),
        nearest_mean_embedding=found.of(nearest_mean),
        nearest_references=majority,
        vote=found.by(LabelMethod.VOTE),
        soart3_vote=found.by(LabelMethod.SOART3_VOTE),
    )


def _used(fit: Fit) -> CalibrationUsed:
    calibration = fit.calibration
    return CalibrationUsed(
        n_rows=calibration.evidence.n_rows,
        n_parts=calibration.evidence.n_parts,
        method=calibration.method,
        anchors=fit.anchors,
        space=calibration.rerank.space,
        p_eta=calibration.rerank.p_eta,
        p_gamma=calibration.rerank.p_gamma,
    )


def refuse_fitted_rows(embedder: Embedder, queries: Records) -> None:
    """Raise ``FittedRowsError`` if any row is one that the embedder was fitted on."""
    known = set(embedder.card.fit_row_hashes)
    fitted = np.flatnonzero([one in known for one in queries.row_hashes()])
    if len(fitted):
        raise FittedRowsError(
            source=queries.source, n_fitted=len(fitted), n_rows=len(queries), first=queries.ids[fitted[0]]
        )


def _refuse_misfits(embedder: Embedder, queries: Records) -> None:
    if queries.vectors.shape[1] != embedder.card.n_values:
        message = (
            f"{queries.source}: vectors of {queries.vectors.shape[1]} values, the embedder takes "
            f"{embedder.card.n_values}"
        )
        raise EmbedderError(message)
    scale = embedder.scale()
    codes = scale.refusals(queries.vectors)
    bad = np.flatnonzero(codes)
    if len(bad):
        why = scale.explain(int(codes[bad[0]]), queries.vectors[bad[0]])
        message = (
            f"{queries.source}: {len(bad)} rows do not fit the embedder, the first is {queries.ids[bad[0]]}: {why}"
        )
        raise EmbedderError(message)
