"""Cells of an ablation: what one arm with one seed answers to the held-out rows of one data set, kept as a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from miwake.indexer.storage.files import read_json, write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.records import Records
    from miwake.training.settings import Settings

FORMAT_VERSION = 1
"""Raised whenever the same settings and data would give other answers: cells of before are then measured anew."""

KEY_CHARACTERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one run answered; all that a comparison needs.

    Attributes
    ----------
    settings : mapping
        Every setting that was used.
    seed : int
    source, data_fingerprint : text
    truth, parts : (N,) int
        Of the held-out rows: label, and the number of the part.
    pass_labels : tuple of int
    answers : by way, (N,) int
        The label by the nearest class-mean anchor, by the 15 nearest references, and the one of the verdict that an
        index of the training rows would give; the last is missing where nothing could be calibrated.
    method : text
        What the verdict goes by; empty without one.
    n_steps, best_step : int
        Of the run, and the step whose weights were kept.
    fit_cpu_s, cpu_s : float
        Seconds of the processor for fitting, and for the whole cell.
    torch : text
        PyTorch's version.
    """

    settings: Mapping[str, Any]
    seed: int
    source: str
    data_fingerprint: str
    truth: tuple[int, ...]
    parts: tuple[int, ...]
    pass_labels: tuple[int, ...]
    answers: Mapping[str, tuple[int, ...]]
    method: str
    n_steps: int
    best_step: int
    fit_cpu_s: float
    cpu_s: float
    torch: str
    format_version: int = FORMAT_VERSION


def data_fingerprint(records: Records) -> str:
    """Return a hash over all that fitting and answering read of the records: rows, labels, split, scale, shape."""
    facts = (records.pass_labels, records.value_range, records.heat_map_shape, records.splits)
    digest = hashlib.sha256(json.dumps(facts).encode())
    digest.update(records.labels.astype("<i4").tobytes())
    digest.update("\n".join(records.row_hashes()).encode())
    return digest.hexdigest()[:KEY_CHARACTERS]


def cell_key(settings: Settings, seed: int, fingerprint: str) -> str:
    """Return the name of a cell: the same for the same settings, seed, data and PyTorch, whatever the arm is called."""
    identity = {
        "settings": asdict(settings),
        "seed": seed,
        "data": fingerprint,
        "torch": str(torch.__version__),
        "format_version": FORMAT_VERSION,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:KEY_CHARACTERS]


def write_cell(path: Path, cell: Cell) -> None:
    """Write a cell durably, whole or not at all."""
    write_durably(path, (json.dumps(asdict(cell), sort_keys=True, allow_nan=False) + "\n").encode())


def read_cell(path: Path) -> Cell:
    """Read a cell.

    Raises
    ------
    ArtifactCorruptError, ArtifactVersionError
        If it cannot be read, is damaged, or of another format version.
    """
    return read_json(path, Cell, FORMAT_VERSION)
