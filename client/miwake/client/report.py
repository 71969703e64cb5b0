"""Answers as plain values, for JSON lines: one object for each."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from miwake.client.answers import Anchors, Answer, Neighbours, NeighboursAnswer, Residuals, Verdict
    from miwake.client.verifications import PairAnswer

SIGNIFICANT_DIGITS = 7
"""What float32 carries; more would print the noise of its conversion."""


def to_json(values: dict[str, Any]) -> str:
    """Return one line of JSON."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def answer_values(answer: Answer, *, expected_label: int | None = None) -> dict[str, Any]:
    """Return an answer as plain values; ``expected_label`` stands beside it where it is known."""
    values: dict[str, Any] = {"id": answer.id, "sequence": answer.sequence}
    if expected_label is not None:
        values["expected_label"] = expected_label
    if answer.verdict is not None:
        values |= _verdict_values(answer.verdict)
    return values | _common_values(answer)


def neighbours_values(answer: NeighboursAnswer) -> dict[str, Any]:
    """Return the neighbours of one vector as plain values."""
    values: dict[str, Any] = {"id": answer.id, "sequence": answer.sequence}
    if answer.neighbours is not None:
        values["neighbours"] = _neighbour_values(answer.neighbours)
    return values | _common_values(answer)


def pair_values(answer: PairAnswer) -> dict[str, Any]:
    """Return the answer to one pair as plain values."""
    values: dict[str, Any] = {"id": answer.id, "sequence": answer.sequence}
    if answer.verification is not None:
        found = asdict(answer.verification)
        values |= {name: value if name == "is_same" else number(value) for name, value in found.items()}
    if answer.error_member:
        values["error_member"] = answer.error_member.name
    threshold = {**asdict(answer.threshold), "distance": answer.threshold.distance.name}
    return values | {"threshold": threshold} | _common_values(answer)


def _common_values(answer: Answer | NeighboursAnswer | PairAnswer) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if answer.error is not None:
        values["error"] = {"reason": answer.error.reason.name, "message": answer.error.message}
    if answer.context is not None:
        context = {name: value for name, value in asdict(answer.context).items() if value not in ("", None)}
        if answer.context.inspected_at is not None:
            context["inspected_at"] = answer.context.inspected_at.isoformat()
        values["context"] = context
    provenance = asdict(answer.provenance)
    provenance |= {name: number(provenance[name]) for name in ("queue_ms", "compute_ms")}
    return values | {"provenance": provenance}


def _verdict_values(verdict: Verdict) -> dict[str, Any]:
    reject_probability, health = verdict.reject_probability, verdict.health
    return {
        "label": verdict.label,
        "failure_mode": verdict.failure_mode,
        "decision": verdict.decision.name,
        "probability": number(verdict.probability),
        "reject_probability": None if reject_probability is None else number(reject_probability),
        "margin": number(verdict.margin),
        "novelty": number(verdict.novelty),
        "method": verdict.method.name,
        "method_labels": {method.name: label for method, label in verdict.method_labels.items()},
        "reasons": [reason.name for reason in verdict.reasons],
        "health": None if health is None else {name: number(value) for name, value in asdict(health).items()},
        "anchors": _anchor_values(verdict.anchors),
        "neighbours": _neighbour_values(verdict.neighbours),
        "residuals": None if verdict.residuals is None else _residual_values(verdict.residuals),
    }


def _residual_values(residuals: Residuals) -> dict[str, Any]:
    found = {field.name: getattr(residuals, field.name) for field in fields(residuals)}
    return {
        name: value.name if name == "reference" else value if name.startswith("shift") else number(value)
        for name, value in found.items()
    }


def _anchor_values(anchors: Anchors) -> list[dict[str, Any]]:
    pairs = zip(anchors.labels.tolist(), numbers(anchors.distances), strict=True)
    return [{"label": label, "distance": distance} for label, distance in pairs]


def _neighbour_values(neighbours: Neighbours) -> list[dict[str, Any]]:
    columns = {
        "id": neighbours.ids,
        "label": neighbours.labels.tolist(),
        "failure_mode": neighbours.failure_modes,
        "distance": numbers(neighbours.distances),
        "beta": numbers(neighbours.betas),
        "eta": numbers(neighbours.etas),
        "gamma": numbers(neighbours.gammas),
        "match_distance": numbers(neighbours.match_distances),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def numbers(values: NDArray[np.float32]) -> list[float | None]:
    """Return an array as numbers for JSON."""
    return [number(value) for value in values.tolist()]


def number(value: float) -> float | None:
    """Return a number for JSON, which knows no NaN and no infinity: None stands for those."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isfinite(value) else None
