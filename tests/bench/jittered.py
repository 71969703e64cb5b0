"""Embeddings of real heat maps, jittered: as many as one likes, distributed as a station's are."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.embedder import Embedder
from miwake.indexer.search.proposing import exact_index, propose
from miwake.indexer.sources.reader import read_records
from miwake.indexer.sources.settings import ReadSettings
from miwake.indexer.splits import held_out_split
from support.data import DEFAULT_FOLDER, VARIABLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from miwake.indexer.records import Records

    Vectors = NDArray[np.float32]

DATA = "deeppcb_36x39.parquet"
N_STEPS = 150
"""Of training: enough for clusters; the figures here ask for no accuracy."""

JITTER = 0.5
"""The length of what is added to an embedding, in usual distances of a held-out part to its nearest reference."""

PIECE = 65_536
FIT = "from miwake.training.cli import app; app()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is jittered.

    Attributes
    ----------
    folder : Path
        Of the embedder.
    records : Records
        The training rows.
    embedder : Embedder
    training, held_out : (n, D) float32
        Embeddings of the training rows, which references are made of, and of held-out parts, which are asked.
    scale : float
        Of the normal noise in each dimension.
    """

    folder: Path
    records: Records
    embedder: Embedder
    training: Vectors
    held_out: Vectors
    scale: float


def origin(folder: Path) -> Origin:
    """Fit the default preset briefly to real data, or to synthetic data where there are none, and embed them."""
    path = Path(os.environ.get(VARIABLE) or DEFAULT_FOLDER) / DATA
    source = str(path) if path.is_file() else "synthetic"
    out = folder / "embedder"
    command = [sys.executable, "-c", FIT, "fit", source, "--out", str(out), "--steps", str(N_STEPS)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own command
    embedder = Embedder.open(out)
    training, held_out = held_out_split(read_records(source, ReadSettings()))
    known, asked = embedder.embed(training.vectors), embedder.embed(held_out.vectors)
    nearest = known[propose(exact_index(known), asked, 1)[:, 0]]
    usual = float(np.median(np.linalg.norm(asked - nearest, axis=1)))
    return Origin(
        folder=out,
        records=training,
        embedder=embedder,
        training=known,
        held_out=asked,
        scale=JITTER * usual / np.sqrt(known.shape[1]),
    )


def jittered(rows: Vectors, n_rows: int, scale: float, *, seed: int) -> Vectors:
    """Return ``n_rows`` of the rows at random, each with noise of its own, and as long as it was."""
    random = np.random.default_rng(seed)
    drawn = np.empty((n_rows, rows.shape[1]), dtype=np.float32)
    for start in range(0, n_rows, PIECE):
        piece = drawn[start : start + PIECE]
        piece[:] = with_noise(rows[random.integers(0, len(rows), len(piece))], scale, random)
    return drawn


def with_noise(rows: Vectors, scale: float, random: np.random.Generator) -> Vectors:
    """Return the rows with noise, as long as they were."""
    noisy = rows + np.float32(scale) * random.standard_normal(rows.shape, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(noisy * (lengths / np.linalg.norm(noisy, axis=1, keepdims=True)))
