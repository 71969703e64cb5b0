"""What a folder of stations holds, as a plain value: what is expected is computed, what is there is looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from miwake.indexer.errors import StationNotFoundError
from miwake.indexer.opening import open_live
from miwake.indexer.storage.station import DEFAULT_SET, UNFINISHED, StationFolder
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.records import Records
    from miwake.indexer.storage.reading import Snapshot

N_QUERIES = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """What counts of a reference."""

    label: int
    failure_mode: str
    vector: bytes = field(repr=False)
    template: bytes = field(repr=False, default=b"")


References = dict[str, Reference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A station.

    Attributes
    ----------
    revision : int
        The latest of the store.
    references : mapping
        At that revision, by id.
    generation : text
        The current one.
    served_revision : int
        The revision that is searched.
    served : mapping
        The references that are searched, by id.
    pass_at_most : float or None
        Of the threshold set that decides; None for a generation's own thresholds.
    follows : bool
        Whether later changes are searched; after a roll back they are not.
    """

    revision: int
    references: Mapping[str, Reference] = field(repr=False)
    generation: str
    served_revision: int
    served: Mapping[str, Reference] = field(repr=False)
    pass_at_most: float | None = None
    follows: bool = True


@dataclass(frozen=True, slots=True)
class Export:
    """An exported file, by the labels of its ids."""

    labels: Mapping[str, int] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Stations and exported files, by path; a station that cannot be found is not there."""

    stations: Mapping[str, Station]
    exports: Mapping[str, Export] = field(default_factory=dict)

    def with_station(self, path: str, station: Station) -> World:
        """Return the world with a station in it, in place of one that was there."""
        return replace(self, stations={**self.stations, path: station})


def references_of(records: Records) -> References:
    """Return records as plain references, by id."""
    return _plain(records, records.templates)


def stored_references(store: ReferenceStore, revision: int | None = None) -> References:
    """Return the references of a revision (None: the latest) as plain ones, by id."""
    found = store.snapshot(revision)
    return _plain(found, store.templates(found.ids, found.revision))


def _plain(rows: Records | Snapshot, templates: NDArray[np.float32] | None) -> References:
    golden = np.full_like(rows.vectors, np.nan) if templates is None else templates
    columns = zip(rows.ids, rows.labels, rows.failure_modes, rows.vectors, golden, strict=True)
    return {
        one: Reference(int(label), mode, vector.tobytes(), b"" if np.isnan(template[0]) else template.tobytes())
        for one, label, mode, vector, template in columns
    }


def look(root: Path) -> World:
    """Return the stations in ``root``/*/*, each checked whole and searched as a server would, and what was exported.

    Raises
    ------
    IndexerError
        If one cannot be opened, or is damaged.
    """
    stations: dict[str, Station] = {}
    for folder in sorted(root.glob("*/*/")):
        if folder.name.endswith(UNFINISHED):
            continue
        try:
            stations[str(folder.relative_to(root))] = look_at(folder)
        except StationNotFoundError:
            continue
    files = [one for one in root.glob("*.parquet") if not one.name.endswith(".history.parquet")]
    return World(stations=stations, exports={one.name: look_at_export(one) for one in files})


def look_at_export(path: Path) -> Export:
    """Return an exported file, read to its end."""
    with path.open("rb") as file:
        table = pq.read_table(file)
    return Export(dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True)))


def look_at(folder: Path) -> Station:
    """Return one station, checked whole and searched as a server would."""
    index = open_live(folder)
    with ReferenceStore.open(folder) as store:
        store.check()
        latest, revision = stored_references(store), store.revision
        served = stored_references(store, index.revision)
    current = StationFolder(folder).current()
    assert index.generation == current.generation
    station = Station(
        revision=revision,
        references=latest,
        generation=index.generation,
        served_revision=index.revision,
        served=served,
        pass_at_most=None if index.threshold_set == DEFAULT_SET else index.calibration.thresholds.pass_at_most,
        follows=current.follows,
    )
    assert_searches(index, station.served)
    return station


def assert_searches(index: InspectionIndex, expected: Mapping[str, Reference]) -> None:
    """Check that a search finds exactly the expected references, and that each is its own nearest neighbour."""
    assert index.n_references == len(expected)
    ids = list(expected)
    chosen = [ids[row] for row in np.linspace(0, len(ids) - 1, N_QUERIES).astype(int)]
    queries = np.stack([np.frombuffer(expected[one].vector, dtype=np.float32) for one in chosen])
    found = index.search(queries, n_neighbours=len(expected))
    for row, query in enumerate(queries):
        assert sorted(found.ids[row]) == sorted(ids)
        labels = dict(zip(found.ids[row], found.labels[row].tolist(), strict=True))
        assert labels == {one: reference.label for one, reference in expected.items()}
        own = found.ids[row].index(chosen[row])
        assert found.distances[row, own] <= found.distances[row].min() + 1e-5  # float32, embedded in another batch
        np.testing.assert_array_equal(index.reference_vector(int(found.positions[row, own])), query)
