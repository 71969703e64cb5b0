"""What a fitted embedder is worth on rows that it has not seen: nearest anchor and nearest references side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.anchor_fitting import Members, fit_anchors
from miwake.indexer.errors import DataError, EmbedderError
from miwake.indexer.evaluation import Evaluation, evaluate
from miwake.indexer.splits import held_out_split
from miwake.training.errors import FittedRowsError
from miwake.training.retrieval import N_VOTING, anchor_labels, vote_labels

if TYPE_CHECKING:
    from miwake.indexer.embedder import Embedder
    from miwake.indexer.records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderEvaluation:
    """The two plain ways to a label, on the same queries.

    Attributes
    ----------
    source, embedder_id : text
    n_queries, n_query_parts, n_references : int
    nearest_anchor : Evaluation
        The label of the nearest class-mean anchor.
    nearest_references : Evaluation
        The majority of the 15 nearest references; its probability is the share of the votes, not calibrated.
    """

    source: str
    embedder_id: str
    n_queries: int
    n_query_parts: int
    n_references: int
    nearest_anchor: Evaluation
    nearest_references: Evaluation

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def evaluate_held_out(embedder: Embedder, records: Records) -> EmbedderEvaluation:
    """Evaluate on the held-out split of ``records``, against its training split as references.

    Raises
    ------
    FittedRowsError
        If the embedder was fitted on any of the held-out rows.
    DataError, EmbedderError
        If one side of the split is empty, or the data do not fit the embedder.
    """
    references, queries = held_out_split(records)
    if not len(references) or not len(queries):
        message = (
            f"{records.source}: {len(references)} training and {len(queries)} held-out rows, expected some of each"
        )
        raise DataError(message)
    return _evaluate(embedder, queries, references)


def evaluate_all(embedder: Embedder, records: Records) -> EmbedderEvaluation:
    """Evaluate on every row of ``records`` against all the others that are not of its own part.

    Raises
    ------
    FittedRowsError
        If the embedder was fitted on any of the rows.
    EmbedderError
        If the data do not fit the embedder.
    """
    return _evaluate(embedder, records, records)


def _evaluate(embedder: Embedder, queries: Records, references: Records) -> EmbedderEvaluation:
    _refuse_misfits(embedder, queries)
    refuse_fitted_rows(embedder, queries)
    query_embeddings = embedder.embed(queries.vectors)
    is_same = queries is references
    reference_embeddings = query_embeddings if is_same else embedder.embed(references.vectors)
    own_parts = tuple(part or row for part, row in zip(queries.parts, queries.ids, strict=True))
    voted, shares = vote_labels(
        query_embeddings,
        reference_embeddings,
        references.labels,
        query_parts=own_parts,
        reference_parts=own_parts if is_same else references.parts,
        n_voting=N_VOTING,
    )
    members = Members(references.vectors, reference_embeddings, references.labels)
    anchors, _ = fit_anchors(members, embedder, held_out=np.zeros(len(references), dtype=np.bool_))
    nearest = anchor_labels(query_embeddings, anchors.embeddings, anchors.labels)
    return EmbedderEvaluation(
        source=queries.source,
        embedder_id=embedder.card.embedder_id,
        n_queries=len(queries),
        n_query_parts=len(set(own_parts)),
        n_references=len(references),
        nearest_anchor=evaluate(queries.labels, nearest, pass_labels=queries.pass_labels, parts=queries.parts),
        nearest_references=evaluate(
            queries.labels, voted, pass_labels=queries.pass_labels, parts=queries.parts, probabilities=shares
        ),
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
