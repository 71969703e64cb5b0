"""The station that the service is measured with: 100,000 references, built as any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.build import jittered
from bench.service.network import write_network
from miwake.indexer.build import build
from miwake.indexer.opening import open_index
from miwake.indexer.splits import held_out_split
from miwake.indexer.synthetic.generator import generate
from support.serving import STATION

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.index import InspectionIndex

    Vectors = NDArray[np.float32]

N_PARTS = 3000
"""Of the synthetic data: about 9,500 pictures to train with, which references are copies of under gain and noise."""

N_REFERENCES = 100_000
N_QUERIES = 8192
QUERIES_FILE = "queries.npy"


@dataclass(frozen=True, slots=True)
class Station:
    """A folder with a store of one station, and with vectors to ask it.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    @property
    def store(self) -> Path:
        """The store."""
        return self.folder / "store"

    @property
    def queries_file(self) -> Path:
        """Held-out vectors (Q, V) float32, none refused."""
        return self.folder / QUERIES_FILE

    def queries(self) -> Vectors:
        """Return them."""
        return np.asarray(np.load(self.queries_file))

    def open(self) -> InspectionIndex:
        """Open the index in this process."""
        return open_index(self.store / STATION)


def make_station(folder: Path, n_references: int = N_REFERENCES) -> Station:
    """Build the station in ``folder``, which takes a minute."""
    training, test = held_out_split(generate(n_parts=N_PARTS, seed=1))
    write_network(folder / "embedder", training)
    build(folder / "store", STATION, jittered(training, n_references), folder / "embedder")
    np.save(folder / QUERIES_FILE, test.vectors[np.arange(N_QUERIES) % len(test)])
    return Station(folder)
