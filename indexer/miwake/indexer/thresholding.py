"""The threshold sets of a station: choosing one on what calibration rows answered, serving it, and telling of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic

from miwake.indexer.errors import ArtifactCorruptError, CalibrationError
from miwake.indexer.storage.files import read_json, sha256_of
from miwake.indexer.storage.generation import FORMAT_VERSION as MANIFEST_VERSION
from miwake.indexer.storage.generation import MANIFEST_FILE, Manifest, system_errors
from miwake.indexer.storage.station import DEFAULT_SET, StationFolder
from miwake.indexer.storage.store import ReferenceStore
from miwake.indexer.storage.threshold_sets import (
    StoredSet,
    last_set,
    list_sets,
    next_name,
    read_set,
    reference_to,
    remember,
    set_of_current,
    write_set,
)
from miwake.indexer.verdict.calibration import CALIBRATION_FILE, Calibration
from miwake.indexer.verdict.calibration import FORMAT_VERSION as CALIBRATION_VERSION
from miwake.indexer.verdict.request import ThresholdRequest
from miwake.indexer.verdict.scores import SCORES_FILE, CalibrationScores, read_scores
from miwake.indexer.verdict.thresholds import Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from miwake.indexer.storage.threshold_sets import SetReference

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDescription:
    """A threshold set of a generation.

    Attributes
    ----------
    generation : text
    is_served : bool
        Whether it decides, or will when its generation is made current again.
    created_at, actor, before : text
        When and by whom it was chosen, and what was served then; empty of a generation's own thresholds.
    request : ThresholdRequest
    chosen : Chosen
    """

    generation: str
    is_served: bool
    created_at: str
    actor: str
    before: str
    request: ThresholdRequest
    chosen: Chosen

    @property
    def name(self) -> str:
        """The name of the set."""
        return self.chosen.thresholds.name

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {"name": self.name, **asdict(self)}


def describe_set(station_folder: Path, generation: str | None = None, name: str | None = None) -> SetDescription:
    """Return a threshold set; None: of the current generation, and the one that is served with it.

    Raises
    ------
    StoreError
        If there is no such station, generation or set.
    CalibrationError
        If the generation was built before calibration scores were kept.
    ArtifactError
        If a file is damaged, or of another format.
    """
    station = StationFolder(station_folder)
    generation = generation or station.current().generation
    served = _served(station, generation).name
    name = name or served
    if name != DEFAULT_SET:
        stored = read_set(station, generation, name)
        return SetDescription(
            generation=generation,
            is_served=name == served,
            created_at=stored.created_at,
            actor=stored.actor,
            before=stored.before,
            request=_request_of(station, stored),
            chosen=_parsed(Chosen, {**stored.evidence, "thresholds": stored.thresholds}, station),
        )
    own = _Calibrated.read(station, generation)
    nothing = ThresholdRequest()
    return SetDescription(
        generation=generation,
        is_served=served == DEFAULT_SET,
        created_at="",
        actor="",
        before="",
        request=nothing,
        chosen=choose(own.scores, own.calibration.thresholds, nothing, own.pass_labels, name=DEFAULT_SET),
    )


def describe_sets(station_folder: Path, generation: str | None = None) -> tuple[SetDescription, ...]:
    """Return all threshold sets of a generation, its own first; see ``describe_set``."""
    station = StationFolder(station_folder)
    generation = generation or station.current().generation
    return tuple(
        describe_set(station_folder, generation, name) for name in (DEFAULT_SET, *list_sets(station, generation))
    )


def change(station_folder: Path, request: ThresholdRequest, *, actor: str) -> SetDescription:
    """Choose a new threshold set on the current generation and serve it; durable on return.

    What is asked is added to what the served set was asked, and replaces what is of the same kind.

    Raises
    ------
    PromiseError
        If something promised cannot be shown. Then, and after any other error, what was served is served on.
    CalibrationError
        If the generation was built before calibration scores were kept.
    StoreBusyError
        If another process holds the station's lock.
    """
    station = StationFolder(station_folder)
    with station.lock(), system_errors():
        current = station.current()
        calibrated = _Calibrated.read(station, current.generation)
        asked = request.over(served_request(station))
        name = next_name(station, current.generation)
        chosen = choose(calibrated.scores, calibrated.calibration.thresholds, asked, calibrated.pass_labels, name=name)
        reference = store_set(station, current.generation, asked, chosen, before=current.threshold_set, actor=actor)
        station.set_current(replace(current, threshold_set=reference.name, threshold_sha256=reference.sha256))
    return describe_set(station_folder)


def serve(station_folder: Path, name: str) -> SetDescription:
    """Serve a set that was chosen before, or the generation's own thresholds; durable on return.

    Raises
    ------
    StoreError
        If the current generation has no such set.
    ArtifactError
        If it is damaged.
    """
    station = StationFolder(station_folder)
    with station.lock(), system_errors():
        current = station.current()
        reference = reference_to(station, current.generation, name)
        station.set_current(replace(current, threshold_set=reference.name, threshold_sha256=reference.sha256))
    return describe_set(station_folder)


def served_request(station: StationFolder) -> ThresholdRequest:
    """Return what the set that is served now was asked; nothing where nothing is served, or nothing was asked."""
    if not (station.path / "CURRENT").exists():
        return ThresholdRequest()
    current = station.current()
    if current.threshold_set == DEFAULT_SET:
        return ThresholdRequest()
    return _request_of(station, read_set(station, current.generation, current.threshold_set))


def store_set(
    station: StationFolder, generation: str, request: ThresholdRequest, chosen: Chosen, *, before: str, actor: str
) -> SetReference:
    """Write a chosen set, durably; the caller holds the lock, and serves it."""
    evidence = asdict(chosen)
    del evidence["thresholds"]
    stored = StoredSet(
        generation=generation,
        manifest_sha256=sha256_of(station.generation_path(generation) / MANIFEST_FILE),
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        actor=actor,
        before=before,
        request=_plain(asdict(request)),
        thresholds=chosen.thresholds,
        evidence=_plain(evidence),
    )
    return write_set(station, stored)


def store_set_of_build(
    station: StationFolder, generation: str, request: ThresholdRequest, chosen: Chosen, *, actor: str
) -> None:
    """Write the set that a build chose, so that it is served as soon as its generation is current."""
    before = station.current().threshold_set if (station.path / "CURRENT").exists() else ""
    remember(station, generation, store_set(station, generation, request, chosen, before=before, actor=actor))


def choose_for_build(
    station: StationFolder,
    scores: CalibrationScores,
    calibration: Calibration,
    request: ThresholdRequest,
    pass_labels: Sequence[int],
) -> tuple[ThresholdRequest, Chosen | None]:
    """Return what is asked of the thresholds of a new generation, and those; None where nothing is.

    What the served set was asked goes on being asked. Where it can be shown no more, ``Chosen.problems`` says so.

    Raises
    ------
    PromiseError
        If what is asked now cannot be shown.
    """
    own, name = calibration.thresholds, "t000001"
    if request:
        choose(scores, own, request, pass_labels, name=name)
    asked = request.over(served_request(station))
    return asked, choose(scores, own, asked, pass_labels, name=name, must_show=False) if asked else None


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """What a generation's calibration says, its files verified."""

    calibration: Calibration
    scores: CalibrationScores
    pass_labels: tuple[int, ...]

    @classmethod
    def read(cls, station: StationFolder, generation: str) -> _Calibrated:
        folder = station.generation_path(generation)
        manifest = read_json(folder / MANIFEST_FILE, Manifest, MANIFEST_VERSION)
        current = station.current()
        if current.generation == generation and sha256_of(folder / MANIFEST_FILE) != current.manifest_sha256:
            message = f"{folder / MANIFEST_FILE}: damaged: not the generation that was made current"
            raise ArtifactCorruptError(message)
        for name in (CALIBRATION_FILE, SCORES_FILE):
            if name in manifest.files and sha256_of(folder / name) != manifest.files[name]:
                message = f"{folder / name}: sha256 differs from that in {MANIFEST_FILE}"
                raise ArtifactCorruptError(message)
        scores = read_scores(folder) if SCORES_FILE in manifest.files else None
        if scores is None:
            message = (
                f"{folder}: built before calibration scores were kept, so that nothing can be shown on it: "
                "`miwake-index rebuild` builds one that has them"
            )
            raise CalibrationError(message)
        with ReferenceStore.open(station.path) as store:
            pass_labels = store.schema.pass_labels
        calibration = read_json(folder / CALIBRATION_FILE, Calibration, CALIBRATION_VERSION)
        return cls(calibration, scores, pass_labels)


def _served(station: StationFolder, generation: str) -> SetReference:
    current = station.current()
    return set_of_current(current) if current.generation == generation else last_set(station, generation)


def _request_of(station: StationFolder, stored: StoredSet) -> ThresholdRequest:
    return _parsed(ThresholdRequest, stored.request, station)


def _parsed(kind: type[T], value: Any, station: StationFolder) -> T:  # plain values of a file whose bytes are verified
    try:
        return pydantic.TypeAdapter(kind).validate_python(value)
    except pydantic.ValidationError as error:
        message = f"{station.path}: a threshold set that says {error.errors(include_url=False)[0]['msg']}"
        raise ArtifactCorruptError(message) from error


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return what reading the value from JSON gives, so that writing it again gives the same bytes."""
    plain: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return plain
