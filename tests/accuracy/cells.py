"""The parts of the measurement, each of which is computed once: an embedder trained, an index built, figures taken."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.records import is_pass
from miwake.indexer.sources.reader import read_records
from miwake.indexer.splits import held_out_split
from miwake.indexer.storage.files import sha256_of, write_durably

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miwake.training.presets import Preset

ROOT = Path(__file__).resolve().parents[2]

TRAINING = ("training/miwake/training/*.py", "training/miwake/training/losses/*.py", "indexer/miwake/indexer/splits.py")
"""What an embedder follows from, beside the data and the settings: other sources, another embedder."""

NOT_TRAINING = {
    "cli.py",
    "evaluate.py",
    "errors.py",
    "overrides.py",
    "presets.py",
    "progress.py",
    "run_log.py",
    "tables.py",
}
"""Files among them that no embedder follows from; of presets, the settings count themselves."""

ANSWERING = ("indexer/miwake/indexer/**/*.py", "tests/accuracy/measuring.py")
"""What the figures follow from, beside the embedder."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training, one index, and what is measured of them.

    Attributes
    ----------
    data : text
        The name of the data set.
    path : Path
    seed : int
    left_out : int or None
        A label that is unseen in training and index; None measures answers instead.
    """

    data: str
    path: Path
    seed: int
    left_out: int | None = None

    @property
    def name(self) -> str:
        """The name of its file."""
        without = "" if self.left_out is None else f"-without-{self.left_out}"
        return f"{self.data}-seed-{self.seed}{without}"


def data_sets(folder: Path, names: Sequence[str] = ()) -> dict[str, Path]:
    """Return the Parquet files of a folder by the short name of each, those that are asked for or all.

    Raises
    ------
    ValueError
        If there is none, or none of a name that is asked for.
    """
    found = {path.stem.removesuffix("_36x39"): path for path in sorted(folder.glob("*.parquet"))}
    asked = [name.removesuffix(".parquet").removesuffix("_36x39") for name in names] or list(found)
    missing = [name for name in asked if name not in found]
    if missing or not found:
        message = f"{folder}: no data set {', '.join(missing)}, expected some of {', '.join(found) or '*.parquet'}"
        raise ValueError(message)
    return {name: found[name] for name in asked}


def plan(data: str, path: Path, n_seeds: int) -> list[Cell]:
    """Return the cells of a data set: its answers with every seed, and each reject class left out with the first.

    Without pass labels there are no rejects; and without one of two classes nothing could be learnt.
    """
    queries = held_out_split(read_records(str(path)))[1]
    labels = np.unique(queries.labels)
    rejects = labels[~is_pass(labels, queries.pass_labels)] if queries.pass_labels and len(labels) > 2 else labels[:0]
    answers = [Cell(data, path, seed) for seed in range(n_seeds)]
    return [*answers, *(Cell(data, path, 0, left_out) for left_out in rejects.tolist())]


def training_key(cell: Cell, preset: Preset) -> str:
    """Return a hash of everything that the embedder of a cell follows from."""
    told = {
        "data": sha256_of(cell.path),
        "settings": asdict(preset.settings),
        "seed": cell.seed,
        "left_out": cell.left_out,
        "code": [sha256_of(path) for path in _files(TRAINING) if path.name not in NOT_TRAINING],
    }
    return _hash(told)


def key_of(cell: Cell, preset: Preset) -> str:
    """Return a hash of everything that the figures of a cell follow from."""
    return _hash({"embedder": training_key(cell, preset), "code": [sha256_of(path) for path in _files(ANSWERING)]})


def kept(path: Path, key: str) -> dict[str, Any] | None:
    """Return the figures in a file if they follow from the same things, None where they do not, or there are none."""
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told["figures"] if told["key"] == key else None


def keep(path: Path, key: str, figures: dict[str, Any]) -> None:
    """Write figures, and the key of what they follow from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, f"{json.dumps({'key': key, 'figures': figures}, indent=2)}\n".encode())


def _files(patterns: Sequence[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def _hash(told: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
