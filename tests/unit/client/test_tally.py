from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from miwake.client.answers import (
    Anchors,
    Answer,
    Decision,
    DecisionReason,
    ItemError,
    ItemErrorReason,
    LabelMethod,
    Neighbours,
    Provenance,
    Verdict,
)
from miwake.client.display import neighbours_table, stream_view
from miwake.client.tally import N_RECENT, Tally

PROVENANCE = Provenance(
    station="bench",
    embedder="e",
    generation="g000002",
    revision=3,
    threshold_set="t",
    queue_ms=0.0,
    compute_ms=0.0,
    batch_size=1,
)
NEIGHBOURS = Neighbours(
    ids=("[red]x:1",),
    labels=np.array([3], dtype=np.int32),
    failure_modes=("crack",),
    distances=np.array([0.125], dtype=np.float32),
    betas=np.array([1.0], dtype=np.float32),
    etas=np.array([0.5], dtype=np.float32),
    gammas=np.array([0.25], dtype=np.float32),
    match_distances=np.array([0.75], dtype=np.float32),
)
NOTHING = np.empty(0, dtype=np.float32)
NO_NEIGHBOURS = Neighbours(
    ids=(),
    labels=np.empty(0, dtype=np.int32),
    failure_modes=(),
    distances=NOTHING,
    betas=NOTHING,
    etas=NOTHING,
    gammas=NOTHING,
    match_distances=NOTHING,
)


def judged(
    label: int,
    decision: Decision = Decision.REJECT,
    neighbours: Neighbours = NEIGHBOURS,
    reasons: tuple[DecisionReason, ...] = (),
) -> Answer:
    verdict = Verdict(
        label=label,
        failure_mode="crack",
        decision=decision,
        probability=0.5,
        reject_probability=None,
        margin=0.0,
        novelty=1.5,
        method=LabelMethod.VOTE,
        method_labels={},
        anchors=Anchors(np.array([3], dtype=np.int32), np.array([0.5], dtype=np.float32)),
        neighbours=neighbours,
        reasons=reasons,
    )
    return Answer(f"part {label}", 0, None, verdict, None, PROVENANCE)


def refused() -> Answer:
    error = ItemError(reason=ItemErrorReason.FLAT, message="spread 0")
    return Answer("part x", 0, None, None, error, PROVENANCE)


def shown(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(renderable)
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def test_answers_are_counted_by_what_they_say() -> None:
    tally = Tally(started_s=0.0)
    tally.add(judged(3), 3)
    tally.add(judged(0, Decision.PASS), 3)
    tally.add(judged(0, Decision.PASS), None)
    tally.add(refused(), 3)

    assert (tally.n_answered, tally.n_errors, tally.n_labelled, tally.n_right) == (4, 1, 2, 1)
    assert tally.summary().endswith(
        "/s; 2 PASS; 1 REJECT; 1 errors; 1 of 2 labels right (50.0%); station bench, generation g000002"
    )


def test_only_the_last_answers_are_kept() -> None:
    tally = Tally()
    for label in range(N_RECENT + 5):
        tally.add(judged(label), None)

    assert len(tally.recent) == N_RECENT
    assert tally.recent[-1][0].id == f"part {N_RECENT + 4}"


def test_nothing_answered_is_a_summary_too() -> None:
    assert Tally().summary() == "0 answers, 0/s; 0 errors"


def test_the_live_view_shows_verdicts_and_errors() -> None:
    tally = Tally()
    tally.add(judged(3), 0)
    tally.add(judged(4, Decision.UNKNOWN, NO_NEIGHBOURS), None)
    tally.add(judged(0, Decision.REVIEW, reasons=(DecisionReason.FOCUS, DecisionReason.DEAD_LINES)), None)
    tally.add(refused(), None)

    text = shown(stream_view(tally))

    assert "REJECT" in text
    assert "[red]x:1" in text
    assert "UNKNOWN" in text
    assert "focus, dead lines" in text
    assert "FLAT" in text
    assert "spread 0" in text


def test_a_table_of_neighbours_shows_every_measure() -> None:
    text = shown(neighbours_table("nearest to [b]part", NEIGHBOURS))

    assert "nearest to [b]part" in text
    assert [value in text for value in ("0.1250", "1.0000", "0.5000", "0.2500", "0.7500")] == [True] * 5
