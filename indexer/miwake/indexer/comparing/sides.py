"""One of two indexes that are compared: a generation as it was built, or what is served now, changes included."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.index import InspectionIndex
from miwake.indexer.opened.overlay import Overlay, make_overlay
from miwake.indexer.opening import open_index
from miwake.indexer.records import vector_hash
from miwake.indexer.storage.files import sha256_of
from miwake.indexer.storage.generation import MANIFEST_FILE
from miwake.indexer.storage.reading import NO_CHANGES, collect
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.storage.threshold_sets import reference_to, thresholds_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from miwake.indexer.storage.reading import Snapshot

SERVED = "current"
"""In the place of a generation's name: what is served now, with the changes of the references since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideDescription:
    """What answered.

    Attributes
    ----------
    name : text
        As it was asked for.
    generation, embedder, preset, threshold_set, method : text
    revision, n_references : int
    """

    name: str
    generation: str
    embedder: str
    preset: str
    threshold_set: str
    method: str
    revision: int
    n_references: int


class Side:
    """An index, and the same index without the references of one part."""

    def __init__(self, name: str, index: InspectionIndex, overlay: Overlay) -> None:
        self.name = name
        self.index = index
        self._overlay = overlay
        contents = index.contents
        codes, parts = contents.references.codes("part")
        self._part_codes, self._part_code_of = codes, {part: code for code, part in enumerate(parts) if part}
        self._added_parts: defaultdict[str, list[int]] = defaultdict(list)
        for row, part in enumerate(overlay.added.parts):
            self._added_parts[part].append(row)

    @classmethod
    def open(cls, station_folder: Path, name: str) -> Side:
        """Open a generation, or what is served now.

        Parameters
        ----------
        station_folder : Path
        name : text
            A generation's name or ``current``; behind a colon a threshold set of that generation, as in
            ``g000002:t000001`` or ``current:default``. Without one, the set that is, or was last, served with it.

        Raises
        ------
        StationNotFoundError, ArtifactCorruptError, ArtifactVersionError
            As ``open_index``.
        StoreError
            If there is no such threshold set.
        """
        generation, _, threshold_set = name.partition(":")
        index = open_index(station_folder, None if generation == SERVED else generation)
        if threshold_set:
            index = _with_set(index, StationFolder(station_folder), threshold_set)
        with ReferenceStore.open(station_folder) as store:
            overlay = Overlay(
                revision=index.revision,
                masked=np.empty(0, dtype=np.int64),
                added=collect((), NO_CHANGES, store.schema),
                embeddings=np.empty((0, index.contents.embedder.card.n_dimensions), dtype=np.float32),
            )
            if generation == SERVED and StationFolder(station_folder).current().follows:
                changes = store.changes(index.base_revision)
                overlay = make_overlay(changes, index.contents.references, index.contents.embedder)
                index = InspectionIndex(index.contents, overlay)
        return cls(name, index, overlay)

    def describe(self) -> SideDescription:
        """Return what answers here."""
        index = self.index
        return SideDescription(
            name=self.name,
            generation=index.generation,
            embedder=index.embedder_id,
            preset=index.contents.embedder.card.preset,
            threshold_set=index.threshold_set,
            method=index.calibration.method,
            revision=index.revision,
            n_references=index.n_references,
        )

    def knows(self, part: str) -> bool:
        """Return whether references were taken from a part."""
        return part in self._part_code_of or bool(part and self._added_parts.get(part))

    def without(self, part: str) -> InspectionIndex:
        """Return the index without the references of a part: neither its votes nor its share of the anchors count."""
        overlay, added = self._overlay, self._overlay.added
        own = np.flatnonzero(self._part_codes == self._part_code_of.get(part, -1))
        kept = np.setdiff1d(np.arange(len(added)), self._added_parts.get(part, []))
        return InspectionIndex(
            self.index.contents,
            replace(
                overlay,
                masked=np.union1d(overlay.masked, own).astype(np.int64),
                added=_take(added, kept),
                embeddings=overlay.embeddings[kept],
            ),
        )

    def vector_hashes(self) -> frozenset[bytes]:
        """Return the hashes of the vectors of all references, ended ones included; reads every vector."""
        vectors = (self.index.contents.references.vectors, self._overlay.added.vectors)
        return frozenset(vector_hash(vector) for some in vectors for vector in some)

    def fitted_parts(self) -> frozenset[str]:
        """Return the parts of the references that the embedder was fitted on."""
        fitted = frozenset(self.index.contents.embedder.card.fit_row_hashes)
        stored = self.index.contents.references
        rows = np.arange(len(stored))
        told = zip(stored.texts("part", rows), stored.texts("row_hash", rows), strict=True)
        return frozenset(part for part, one in told if part and one in fitted)

    def vector(self, reference_id: str) -> NDArray[np.float32]:
        """Return the inspection vector (V,) float32 of a reference.

        Raises
        ------
        KeyError
            If there is none of that id.
        """
        if reference_id in self._overlay.added.ids:
            return np.array(self._overlay.added.vectors[self._overlay.added.ids.index(reference_id)])
        positions = self.index.contents.references.positions_of([reference_id])
        if not len(positions):
            raise KeyError(reference_id)
        return self.index.reference_vector(int(positions[0]))


def _with_set(index: InspectionIndex, station: StationFolder, name: str) -> InspectionIndex:
    manifest_sha256 = sha256_of(station.generation_path(index.generation) / MANIFEST_FILE)
    reference = reference_to(station, index.generation, name)
    return index.with_thresholds(thresholds_of(station, index.generation, manifest_sha256, reference))


def _take(snapshot: Snapshot, rows: NDArray[np.int64]) -> Snapshot:
    def pick(column: Sequence[str]) -> tuple[str, ...]:
        return tuple(column[row] for row in rows.tolist())

    return replace(
        snapshot,
        vectors=snapshot.vectors[rows],
        labels=snapshot.labels[rows],
        ids=pick(snapshot.ids),
        failure_modes=pick(snapshot.failure_modes),
        parts=pick(snapshot.parts),
        groups=pick(snapshot.groups),
        splits=pick(snapshot.splits),
        sources=pick(snapshot.sources),
        times=pick(snapshot.times),
        row_hashes=pick(snapshot.row_hashes),
    )
