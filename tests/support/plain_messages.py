"""The slow twin of ``miwake.server.columns``: verdicts as messages, each built from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miwake.inspection.v1 import answer_pb2

if TYPE_CHECKING:
    from miwake.indexer.answers import NeighbourBatch, ResidualBatch, VerdictBatch

METHODS = (
    answer_pb2.LABEL_METHOD_NEAREST_ANCHOR,
    answer_pb2.LABEL_METHOD_VOTE,
    answer_pb2.LABEL_METHOD_SOART3_VOTE,
)

REASONS = (
    answer_pb2.DECISION_REASON_BETWEEN_THRESHOLDS,
    answer_pb2.DECISION_REASON_CONTRADICTION,
    answer_pb2.DECISION_REASON_LABEL_NOT_SURE,
    answer_pb2.DECISION_REASON_NOVEL,
    answer_pb2.DECISION_REASON_MEAN,
    answer_pb2.DECISION_REASON_SPREAD,
    answer_pb2.DECISION_REASON_GAIN,
    answer_pb2.DECISION_REASON_FOCUS,
    answer_pb2.DECISION_REASON_SATURATION,
    answer_pb2.DECISION_REASON_DEAD_LINES,
)


def plain_verdict(batch: VerdictBatch, row: int) -> answer_pb2.Verdict:
    """Return the verdict on one query."""
    rejects = batch.reject_probabilities
    return answer_pb2.Verdict(
        label=int(batch.labels[row]),
        failure_mode=batch.failure_modes[row],
        decision=answer_pb2.Decision.ValueType(int(batch.decisions[row])),
        probability=float(batch.probabilities[row]),
        reject_probability=None if rejects is None else float(rejects[row]),
        margin=float(batch.margins[row]),
        novelty=float(batch.novelty[row]),
        reasons=[REASONS[bit] for bit in range(len(REASONS)) if int(batch.reasons[row]) >> bit & 1],
        health=batch.health[row].tolist(),
        method=METHODS[batch.method - 1],
        method_labels=[
            answer_pb2.MethodLabel(method=method, label=int(label))
            for method, label in zip(METHODS, batch.method_labels[row], strict=True)
        ],
        anchors=answer_pb2.AnchorDistances(
            labels=batch.anchor_labels[row].tolist(), distances=batch.anchor_distances[row].tolist()
        ),
        neighbours=plain_neighbours(batch.neighbours, row),
        residuals=None if batch.residuals is None else plain_residuals(batch.residuals, row),
    )


def plain_residuals(batch: ResidualBatch, row: int) -> answer_pb2.Residuals | None:
    """Return the residuals of one query, None where it was compared with no map."""
    if not batch.reference[row]:
        return None
    return answer_pb2.Residuals(
        reference=(answer_pb2.REFERENCE_MAP_TEMPLATE, answer_pb2.REFERENCE_MAP_CLASS_MEAN)[batch.reference[row] - 1],
        shift_rows=int(batch.shift_rows[row]),
        shift_columns=int(batch.shift_columns[row]),
        beta=float(batch.beta[row]),
        eta=float(batch.eta[row]),
        gamma=float(batch.gamma[row]),
        l2=float(batch.l2[row]),
        l6=float(batch.l6[row]),
        largest=float(batch.largest[row]),
        standardised_l2=float(batch.standardised_l2[row]),
        standardised_l6=float(batch.standardised_l6[row]),
        standardised_largest=float(batch.standardised_largest[row]),
    )


def plain_neighbours(batch: NeighbourBatch, row: int) -> answer_pb2.Neighbours:
    """Return the neighbours of one query."""
    return answer_pb2.Neighbours(
        reference_ids=batch.ids[row],
        labels=batch.labels[row].tolist(),
        failure_modes=batch.failure_modes[row],
        distances=batch.distances[row].tolist(),
        betas=batch.beta[row].tolist(),
        etas=batch.eta[row].tolist(),
        gammas=batch.gamma[row].tolist(),
        match_distances=batch.match_distances[row].tolist(),
    )
