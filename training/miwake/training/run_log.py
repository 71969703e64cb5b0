"""The log of a run: a JSON object a line, and TensorBoard's event files where they are wanted."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from miwake.training.errors import ExtraMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from miwake.training.errors import DivergedError
    from miwake.training.fitted import Standing

LOG_FILE = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


class RunLog:
    """Writes how a run stands, a line for every report.

    A line is ``{"event": "progress", "step", "steps", "loss", "lr", "seconds", "validation"}``; ``validation`` is null
    between validations, else ``{"accuracy", "balanced_accuracy", "value"}``. A run that diverged ends with ``{"event":
    "diverged", "step", "what", "row_ids"}``.
    """

    def __init__(self, file: TextIO, board: Any | None) -> None:
        self._file = file
        self._board = board

    def report(self, standing: Standing) -> None:
        """Write a line, and the same to TensorBoard."""
        score = standing.score
        validation = None if score is None else {**asdict(score), "value": score.value}
        self._line(
            event="progress", step=standing.step, steps=standing.n_steps, loss=standing.loss, lr=standing.lr,
            seconds=round(standing.seconds, 3), validation=validation,
        )  # fmt: skip
        if self._board is not None:
            self._board.add_scalar("loss", standing.loss, standing.step)
            self._board.add_scalar("learning_rate", standing.lr, standing.step)
            for name, value in (validation or {}).items():
                self._board.add_scalar(f"calibration_parts/{name}", value, standing.step)

    def diverged(self, error: DivergedError) -> None:
        """Write where the run ended, with every row of the batch."""
        self._line(event="diverged", step=error.step, what=error.what, row_ids=error.row_ids)

    def _line(self, **values: object) -> None:
        self._file.write(json.dumps(values, allow_nan=False) + "\n")
        self._file.flush()


@contextmanager
def run_log(folder: Path, *, after_step: int = 0, tensorboard: bool = False) -> Iterator[RunLog]:
    """Open the log of a run in its folder; lines of steps past ``after_step``, where it goes on, are taken out.

    Raises
    ------
    ExtraMissingError
        If TensorBoard's files are wanted and nothing is there to write them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    board = _board(folder / TENSORBOARD_FOLDER, after_step) if tensorboard else None
    path = folder / LOG_FILE
    kept = _lines_until(path, after_step)
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(kept)
            yield RunLog(file, board)
    finally:
        if board is not None:
            board.close()


def _lines_until(path: Path, step: int) -> list[str]:
    """Return the whole lines of the log up to a step; the last one may be torn."""
    if step == 0 or not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("}\n")]
    return [line for line in lines if json.loads(line)["step"] <= step]


def _board(folder: Path, after_step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - few runs need it
    except ImportError as error:
        message = f"--tensorboard needs tensorboardX, which is in the extra training: {error}"
        raise ExtraMissingError(message) from error
    return SummaryWriter(str(folder), purge_step=after_step + 1)
