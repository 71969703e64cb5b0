"""What an embedding costs beside one of the classic MLP: the default network, and others that it was chosen among.

The weights do not matter to the time: each network is trained for one step, exported, and run as an index runs it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bench.timing import median_seconds
from miwake.indexer.embedder import Embedder
from miwake.indexer.sources.settings import ReadSettings
from miwake.training.presets import DEFAULT_PRESET, preset
from miwake.training.run import train

SOURCE = "synthetic:parts=60"
CLASSIC = "smnrt17"
NETWORKS: dict[str, tuple[str, ...]] = {
    "default": (),
    "three_stages": ("widths=16,32,64",),
    "narrow_end": ("widths=16,32,64,64",),
    "deep": ("depth=2",),
}
"""Name → settings of the default preset that are replaced."""

BATCHES = (1, 16, 64)
N_ROUNDS, N_IN_A_ROW = 41, 3
MICROSECONDS = 1e6


def measure() -> dict[str, float]:
    """Return the time of an embedding in µs by network and batch, and its ratio to that of the classic MLP."""
    with tempfile.TemporaryDirectory() as name:
        embedders = {"mlp": _embedder(Path(name) / "mlp", CLASSIC)}
        embedders |= {key: _embedder(Path(name) / key, DEFAULT_PRESET, *given) for key, given in NETWORKS.items()}
        found: dict[str, float] = {}
        for batch in BATCHES:
            seconds = _seconds(embedders, batch)
            found |= {f"{key}_us_{batch}": one / batch * MICROSECONDS for key, one in seconds.items()}
            found |= {f"{key}_ratio_{batch}": seconds[key] / seconds["mlp"] for key in NETWORKS}
    return found


def _embedder(folder: Path, name: str, *overrides: str) -> Embedder:
    train(SOURCE, folder, preset(name, ["steps=1", "threads=1", *overrides]), reading=ReadSettings())
    return Embedder.open(folder)


def _seconds(embedders: dict[str, Embedder], batch: int) -> dict[str, float]:
    n_values = next(iter(embedders.values())).card.n_values
    vectors = np.random.default_rng(0).uniform(0, 255, (batch, n_values)).astype(np.float32)
    sides = {key: lambda _, one=one: one.embed(vectors) for key, one in embedders.items()}
    return median_seconds(sides, n_rounds=N_ROUNDS, n_in_a_row=N_IN_A_ROW)
