"""Where an interrupted run stood, kept so that it goes on to the same weights as an unbroken one.

``checkpoint.pt`` is one file, replaced as a whole: the SHA-256 of what follows in hexadecimal, a line feed, and what
``torch.save`` wrote, which loads with ``weights_only``. PyTorch itself does not notice damage (docs/adr/0013).
"""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from miwake.indexer.storage.files import write_durably
from miwake.training.device import device_of, thread_count
from miwake.training.errors import ResumeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from miwake.training.division import TrainingRows
    from miwake.training.settings import Settings

CHECKPOINT_FILE = "checkpoint.pt"
FORMAT_VERSION = 1
HASH_CHARACTERS = 64

SAVE_EVERY_S = 20.0
"""Seconds of work that an interruption may cost; writing takes some ten milliseconds."""


class Checkpoints:
    """The checkpoint of one run, in a folder of its own.

    Parameters
    ----------
    folder : Path
        Made when the first checkpoint is written.
    every_s : float
        Seconds between two checkpoints, at least.
    """

    def __init__(self, folder: Path, *, every_s: float = SAVE_EVERY_S) -> None:
        self.path = folder / CHECKPOINT_FILE
        self._every_s = every_s
        self._saved_at = time.monotonic()

    def is_due(self) -> bool:
        """Return whether the last checkpoint, or the start, was long enough ago."""
        return time.monotonic() - self._saved_at >= self._every_s

    def save(self, run: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Keep ``state`` durably, and ``run``: what it is a run of, by name. Both are plain values and tensors."""
        buffer = io.BytesIO()
        torch.save({"format_version": FORMAT_VERSION, "run": dict(run), "state": dict(state)}, buffer)
        data = buffer.getvalue()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self.path, _head(data) + data)
        self._saved_at = time.monotonic()

    def load(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state that was kept for ``run``.

        Raises
        ------
        ResumeError
            If there is none, it is damaged, or it is of another run; the first difference is named.
        """
        stored = self._read()
        for name in sorted({*run, *stored["run"]}):
            there, here = stored["run"].get(name), run.get(name)
            if there != here:
                message = (
                    f"{self.path}: the interrupted run has {name} = {there!r}, this one {here!r}; expected the same"
                )
                raise ResumeError(message)
        state: dict[str, Any] = stored["state"]
        return state

    def step(self) -> int:
        """Return the step that the checkpoint was taken after.

        Raises
        ------
        ResumeError
            If there is none, or it is damaged.
        """
        return int(self._read()["state"]["step"])

    def remove(self) -> None:
        """Forget the checkpoint; the run is over."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            data = self.path.read_bytes()
        except OSError as error:
            message = f"{self.path}: no checkpoint to go on from: {error.strerror}"
            raise ResumeError(message) from error
        head, data = data[: HASH_CHARACTERS + 1], data[HASH_CHARACTERS + 1 :]
        if head != _head(data):
            message = f"{self.path}: damaged: its content is not what its SHA-256 says"
            raise ResumeError(message)
        stored: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        if stored["format_version"] != FORMAT_VERSION:
            message = f"{self.path}: format version {stored['format_version']!r}, this release reads {FORMAT_VERSION}"
            raise ResumeError(message)
        return stored


def _head(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode() + b"\n"


def run_identity(rows: TrainingRows, settings: Settings, seed: int) -> dict[str, Any]:
    """Return what makes two runs one: their settings, seed, rows and what decides about the last bit, by name."""
    values: dict[str, Any] = {}
    for group, inside in asdict(settings).items():
        settings_of = inside.items() if isinstance(inside, dict) else [("", inside)]
        values |= {f"{group}.{name}" if name else group: value for name, value in settings_of}
    values["threads"] = thread_count(settings.threads)
    values["device"] = device_of(settings.device).type
    return {**values, "seed": seed, "torch": str(torch.__version__), "rows": _rows_hash(rows)}


def _rows_hash(rows: TrainingRows) -> str:
    """Return a hash over all that training reads of the rows: vectors and parts, labels, division, range and shape."""
    digest = hashlib.sha256(f"{rows.fingerprint} {rows.value_range} {rows.fit.heat_map_shape}".encode())
    for records in (rows.fit, rows.calibration):
        digest.update("\n".join(records.row_hashes()).encode())
        digest.update(np.ascontiguousarray(records.labels, dtype="<i4").tobytes())
    return digest.hexdigest()[:16]
