"""A batch of results as it goes into messages: lists, and what can be encoded for all rows at once."""

from __future__ import annotations

from functools import lru_cache
from operator import add
from typing import TYPE_CHECKING

from miwake.indexer.answers import Decision, DecisionReason, LabelMethod
from miwake.inspection.v1 import answer_pb2
from miwake.server.packing import packed_floats
from miwake.server.residual_columns import encoded_residuals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miwake.indexer.answers import NeighbourBatch, VerdictBatch

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
        self._labels = batch.labels.tolist()
        self._failure_modes = batch.failure_modes
        self._measures = packed_floats(
            {
                fields.DISTANCES_FIELD_NUMBER: batch.distances,
                fields.BETAS_FIELD_NUMBER: batch.beta,
                fields.ETAS_FIELD_NUMBER: batch.eta,
                fields.GAMMAS_FIELD_NUMBER: batch.gamma,
                fields.MATCH_DISTANCES_FIELD_NUMBER: batch.match_distances,
            }
        )

    def write(self, row: int, neighbours: answer_pb2.Neighbours) -> None:
        """Fill an empty message with one query's neighbours."""
        neighbours.reference_ids.extend(self._ids[row])
        neighbours.labels.extend(self._labels[row])
        neighbours.failure_modes.extend(self._failure_modes[row])
        neighbours.MergeFromString(self._measures[row])


class VerdictColumns:
    """A batch of verdicts, ready to be written row by row."""

    def __init__(self, batch: VerdictBatch) -> None:
        rejects = batch.reject_probabilities
        self._labels = batch.labels.tolist()
        self._failure_modes = batch.failure_modes
        self._decisions = batch.decisions.tolist()
        self._probabilities = batch.probabilities.tolist()
        self._reject_probabilities = None if rejects is None else rejects.tolist()
        self._margins = batch.margins.tolist()
        self._novelty = batch.novelty.tolist()
        self._method = METHODS[batch.method]
        self._method_labels = batch.method_labels.tolist()
        self._reasons = batch.reasons.tolist()
        self._encoded = packed_floats({answer_pb2.Verdict.HEALTH_FIELD_NUMBER: batch.health})
        if batch.residuals is not None:
            self._encoded = list(map(add, self._encoded, encoded_residuals(batch.residuals)))
        self._anchor_labels = batch.anchor_labels.tolist()
        self._anchor_distances = packed_floats(
            {answer_pb2.AnchorDistances.DISTANCES_FIELD_NUMBER: batch.anchor_distances}
        )
        self._neighbours = NeighbourColumns(batch.neighbours)

    def write(self, row: int, verdict: answer_pb2.Verdict) -> None:
        """Fill an empty message with the verdict on one query."""
        verdict.label = self._labels[row]
        verdict.failure_mode = self._failure_modes[row]
        verdict.decision = DECISIONS[self._decisions[row]]
        verdict.probability = self._probabilities[row]
        if self._reject_probabilities is not None:
            verdict.reject_probability = self._reject_probabilities[row]
        verdict.margin = self._margins[row]
        verdict.novelty = self._novelty[row]
        verdict.method = self._method
        found = _labels_and_reasons(tuple(self._method_labels[row]), self._reasons[row])
        verdict.MergeFromString(found + self._encoded[row])
        anchors = verdict.anchors
        anchors.labels.extend(self._anchor_labels[row])
        anchors.MergeFromString(self._anchor_distances[row])
        self._neighbours.write(row, verdict.neighbours)


@lru_cache(maxsize=4096)
def _labels_and_reasons(labels: tuple[int, ...], reasons: int) -> bytes:
    """Return a verdict with nothing but these method labels and reasons, serialised: there are few combinations."""
    pairs = zip(METHODS.values(), labels, strict=True)
    found = [answer_pb2.MethodLabel(method=method, label=label) for method, label in pairs]
    told = [message for reason, message in REASONS.items() if reason & reasons]
    return answer_pb2.Verdict(method_labels=found, reasons=told).SerializeToString()
