"""The slow twin of answers in arrays: a message's arrays from plain messages, and back, value by value."""

from __future__ import annotations

import struct
from itertools import count
from typing import TYPE_CHECKING, Any

from miwake.inspection.v1 import answer_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INT32, UINT32, UINT8, FLOAT32 = "i", "I", "B", "f"


def in_arrays(
    answers: Sequence[answer_pb2.Answer],
) -> tuple[list[answer_pb2.Answer], answer_pb2.VerdictArrays | None]:
    """Return answers that give rows in the place of plain ones, and the arrays; None where there is no verdict."""
    verdicts = [answer.verdict for answer in answers if answer.HasField("verdict")]
    rows = count()
    found = []
    for answer in answers:
        one = answer_pb2.Answer.FromString(answer.SerializeToString())
        if one.HasField("verdict"):
            residuals = answer.verdict.residuals if answer.verdict.HasField("residuals") else None
            one.verdict.CopyFrom(answer_pb2.Verdict(row=next(rows), residuals=residuals))
        found.append(one)
    return found, plain_arrays(verdicts) if verdicts else None


def plain_arrays(verdicts: Sequence[answer_pb2.Verdict]) -> answer_pb2.VerdictArrays:
    """Return verdicts with the same methods, and as many anchors and neighbours each, in arrays."""
    methods = [found.method for found in verdicts[0].method_labels]
    return answer_pb2.VerdictArrays(
        labels=_packed(INT32, [one.label for one in verdicts]),
        failure_modes=[one.failure_mode for one in verdicts],
        decisions=_packed(UINT8, [one.decision for one in verdicts]),
        probabilities=_packed(FLOAT32, [one.probability for one in verdicts]),
        reject_probabilities=_packed(
            FLOAT32, [one.reject_probability for one in verdicts if one.HasField("reject_probability")]
        ),
        margins=_packed(FLOAT32, [one.margin for one in verdicts]),
        novelty=_packed(FLOAT32, [one.novelty for one in verdicts]),
        method=verdicts[0].method,
        methods=methods,
        method_labels=_packed(INT32, [found.label for one in verdicts for found in one.method_labels]),
        reasons=_packed(UINT32, [sum(1 << (reason - 1) for reason in one.reasons) for one in verdicts]),
        health=_packed(FLOAT32, [value for one in verdicts for value in one.health]),
        anchor_labels=_packed(INT32, [label for one in verdicts for label in one.anchors.labels]),
        anchor_distances=_packed(FLOAT32, [distance for one in verdicts for distance in one.anchors.distances]),
        neighbours=plain_neighbour_arrays([one.neighbours for one in verdicts]),
    )


def plain_neighbour_arrays(rows: Sequence[answer_pb2.Neighbours]) -> answer_pb2.NeighbourArrays:
    """Return the neighbours of answers that have as many each in arrays."""
    names = list(dict.fromkeys(name for one in rows for name in one.failure_modes))
    return answer_pb2.NeighbourArrays(
        reference_ids=[name for one in rows for name in one.reference_ids],
        labels=_packed(INT32, [label for one in rows for label in one.labels]),
        failure_mode_names=names,
        failure_modes=_packed(UINT32, [names.index(name) for one in rows for name in one.failure_modes]),
        distances=_packed(FLOAT32, [value for one in rows for value in one.distances]),
        betas=_packed(FLOAT32, [value for one in rows for value in one.betas]),
        etas=_packed(FLOAT32, [value for one in rows for value in one.etas]),
        gammas=_packed(FLOAT32, [value for one in rows for value in one.gammas]),
        match_distances=_packed(FLOAT32, [value for one in rows for value in one.match_distances]),
    )


def verdict_in(arrays: answer_pb2.VerdictArrays, row: int) -> answer_pb2.Verdict:
    """Return the verdict in a row as a message of its own."""
    reasons = _unpacked(UINT32, arrays.reasons, 1, row)[0]
    found = _unpacked(INT32, arrays.method_labels, len(arrays.methods), row)
    n_rows = len(arrays.decisions)
    n_anchors = len(arrays.anchor_labels) // 4 // n_rows
    rejects = _unpacked(FLOAT32, arrays.reject_probabilities, 1, row)
    return answer_pb2.Verdict(
        label=_unpacked(INT32, arrays.labels, 1, row)[0],
        failure_mode=arrays.failure_modes[row],
        decision=answer_pb2.Decision.ValueType(_unpacked(UINT8, arrays.decisions, 1, row)[0]),
        probability=_unpacked(FLOAT32, arrays.probabilities, 1, row)[0],
        reject_probability=rejects[0] if rejects else None,
        margin=_unpacked(FLOAT32, arrays.margins, 1, row)[0],
        novelty=_unpacked(FLOAT32, arrays.novelty, 1, row)[0],
        reasons=[answer_pb2.DecisionReason.ValueType(bit + 1) for bit in range(32) if reasons >> bit & 1],
        health=_unpacked(FLOAT32, arrays.health, len(arrays.health) // 4 // n_rows, row),
        method=arrays.method,
        method_labels=[
            answer_pb2.MethodLabel(method=method, label=label)
            for method, label in zip(arrays.methods, found, strict=True)
        ],
        anchors=answer_pb2.AnchorDistances(
            labels=_unpacked(INT32, arrays.anchor_labels, n_anchors, row),
            distances=_unpacked(FLOAT32, arrays.anchor_distances, n_anchors, row),
        ),
        neighbours=neighbours_in(arrays.neighbours, n_rows, row),
    )


def neighbours_in(arrays: answer_pb2.NeighbourArrays, n_rows: int, row: int) -> answer_pb2.Neighbours:
    """Return the neighbours in one of so many rows as a message of their own."""
    k = len(arrays.reference_ids) // n_rows
    names = arrays.failure_mode_names
    return answer_pb2.Neighbours(
        reference_ids=arrays.reference_ids[row * k : (row + 1) * k],
        labels=_unpacked(INT32, arrays.labels, k, row),
        failure_modes=[names[place] for place in _unpacked(UINT32, arrays.failure_modes, k, row)],
        distances=_unpacked(FLOAT32, arrays.distances, k, row),
        betas=_unpacked(FLOAT32, arrays.betas, k, row),
        etas=_unpacked(FLOAT32, arrays.etas, k, row),
        gammas=_unpacked(FLOAT32, arrays.gammas, k, row),
        match_distances=_unpacked(FLOAT32, arrays.match_distances, k, row),
    )


def _packed(kind: str, values: Iterable[float]) -> bytes:
    return b"".join(struct.pack(f"<{kind}", value) for value in values)


def _unpacked(kind: str, data: bytes, n_columns: int, row: int) -> tuple[Any, ...]:
    size = struct.calcsize(f"<{n_columns}{kind}")
    return struct.unpack(f"<{n_columns}{kind}", data[row * size : (row + 1) * size]) if data else ()
