from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np

from miwake.client.answers import (
    Anchors,
    Answer,
    Decision,
    DecisionReason,
    InputHealth,
    ItemError,
    ItemErrorReason,
    LabelMethod,
    Neighbours,
    NeighboursAnswer,
    Provenance,
    Verdict,
)
from miwake.client.inspections import InspectionContext
from miwake.client.report import answer_values, neighbours_values, to_json

PROVENANCE = Provenance(
    station="bench",
    embedder="e",
    generation="g000001",
    revision=3,
    threshold_set="t",
    queue_ms=0.1,
    compute_ms=float("inf"),
    batch_size=4,
)
NEIGHBOURS = Neighbours(
    ids=("x:1",),
    labels=np.array([3], dtype=np.int32),
    failure_modes=("crack",),
    distances=np.array([0.1], dtype=np.float32),
    betas=np.array([np.nan], dtype=np.float32),
    etas=np.array([1e-9], dtype=np.float32),
    gammas=np.array([-0.5], dtype=np.float32),
    match_distances=np.array([0.25], dtype=np.float32),
)
VERDICT = Verdict(
    label=3,
    failure_mode="crack",
    decision=Decision.REVIEW,
    probability=0.9,
    reject_probability=None,
    margin=-0.125,
    novelty=2.5,
    method=LabelMethod.SOART3_VOTE,
    method_labels={LabelMethod.VOTE: 3},
    anchors=Anchors(np.array([3, 0], dtype=np.int32), np.array([0.7, 1.5], dtype=np.float32)),
    neighbours=NEIGHBOURS,
    reasons=(DecisionReason.FOCUS,),
    health=InputHealth(0.5, 0.0, -0.25, -1.5, float("nan"), 0.0),
)


def test_a_verdict_becomes_one_line_of_json() -> None:
    context = InspectionContext(part_id="SN 1", inspected_at=datetime(2026, 1, 2, tzinfo=UTC), is_simulated=False)
    answer = Answer("見", 7, context, VERDICT, None, PROVENANCE)

    line = to_json(answer_values(answer, expected_label=0))

    assert "\n" not in line
    assert json.loads(line) == {
        "id": "見",
        "sequence": 7,
        "expected_label": 0,
        "label": 3,
        "failure_mode": "crack",
        "decision": "REVIEW",
        "probability": 0.9,
        "reject_probability": None,
        "margin": -0.125,
        "novelty": 2.5,
        "method": "SOART3_VOTE",
        "method_labels": {"VOTE": 3},
        "reasons": ["FOCUS"],
        "health": {"mean": 0.5, "spread": 0.0, "gain": -0.25, "focus": -1.5, "saturation": None, "dead_lines": 0.0},
        "anchors": [{"label": 3, "distance": 0.7}, {"label": 0, "distance": 1.5}],
        "neighbours": [
            {
                "id": "x:1",
                "label": 3,
                "failure_mode": "crack",
                "distance": 0.1,
                "beta": None,
                "eta": 1e-9,
                "gamma": -0.5,
                "match_distance": 0.25,
            }
        ],
        "residuals": None,
        "context": {"part_id": "SN 1", "inspected_at": "2026-01-02T00:00:00+00:00", "is_simulated": False},
        "provenance": {
            "station": "bench",
            "embedder": "e",
            "generation": "g000001",
            "revision": 3,
            "threshold_set": "t",
            "queue_ms": 0.1,
            "compute_ms": None,
            "batch_size": 4,
            "recorded": False,
        },
    }


def test_an_error_stands_in_the_place_of_the_verdict() -> None:
    error = ItemError(reason=ItemErrorReason.FLAT, message="spread 0")

    values = answer_values(Answer("a", 0, None, None, error, PROVENANCE))

    assert values["error"] == {"reason": "FLAT", "message": "spread 0"}
    assert set(values) == {"id", "sequence", "error", "provenance"}


def test_neighbours_alone_are_reported_with_what_found_them() -> None:
    values = neighbours_values(NeighboursAnswer("a", 0, None, NEIGHBOURS, None, PROVENANCE))

    assert [neighbour["id"] for neighbour in values["neighbours"]] == ["x:1"]
    assert values["provenance"]["generation"] == "g000001"
