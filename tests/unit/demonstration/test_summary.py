from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from demonstration import summary
from demonstration.streaming import Streamed, columns
from miwake.client import (
    Anchors,
    Answer,
    Decision,
    ItemError,
    ItemErrorReason,
    LabelMethod,
    Neighbours,
    Provenance,
    Verdict,
)
from miwake.indexer.records import Records

if TYPE_CHECKING:
    from pathlib import Path

SETTING = summary.Setting(data="parts.parquet", is_synthetic=False, preset="best")
PROVENANCE = Provenance(
    station="demo",
    embedder="abc123",
    generation="g000001",
    revision=1,
    threshold_set="default",
    queue_ms=0.1,
    compute_ms=0.2,
    batch_size=1,
)


def records(labels: list[int]) -> Records:
    n = len(labels)
    return Records(
        vectors=np.zeros((n, 4), dtype=np.float32),
        labels=np.array(labels, dtype=np.int32),
        failure_modes=("",) * n,
        ids=tuple(f"row-{row}" for row in range(n)),
        parts=tuple(f"part-{row}" for row in range(n)),
        groups=("",) * n,
        splits=("test",) * n,
        times=("",) * n,
        source="parts.parquet",
        heat_map_shape=(2, 2),
        pass_labels=(0,),
    )


def answer(row: int, label: int, decision: Decision) -> Answer:
    one = np.ones(1, dtype=np.float32)
    verdict = Verdict(
        label=label,
        failure_mode="",
        decision=decision,
        probability=0.75,
        reject_probability=0.5,
        margin=0.5,
        novelty=1.0,
        method=LabelMethod.VOTE,
        method_labels={},
        anchors=Anchors(np.array([label], dtype=np.int32), one),
        neighbours=Neighbours(("ref-0",), np.array([label], dtype=np.int32), ("",), one, one, one, one, one),
    )
    return Answer(id=f"row-{row}", sequence=row, context=None, verdict=verdict, error=None, provenance=PROVENANCE)


def refusal(row: int) -> Answer:
    error = ItemError(reason=ItemErrorReason.FLAT, message="spread 0")
    return Answer(id=f"row-{row}", sequence=row, context=None, verdict=None, error=error, provenance=PROVENANCE)


def summarised(truth: list[int], answers: list[Answer], *, passes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    held_out = records(truth)
    streamed = Streamed(answers=tuple(answers), stream_s=0.5, latencies_ms=np.arange(101, dtype=np.float64))
    answered = columns(streamed, held_out, (0, 1, 2), passes)
    return summary.summarise(SETTING, held_out, streamed, answered, {"train": 1.234, "build": 2.0})


def test_the_summary_has_the_promised_keys() -> None:
    found = summarised([0, 1], [answer(0, 0, Decision.PASS), answer(1, 1, Decision.REJECT)])

    assert found["held_out"] == found["answered"] == 2
    assert found["errors"] == 0
    assert found["accuracy"] == found["balanced_accuracy"] == 1.0
    assert found["escape_rate"] == found["overkill_rate"] == 0.0
    assert found["decisions"] == {"PASS": 1, "REJECT": 1, "REVIEW": 0, "UNKNOWN": 0}
    assert found["vectors_per_second"] == 4.0
    assert (found["latency_ms"]["p50"], found["latency_ms"]["p99"]) == (50.0, 99.0)
    assert (found["data"], found["embedder"], found["generation"]) == ("parts.parquet", "abc123", "g000001")
    assert found["seconds"] == {"train": 1.23, "build": 2.0}


def test_unknown_kinds_stand_beside_the_accuracy_and_count_as_rejects() -> None:
    answers = [answer(0, 1, Decision.REJECT), answer(1, 0, Decision.REVIEW), answer(2, 2, Decision.UNKNOWN)]

    found = summarised([1, 9, 9], answers)

    assert found["accuracy"] == 1.0
    assert found["unknown_kinds"] == {"n": 2, "answered_unknown": 1, "escaped": 1}
    assert found["escape_rate"] == pytest.approx(1 / 3, abs=1e-5)
    assert found["escapes_by_decision"] == {"PASS": 0, "REJECT": 0, "REVIEW": 1, "UNKNOWN": 0}


def test_without_pass_labels_escapes_and_overkills_are_null() -> None:
    found = summarised([0, 1], [answer(0, 1, Decision.REVIEW), answer(1, 0, Decision.REVIEW)], passes=())

    assert found["accuracy"] == 0.0
    assert found["escape_rate"] is None
    assert found["overkill_rate"] is None
    assert found["intervals_95"]["escape_rate"] is None


def test_an_error_is_an_answer_without_a_label() -> None:
    found = summarised([0, 1], [answer(0, 0, Decision.PASS), refusal(1)])

    assert (found["answered"], found["errors"]) == (2, 1)
    assert (found["accuracy"], found["n"]["known"]) == (1.0, 1)


def test_only_unknown_kinds_leave_no_accuracy() -> None:
    found = summarised([9], [answer(0, 2, Decision.UNKNOWN)])

    assert found["accuracy"] is None
    assert found["balanced_accuracy"] is None


def test_the_written_summary_is_strict_json(tmp_path: Path) -> None:
    found = summarised([0, 9], [answer(0, 0, Decision.PASS), answer(1, 0, Decision.PASS)], passes=())

    summary.write(tmp_path / "summary.json", found)

    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == found
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_the_table_says_so_when_the_data_are_synthetic() -> None:
    console = Console(width=100, record=True, quiet=False)
    found = summarised([0], [answer(0, 0, Decision.PASS)]) | {"is_synthetic": True}

    console.print(summary.table(found))

    assert "SYNTHETIC data" in console.export_text()


def test_the_table_shows_names_that_look_like_markup_as_they_are() -> None:
    console = Console(width=100, record=True)
    found = summarised([0], [answer(0, 0, Decision.PASS)]) | {"source": "lot[/b].parquet"}

    console.print(summary.table(found))

    assert "lot[/b].parquet" in console.export_text()
