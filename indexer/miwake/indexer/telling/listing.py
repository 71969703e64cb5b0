"""What a store holds: its stations, and the generations of each, without opening them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.indexer.errors import ArtifactError, IndexerError, StationNotFoundError
from miwake.indexer.storage.files import read_json
from miwake.indexer.storage.generation import FORMAT_VERSION, MANIFEST_FILE, Manifest
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore

if TYPE_CHECKING:
    from pathlib import Path

CURRENT, STAGED, KEPT = "current", "staged", "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedGeneration:
    """One generation, as its manifest tells it; nothing is verified.

    Attributes
    ----------
    generation : text
    state : text
        ``current``, ``staged`` (built without being made current, and not since) or ``kept``.
    created_at : text
        UTC, ISO 8601; empty where the manifest cannot be read.
    revision, n_references : int
    embedder : text
    size_bytes : int
        Of its files.
    problem : text
        Why its manifest cannot be read; mostly empty.
    """

    generation: str
    state: str
    created_at: str
    revision: int
    n_references: int
    embedder: str
    size_bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedStation:
    """One station.

    Attributes
    ----------
    station : text
    revision, n_references : int
        Of the store, at its latest revision.
    follows : bool
        Whether changes since the current generation was built are served; after a roll back they wait.
    size_bytes : int
        Of ``references.db``.
    generations : tuple of ListedGeneration
        Oldest first.
    problem : text
        Why the store or ``CURRENT`` cannot be read; mostly empty.
    """

    station: str
    revision: int
    n_references: int
    follows: bool
    size_bytes: int
    generations: tuple[ListedGeneration, ...]
    problem: str = ""


def list_station(station_folder: Path) -> ListedStation:
    """Return what a station holds; what cannot be read is told, and the rest is there all the same."""
    station = StationFolder(station_folder)
    revision = n_references = size_bytes = 0
    current, follows, problem = "", False, ""
    try:
        with ReferenceStore.open(station_folder) as store:
            revision, n_references, size_bytes = store.revision, store.n_references, store.path.stat().st_size
        serving = station.current()
        current, follows = serving.generation, serving.follows
    except StationNotFoundError:  # nothing has been published yet
        pass
    except IndexerError as error:
        problem = str(error)
    return ListedStation(
        station=station.name,
        revision=revision,
        n_references=n_references,
        follows=follows,
        size_bytes=size_bytes,
        generations=tuple(_listed(station, one, current) for one in station.generations()),
        problem=problem,
    )


def _listed(station: StationFolder, generation: str, current: str) -> ListedGeneration:
    folder = station.generation_path(generation)
    size_bytes = sum(one.stat().st_size for one in folder.iterdir() if one.is_file())
    try:
        manifest = read_json(folder / MANIFEST_FILE, Manifest, FORMAT_VERSION)
    except ArtifactError as error:
        return ListedGeneration(
            generation=generation,
            state=CURRENT if generation == current else KEPT,
            created_at="",
            revision=0,
            n_references=0,
            embedder="",
            size_bytes=size_bytes,
            problem=str(error),
        )
    state = STAGED if manifest.settings.get("stage") else KEPT
    return ListedGeneration(
        generation=generation,
        state=CURRENT if generation == current else state,
        created_at=manifest.created_at,
        revision=manifest.base_revision,
        n_references=manifest.n_references,
        embedder=manifest.embedder_id,
        size_bytes=size_bytes,
    )
