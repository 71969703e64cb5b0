"""A station of two generations that answer every query differently."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.build import rebuild
from miwake.indexer.opening import follow, open_index
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from soak.ledger import FIRST, Told, state
from support.serving import STATION

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.index import InspectionIndex
    from support.serving import SmallStation

N_QUERIES = 64


@dataclass(frozen=True, slots=True)
class World:
    """A store, vectors to ask, and what each revision says of them.

    Attributes
    ----------
    folder : Path
        For logs and copies.
    store : Path
        Its first generation is of revision 1; the second, of revision 2, is current, and has the queries among its
        references, so that it answers every query otherwise.
    queries : (Q, V) float32
    expected : state → Q answers
        See ``soak.ledger.state``.
    """

    folder: Path
    store: Path
    queries: NDArray[np.float32]
    expected: dict[str, tuple[Told, ...]]


def make_world(folder: Path, station: SmallStation) -> World:
    """Copy a station and build its second generation."""
    store = folder / "store"
    shutil.copytree(station.store, store)
    queries = station.queries[:N_QUERIES]
    first = open_index(store / STATION)
    before = answers_of(first, queries)
    records = replace(
        station.more.take(np.zeros(len(queries), dtype=np.intp)),
        vectors=queries,
        ids=tuple(f"own-{row}" for row in range(len(queries))),
        parts=tuple(f"own-part-{row}" for row in range(len(queries))),
    )
    with ReferenceStore.open(store / STATION) as references:
        references.add(records, actor="soak")
    changed = answers_of(follow(first, store / STATION), queries)
    rebuild(StationFolder(store / STATION))
    after = answers_of(open_index(store / STATION), queries)
    assert all(one != other for one, other in zip(before, after, strict=True)), "the generations answer alike"
    expected = {state(FIRST, 1): before, state(FIRST, 2): changed, state("", 2): after}
    return World(folder, store, queries, expected)


def answers_of(index: InspectionIndex, queries: NDArray[np.float32]) -> tuple[Told, ...]:
    """Return what an index says of every query."""
    batch = index.classify(queries)
    return tuple(Told(int(label), ids[0]) for label, ids in zip(batch.labels, batch.neighbours.ids, strict=True))
