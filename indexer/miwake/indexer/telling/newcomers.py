"""What is known of the classes that references have been added of since calibration: recognised, but not promised."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from miwake.indexer.storage.generation import current_manifest
from miwake.indexer.storage.reference_files import ReferenceFiles
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.thresholding import served_request
from miwake.indexer.verdict.promises import parts_needed
from miwake.indexer.verdict.roles import NEW_CLASS_SHARE
from miwake.indexer.verdict.scores import read_scores

if TYPE_CHECKING:
    from pathlib import Path

    from miwake.indexer.verdict.request import ThresholdRequest

FEW = 5
"""References from which on a class is recognised: docs/verdict.md has the measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A class that no calibration part bears.

    Attributes
    ----------
    label : int
    is_pass : bool
    n_references : int
        That are searched now.
    n_parts_needed : int
        Parts of it that a rebuild needs before the served promise can be shown of it; 0 where nothing is promised of
        single classes.
    """

    label: int
    is_pass: bool
    n_references: int
    n_parts_needed: int

    def text(self) -> str:
        """Return what is known of the class, in words."""
        known = "recognised by its votes and its anchor"
        if self.n_references < FEW:
            known = f"fewer than the {FEW} from which on a class is recognised"
        until = "at least 2 parts of it"
        if self.n_parts_needed:
            until = f"about {self.n_parts_needed:,} parts of it"
        return (
            f"label {self.label}: {self.n_references} references, {known}; not calibrated: no promise covers it until "
            f"a rebuild with {until}"
        )


def newcomers(station_folder: Path) -> tuple[Newcomer, ...]:
    """Return the classes of the latest references that calibration has not seen; none where nothing can tell.

    Raises
    ------
    StoreError, ArtifactError
        If the store or the scores cannot be read.
    """
    station = StationFolder(station_folder)
    manifest = current_manifest(station)
    if manifest is None:
        return ()
    folder = station.generation_path(manifest.generation)
    scores = read_scores(folder)
    if scores is None:
        return ()
    with ReferenceStore.open(station_folder) as store:
        pass_labels = store.schema.pass_labels
        changes = store.changes(manifest.base_revision)
    references = ReferenceFiles.open(folder)
    counts = Counter(references.labels.tolist())
    counts.subtract(references.labels[references.positions_of(changes.ended)].tolist())
    counts.update(changes.begun.labels.tolist())
    calibrated = set(np.unique(scores.truth).tolist())
    request = served_request(station)
    return tuple(
        Newcomer(
            label=label,
            is_pass=label in pass_labels,
            n_references=count,
            n_parts_needed=_parts_needed(label, request),
        )
        for label, count in sorted(counts.items())
        if count and label not in calibrated
    )


def _parts_needed(label: int, request: ThresholdRequest) -> int:
    """Return how many parts must be added so that enough of them calibrate: of a new class, a third do."""
    share = request.max_escape_of.get(label, request.max_escape if request.per_class else None)
    return 0 if share is None else round(parts_needed(share) / NEW_CLASS_SHARE)
