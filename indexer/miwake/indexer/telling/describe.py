"""What a station is, in plain values: its references, its index, and how sure it has shown itself to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from miwake.indexer.errors import CalibrationError
from miwake.indexer.opening import open_index
from miwake.indexer.search.recall import CandidateRecall, read_recall
from miwake.indexer.storage.station import StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.telling.newcomers import Newcomer, newcomers
from miwake.indexer.thresholding import SetDescription, describe_set
from miwake.indexer.verdict.scores import read_scores

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from miwake.indexer.embedder import EmbedderCard
    from miwake.indexer.health.limits import HealthLimit
    from miwake.indexer.index import InspectionIndex
    from miwake.indexer.search.card import SearchCard
    from miwake.indexer.verdict.calibration import Calibration
    from miwake.indexer.verdict.reference_maps import ReferenceMapName


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDescription:
    """One class of an index.

    Attributes
    ----------
    label : int
    is_pass : bool
    n_references, n_parts : int
        Rows without a part count as a part each.
    failure_modes : mapping of failure mode to its number of references
    n_calibration_parts : int or None
        Parts that calibrated it: with none, no promise covers it. None where no scores were kept.
    """

    label: int
    is_pass: bool
    n_references: int
    n_parts: int
    failure_modes: dict[str, int]
    n_calibration_parts: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthDescription:
    """What an embedder learnt to be ordinary for an input.

    Attributes
    ----------
    limits : mapping of statistic to HealthLimit
    n_rows, n_parts : int
        What they were learnt from.
    false_alarms : float or None
        Share of calibration rows beyond a limit; None where there were none.
    """

    limits: dict[str, HealthLimit]
    n_rows: int
    n_parts: int
    false_alarms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationDescription:
    """A station and one of its generations.

    Attributes
    ----------
    station, generation, embedder, preset : text
    revision : int
        The revision that the generation was built from.
    latest_revision : int
        Of the store.
    follows : bool
        Whether the changes between the two are served beside the generation; after a roll back they wait, and with
        another generation than the current one they do not belong to it.
    n_references : int
    heat_map_shape : (rows, columns)
    value_range : (low, high)
    pass_labels : tuple of int
    classes : tuple of ClassDescription
    calibration : Calibration
    reference_map : text
        What the probabilities of *reject* weigh residuals against: ``none``, ``template`` or ``class-mean``.
    search : SearchCard
        How candidates are found, and how well that agrees with exact search.
    health : HealthDescription or None
        None where the embedder has not learnt what is ordinary for an input.
    threshold_set : SetDescription or None
        The set that is served, or was last, with the generation: what is promised beside what was realised. None where
        the generation was built before calibration scores were kept.
    newcomers : tuple of Newcomer
        Classes of the latest references that calibration has not seen.
    recall : CandidateRecall or None
        What re-ranking the candidates finds of what re-ranking every reference would. None where the generation was
        built before it was measured.
    generations : tuple of text
        All that are stored, oldest first.
    """

    station: str
    generation: str
    embedder: str
    preset: str
    revision: int
    latest_revision: int
    follows: bool
    n_references: int
    heat_map_shape: tuple[int, int]
    value_range: tuple[float, float]
    pass_labels: tuple[int, ...]
    classes: tuple[ClassDescription, ...]
    calibration: Calibration
    reference_map: ReferenceMapName
    search: SearchCard
    health: HealthDescription | None
    recall: CandidateRecall | None
    generations: tuple[str, ...]
    threshold_set: SetDescription | None
    newcomers: tuple[Newcomer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def describe(station_folder: Path, generation: str | None = None) -> StationDescription:
    """Return what a station is; None: its current generation.

    Raises
    ------
    StoreError, ArtifactError
        If the station or the generation cannot be opened.
    """
    station = StationFolder(station_folder)
    current = station.current()
    index = open_index(station_folder, generation)
    with ReferenceStore.open(station_folder) as store:
        latest_revision = store.revision
    card = index.contents.embedder.card
    return StationDescription(
        station=index.station,
        generation=index.generation,
        embedder=index.embedder_id,
        preset=card.preset,
        revision=index.revision,
        latest_revision=latest_revision,
        follows=current.follows and index.generation == current.generation,
        n_references=index.n_references,
        heat_map_shape=index.heat_map_shape,
        value_range=card.value_range,
        pass_labels=index.pass_labels,
        classes=_classes(index, _calibration_parts(station, index.generation)),
        calibration=index.calibration,
        reference_map=index.reference_map,
        search=index.contents.search,
        health=_health(card),
        recall=read_recall(station.generation_path(index.generation)),
        generations=tuple(station.generations()),
        threshold_set=_threshold_set(station_folder, index.generation),
        newcomers=newcomers(station_folder) if index.generation == current.generation else (),
    )


def _threshold_set(station_folder: Path, generation: str) -> SetDescription | None:
    try:
        return describe_set(station_folder, generation)
    except CalibrationError:
        return None


def _calibration_parts(station: StationFolder, generation: str) -> Mapping[int, int] | None:
    """Return how many calibration parts bear each label; None where no scores were kept."""
    scores = read_scores(station.generation_path(generation))
    if scores is None:
        return None
    pairs = np.unique(np.stack([scores.truth, scores.parts]), axis=1)
    return Counter(pairs[0].tolist())


def _health(card: EmbedderCard) -> HealthDescription | None:
    learnt = card.health
    if learnt is None:
        return None
    return HealthDescription(
        limits=dict(learnt.limits), n_rows=learnt.n_rows, n_parts=learnt.n_parts, false_alarms=learnt.false_alarms
    )


def _classes(index: InspectionIndex, calibration_parts: Mapping[int, int] | None) -> tuple[ClassDescription, ...]:
    references = index.contents.references
    mode_codes, modes = references.codes("failure_mode")
    part_codes, parts = references.codes("part")
    described = []
    for label in index.labels:
        rows = references.labels == label
        own_parts = [parts[code] for code in part_codes[rows].tolist()]
        counted = Counter(modes[code] for code in mode_codes[rows].tolist())
        described.append(
            ClassDescription(
                label=label,
                is_pass=label in index.pass_labels,
                n_references=int(rows.sum()),
                n_parts=len({part for part in own_parts if part}) + sum(not part for part in own_parts),
                failure_modes=dict(counted.most_common()),
                n_calibration_parts=None if calibration_parts is None else calibration_parts.get(label, 0),
            )
        )
    return tuple(described)
