from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from miwake.indexer.errors import DataError
from miwake.training.report.learning import read_learning

if TYPE_CHECKING:
    from pathlib import Path


def line(step: int, loss: float, accuracy: float | None = None) -> dict[str, Any]:
    validation = None if accuracy is None else {"accuracy": accuracy, "balanced_accuracy": 0.5, "value": accuracy}
    return {
        "event": "progress", "step": step, "steps": 40, "loss": loss, "lr": 0.1, "seconds": step / 10,
        "validation": validation,
    }  # fmt: skip


def written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    return path


def test_the_loss_is_that_of_the_steps_since_the_line_before(tmp_path: Path) -> None:
    # The losses 4, 4, … for ten steps, then 2 until step 20: a line tells the mean since the last validation.
    path = written(tmp_path / "log.jsonl", line(10, 4.0), line(20, 3.0, 0.7), line(30, 1.0), line(40, 1.0, 0.9))

    found = read_learning(path)

    assert found is not None
    assert dict(zip(found.steps, found.losses, strict=True)) == {10: 4.0, 20: 2.0, 30: 1.0, 40: 1.0}
    assert dict(zip(found.validation_steps, found.accuracy, strict=True)) == {20: 0.7, 40: 0.9}
    assert (found.n_steps, found.seconds) == (40, 4.0)


def test_a_run_that_diverged_shows_how_far_it_came(tmp_path: Path) -> None:
    ended = {"event": "diverged", "step": 11, "what": "loss", "row_ids": ["a"]}

    found = read_learning(written(tmp_path / "log.jsonl", line(10, 4.0), ended))

    assert found is not None
    assert found.steps == (10,)


def test_a_log_without_progress_has_no_curves(tmp_path: Path) -> None:
    assert read_learning(written(tmp_path / "log.jsonl")) is None


@pytest.mark.parametrize("text", ["no JSON\n", '{"step": 1}\n', "[1]\n", '{"event": "progress", "step": "x"}\n'])
def test_a_file_that_is_no_log_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(DataError, match=r"log\.jsonl: not the log of a run"):
        read_learning(path)
