"""A batch of results as it goes into messages: lists, and what can be encoded for all rows at once."""

from __future__ import annotations

from functools import lru_cache
from operator import add
from typing import TYPE_CHECKING

from miwake.indexer.answers import Decision, DecisionReason, LabelMethod
from miwake.inspection.v1 import answer_pb2
from miwake.server.packing import message, packed_floats, packed_labels, rows_of, single_float
from miwake.server.residual_columns import encoded_residuals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miwake.indexer.answers import NeighbourBatch, VerdictBatch
    from miwake.server.packing import Part

METHODS: Mapping[LabelMethod, answer_pb2.LabelMethod.ValueType] = {
    LabelMethod.NEAREST_ANCHOR: answer_pb2.LABEL_METHOD_NEAREST_ANCHOR,
    LabelMethod.VOTE: answer_pb2.LABEL_METHOD_VOTE,
    LabelMethod.SOART3_VOTE: answer_pb2.LABEL_METHOD_SOART3_VOTE,
}

DECISIONS: Mapping[int, answer_pb2.Decision.ValueType] = {
    Decision.PASS: answer_pb2.DECISION_PASS,
    Decision.REJECT: answer_pb2.DECISION_REJECT,
    Decision.REVIEW: answer_pb2.DECISION_REVIEW,
    Decision.UNKNOWN: answer_pb2.DECISION_UNKNOWN,
}

REASONS: Mapping[DecisionReason, answer_pb2.DecisionReason.ValueType] = {
    DecisionReason.BETWEEN_THRESHOLDS: answer_pb2.DECISION_REASON_BETWEEN_THRESHOLDS,
    DecisionReason.CONTRADICTION: answer_pb2.DECISION_REASON_CONTRADICTION,
    DecisionReason.LABEL_NOT_SURE: answer_pb2.DECISION_REASON_LABEL_NOT_SURE,
    DecisionReason.NOVEL: answer_pb2.DECISION_REASON_NOVEL,
    DecisionReason.MEAN: answer_pb2.DECISION_REASON_MEAN,
    DecisionReason.SPREAD: answer_pb2.DECISION_REASON_SPREAD,
    DecisionReason.GAIN: answer_pb2.DECISION_REASON_GAIN,
    DecisionReason.FOCUS: answer_pb2.DECISION_REASON_FOCUS,
    DecisionReason.SATURATION: answer_pb2.DECISION_REASON_SATURATION,
    DecisionReason.DEAD_LINES: answer_pb2.DECISION_REASON_DEAD_LINES,
}


class NeighbourColumns:
    """A batch of neighbours, ready to be written row by row."""

    def __init__(self, batch: NeighbourBatch) -> None:
        fields = answer_pb2.Neighbours
        self._ids = batch.ids
        self._failure_modes = batch.failure_modes
        parts = [
            *packed_labels(fields.LABELS_FIELD_NUMBER, batch.labels),
            *packed_floats(fields.DISTANCES_FIELD_NUMBER, batch.distances),
            *packed_floats(fields.BETAS_FIELD_NUMBER, batch.beta),
            *packed_floats(fields.ETAS_FIELD_NUMBER, batch.eta),
            *packed_floats(fields.GAMMAS_FIELD_NUMBER, batch.gamma),
            *packed_floats(fields.MATCH_DISTANCES_FIELD_NUMBER, batch.match_distances),
        ]
        self._encoded = rows_of(parts, len(batch))

    def write(self, row: int, neighbours: answer_pb2.Neighbours) -> None:
        """Fill an empty message with one query's neighbours."""
        neighbours.MergeFromString(self._encoded[row])
        neighbours.reference_ids.extend(self._ids[row])
        neighbours.failure_modes.extend(self._failure_modes[row])


class VerdictColumns:
    """A batch of verdicts, ready to be written row by row."""

    def __init__(self, batch: VerdictBatch) -> None:
        self._failure_modes = batch.failure_modes
        self._method = batch.method
        self._labels = batch.labels.tolist()
        self._decisions = batch.decisions.tolist()
        self._method_labels = list(map(tuple, batch.method_labels.tolist()))
        self._reasons = batch.reasons.tolist()
        self._encoded = rows_of(_measures(batch), len(batch))
        if batch.residuals is not None:
            self._encoded = list(map(add, self._encoded, encoded_residuals(batch.residuals)))
        self._neighbours = NeighbourColumns(batch.neighbours)

    def write(self, row: int, verdict: answer_pb2.Verdict) -> None:
        """Fill an empty message with the verdict on one query."""
        found = self._method_labels[row]
        codes = _codes(self._method, self._labels[row], self._decisions[row], found, self._reasons[row])
        verdict.MergeFromString(codes + self._encoded[row])
        verdict.failure_mode = self._failure_modes[row]
        self._neighbours.write(row, verdict.neighbours)


def _measures(batch: VerdictBatch) -> list[Part]:
    """Return the encoding of all that is measured of the verdicts themselves."""
    fields, anchors = answer_pb2.Verdict, answer_pb2.AnchorDistances
    parts = [
        *single_float(fields.PROBABILITY_FIELD_NUMBER, batch.probabilities),
        *single_float(fields.MARGIN_FIELD_NUMBER, batch.margins),
        *single_float(fields.NOVELTY_FIELD_NUMBER, batch.novelty),
        *packed_floats(fields.HEALTH_FIELD_NUMBER, batch.health),
    ]
    if batch.reject_probabilities is not None:
        parts += single_float(fields.REJECT_PROBABILITY_FIELD_NUMBER, batch.reject_probabilities)
    if batch.anchor_labels.shape[1]:
        of_anchors = [
            *packed_labels(anchors.LABELS_FIELD_NUMBER, batch.anchor_labels),
            *packed_floats(anchors.DISTANCES_FIELD_NUMBER, batch.anchor_distances),
        ]
        parts += message(fields.ANCHORS_FIELD_NUMBER, of_anchors)
    return parts


@lru_cache(maxsize=4096)
def _codes(method: LabelMethod, label: int, decision: int, method_labels: tuple[int, ...], reasons: int) -> bytes:
    """Return a verdict with nothing but its codes, serialised: there are few combinations."""
    pairs = zip(METHODS.values(), method_labels, strict=True)
    return answer_pb2.Verdict(
        label=label,
        decision=DECISIONS[decision],
        method=METHODS[method],
        method_labels=[answer_pb2.MethodLabel(method=one, label=found) for one, found in pairs],
        reasons=[told for reason, told in REASONS.items() if reason & reasons],
    ).SerializeToString()
