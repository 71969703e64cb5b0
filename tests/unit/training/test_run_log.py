from __future__ import annotations

import json
from pathlib import Path

import pytest

from miwake.training.errors import DivergedError
from miwake.training.fitted import Standing
from miwake.training.retrieval import RetrievalScore
from miwake.training.run_log import LOG_FILE, TENSORBOARD_FOLDER, run_log


def standing(step: int, score: RetrievalScore | None = None) -> Standing:
    return Standing(step, 100, 0.5, score is not None, score, 1e-3, 0.125 * step)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]


def test_every_report_is_a_line_of_json(tmp_path: Path) -> None:
    with run_log(tmp_path) as log:
        log.report(standing(20))
        log.report(standing(40, RetrievalScore(0.75, 0.5)))
    assert lines(tmp_path) == [
        {"event": "progress", "step": 20, "steps": 100, "loss": 0.5, "lr": 1e-3, "seconds": 2.5, "validation": None},
        {
            "event": "progress", "step": 40, "steps": 100, "loss": 0.5, "lr": 1e-3, "seconds": 5.0,
            "validation": {"accuracy": 0.75, "balanced_accuracy": 0.5, "value": 0.625},
        },
    ]  # fmt: skip


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with run_log(tmp_path) as log:
        log.report(standing(20))
        assert lines(tmp_path)[0]["step"] == 20


def test_a_resumed_log_forgets_what_will_come_again_and_a_torn_line(tmp_path: Path) -> None:
    with run_log(tmp_path) as log:
        for step in (20, 40, 60):
            log.report(standing(step))
    with (tmp_path / LOG_FILE).open("a") as file:
        file.write('{"event": "progress", "st')
    with run_log(tmp_path, after_step=40) as log:
        log.report(standing(60))
    assert [line["step"] for line in lines(tmp_path)] == [20, 40, 60]


def test_a_new_run_begins_a_new_log(tmp_path: Path) -> None:
    for step in (20, 40):
        with run_log(tmp_path) as log:
            log.report(standing(step))
    assert [line["step"] for line in lines(tmp_path)] == [40]


def test_a_run_that_diverged_names_every_row_of_the_batch(tmp_path: Path) -> None:
    rows = tuple(f"row {number}" for number in range(128))
    with run_log(tmp_path) as log:
        log.diverged(DivergedError(step=7, what="loss", value=float("nan"), lr=1.0, row_ids=rows))
    assert lines(tmp_path) == [{"event": "diverged", "step": 7, "what": "loss", "row_ids": list(rows)}]


def test_tensorboards_files_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="the extra training is not whole")
    with run_log(tmp_path, tensorboard=True) as log:
        log.report(standing(20, RetrievalScore(0.75, 0.5)))
    events = b"".join(path.read_bytes() for path in (tmp_path / TENSORBOARD_FOLDER).iterdir())
    assert b"learning_rate" in events
    assert b"calibration_parts/balanced_accuracy" in events


def test_tensorboards_files_are_not_written_unasked(tmp_path: Path) -> None:
    with run_log(tmp_path) as log:
        log.report(standing(20))
    assert not (tmp_path / TENSORBOARD_FOLDER).exists()
