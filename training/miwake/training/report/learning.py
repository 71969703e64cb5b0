"""How a run of training went, read back from its log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from miwake.indexer.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Learning:
    """Curves of a run.

    Attributes
    ----------
    steps, losses : tuples of int and float
        Mean training loss of the steps since the one before.
    validation_steps : tuple of int
    accuracy, balanced_accuracy : tuples of float
        On calibration parts, of the vote of the 15 nearest.
    n_steps : int
        The budget.
    seconds : float
    """

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    validation_steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    balanced_accuracy: tuple[float, ...]
    n_steps: int
    seconds: float


def read_learning(path: Path) -> Learning | None:
    """Return the curves of a run from its log in JSON lines; None where it holds no progress.

    Raises
    ------
    DataError
        If the file cannot be read, or is not such a log.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        told = [line for line in lines if line["event"] == "progress"]
        return _learning(told) if told else None
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise DataError(message) from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path}: not the log of a run, expected lines as `miwake-train fit` writes them: {error}"
        raise DataError(message) from error


def _learning(told: list[dict[str, Any]]) -> Learning:
    steps, losses = _between(told)
    validated = [line for line in told if line["validation"] is not None]
    return Learning(
        steps=steps,
        losses=losses,
        validation_steps=tuple(int(line["step"]) for line in validated),
        accuracy=tuple(float(line["validation"]["accuracy"]) for line in validated),
        balanced_accuracy=tuple(float(line["validation"]["balanced_accuracy"]) for line in validated),
        n_steps=int(told[-1]["steps"]),
        seconds=float(told[-1]["seconds"]),
    )


def _between(told: list[dict[str, Any]]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the mean loss between lines; a line tells the mean since the last validation."""
    steps: list[int] = []
    losses: list[float] = []
    start, before, total = 0, 0, 0.0
    for line in told:
        step, until = int(line["step"]), float(line["loss"]) * (int(line["step"]) - start)
        if step > before:
            steps.append(step)
            losses.append((until - total) / (step - before))
        before, total = step, until
        if line["validation"] is not None:
            start, total = step, 0.0
    return tuple(steps), tuple(losses)
