"""Running an ablation: every cell that is not there yet, one after the other or in processes side by side."""

from __future__ import annotations

import ctypes
import signal
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from miwake.indexer.errors import DataError, IndexerError
from miwake.indexer.sources.reader import read_records
from miwake.indexer.threads import pin_threads
from miwake.training.ablation.cells import cell_key, data_fingerprint, read_cell, write_cell
from miwake.training.ablation.measuring import measure
from miwake.training.errors import AblationError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from miwake.indexer.records import Records
    from miwake.indexer.sources.settings import ReadSettings
    from miwake.training.ablation.arms import Arm
    from miwake.training.ablation.cells import Cell

CELLS_FOLDER = "cells"

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cell stands in an ablation, and the file that it is kept in."""

    source: str
    reading: ReadSettings
    arm: Arm
    seed: int
    fingerprint: str
    path: Path

    def __str__(self) -> str:
        """Return the cell as people call it."""
        return f"{self.arm.name} on {self.source}, seed {self.seed}"


class Progress:
    """Tells of each cell that was measured, a line each."""

    def __init__(self, places: Sequence[Place], tell: Callable[[str], None]) -> None:
        paths = {place.path for place in places}
        self._n_all = len(paths)
        self._n_done = sum(path.exists() for path in paths)
        self._tell = tell
        if self._n_done:
            tell(f"{self._n_done} of {self._n_all} cells are there already")

    def __call__(self, place: Place, cell: Cell) -> None:
        """Tell of one more."""
        self._n_done += 1
        right = [f"{way} {_share_right(cell, way):.4f}" for way in cell.answers]
        self._tell(f"cell {self._n_done}/{self._n_all}: {place}: {', '.join(right)}; {cell.cpu_s:.0f} s")


def _share_right(cell: Cell, way: str) -> float:
    return sum(one == two for one, two in zip(cell.truth, cell.answers[way], strict=True)) / len(cell.truth)


def places_of(
    sources: Sequence[str],
    arms: Sequence[Arm],
    n_seeds: int,
    folder: Path,
    *,
    reading: ReadSettings,
    warn: Callable[[str], None] = lambda _: None,
) -> list[Place]:
    """Return every cell of an ablation: data by data, seed by seed, the arms side by side.

    Raises
    ------
    DataError
        If a source cannot be read, or is named twice.
    """
    places = []
    for number, source in enumerate(sources):
        if source in sources[:number]:
            message = f"{source}: named twice, expected each data set once"
            raise DataError(message)
        records = _records(source, reading)
        for warning in records.warnings:
            warn(warning)
        fingerprint = data_fingerprint(records)
        for seed in range(n_seeds):
            for arm in arms:
                path = folder / CELLS_FOLDER / f"{cell_key(arm.preset.settings, seed, fingerprint)}.json"
                places.append(
                    Place(source=source, reading=reading, arm=arm, seed=seed, fingerprint=fingerprint, path=path)
                )
    return places


def run(
    places: Sequence[Place],
    *,
    n_jobs: int = 1,
    report: Callable[[Place, Cell], None] = lambda _, __: None,
) -> dict[Place, Cell]:
    """Measure the cells that are not there yet, each written as soon as it is measured, and return them all.

    Parameters
    ----------
    n_jobs : int
        Processes that measure, each one cell at a time.
    report : callable
        Told of each cell that was measured now.

    Raises
    ------
    AblationError
        If a cell cannot be measured or a process was killed; what is finished is kept.
    ArtifactCorruptError, ArtifactVersionError
        If a cell of an earlier run is damaged.
    """
    missing = {place.path: place for place in places if not place.path.exists()}
    try:
        for path in {path.parent for path in missing}:
            path.mkdir(parents=True, exist_ok=True)
        for place in _measured(list(missing.values()), n_jobs):
            report(place, read_cell(place.path))
    except OSError as error:
        message = f"{error.filename or CELLS_FOLDER}: cannot be written: {error.strerror}"
        raise AblationError(message) from error
    return {place: read_cell(place.path) for place in places}


def _measured(missing: list[Place], n_jobs: int) -> Iterator[Place]:
    if n_jobs == 1 or len(missing) <= 1:
        for place in missing:
            _raise(place, _measure(place))
            yield place
        return
    # Forked processes would inherit the locks of the numerical libraries' threads.
    with ProcessPoolExecutor(
        min(n_jobs, len(missing)), mp_context=get_context("spawn"), initializer=_begin_process
    ) as pool:
        running = {pool.submit(_measure, place): place for place in missing}
        try:
            for done in as_completed(running):
                _raise(running[done], done.result())
                yield running[done]
        except BrokenProcessPool as error:
            message = "a process that measured was killed, out of memory perhaps; the same command goes on"
            raise AblationError(message) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _measure(place: Place) -> str:
    """Measure and write one cell; return why not in one line, else the empty text, which travels between processes."""
    try:
        records = _records(place.source, place.reading)
        fingerprint = data_fingerprint(records)
        if fingerprint != place.fingerprint:
            return "the data have changed since this command began"
        write_cell(place.path, measure(records, place.arm.preset, seed=place.seed, fingerprint=fingerprint))
    except (IndexerError, TrainingError) as error:
        return str(error)
    return ""


def _raise(place: Place, why: str) -> None:
    if why:
        message = f"{place}: {why}"
        raise AblationError(message)


@lru_cache(maxsize=1)
def _records(source: str, reading: ReadSettings) -> Records:
    """Read a source; the cells of one data set stand beside each other, so that each is read once."""
    return read_records(source, reading)


def _begin_process() -> None:
    """Keep to one thread, and let the system end this process with the one that waits for its cells."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    pin_threads()
