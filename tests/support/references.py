"""Small records, stations and embedders for tests of the store: vectors of four values in 0 … 1."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.embedder import EmbedderCard, write_embedder
from miwake.indexer.records import Records
from miwake.indexer.storage.generation import Contents
from miwake.indexer.storage.installed_embedder import install_embedder
from miwake.indexer.storage.reference_files import write_references
from miwake.indexer.storage.schema import StationSchema
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (2, 2)
SCHEMA = StationSchema(n_values=4, heat_map_shape=SHAPE, pass_labels=(0,), value_range=(0.0, 1.0))
MODEL = b"not a model, but nobody runs it"


def vectors_of(seeds: Sequence[int]) -> NDArray[np.float32]:
    """Return a vector for each seed, always the same for the same seed, as (n, 4) float32."""
    return np.stack([np.random.default_rng(seed).random(4, dtype=np.float32) for seed in seeds])


def make_records(
    ids: Sequence[str], *, seeds: Sequence[int] | None = None, labels: Sequence[int] | None = None, source: str = "test"
) -> Records:
    """Return records with these ids: vectors by seed (default 0, 1, 2 …), labels (default 0)."""
    n = len(ids)
    empty = ("",) * n
    numbers = [0] * n if labels is None else labels
    return Records(
        vectors=vectors_of(range(n) if seeds is None else seeds),
        labels=np.array(numbers, dtype=np.int32),
        failure_modes=tuple(f"mode {label}" for label in numbers),
        ids=tuple(ids),
        parts=tuple(f"part of {one}" for one in ids),
        groups=empty,
        splits=("train",) * n,
        times=empty,
        source=source,
        heat_map_shape=SHAPE,
        pass_labels=(0,),
        value_range=(0.0, 1.0),
    )


def make_embedder(folder: Path, *, model: bytes = MODEL, preset: str = "none") -> EmbedderCard:
    """Write an embedder artifact that can be copied and verified, though not run."""
    card = EmbedderCard(
        n_values=4,
        n_dimensions=2,
        heat_map_shape=SHAPE,
        value_range=(0.0, 1.0),
        normalisation="none",
        labels=(0, 1),
        pass_labels=(0,),
        preset=preset,
        settings={},
        data_fingerprint="",
        fit_row_hashes=(),
        sha256=hashlib.sha256(model).hexdigest(),
    )
    write_embedder(folder, model, card)
    return card


def make_station(path: Path, *, n_references: int = 5) -> StationFolder:
    """Create a station with references ``r0``, ``r1`` … and an embedder, and nothing published yet."""
    station = StationFolder(path)
    with ReferenceStore.create(path, schema=SCHEMA) as store:
        store.add(make_records([f"r{row}" for row in range(n_references)]), actor="test")
    make_embedder(path.parent / "embedder")
    install_embedder(station, path.parent / "embedder")
    return station


def writes_references(station: StationFolder) -> Callable[[Path], Contents]:
    """Return what ``publish`` calls to write the references of the station's latest revision."""

    def write(folder: Path) -> Contents:
        with ReferenceStore.open(station.path) as store:
            snapshot = store.snapshot()
        write_references(folder, snapshot)
        (embedder_id,) = [one.name for one in station.embedders_path.iterdir()]
        return Contents(embedder_id=embedder_id, base_revision=snapshot.revision, n_references=len(snapshot))

    return write
