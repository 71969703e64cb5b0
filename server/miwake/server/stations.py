"""The stations of a store, each with the index that answers for it now, and the watcher that takes over new ones."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import TYPE_CHECKING, Self

import structlog

from miwake.indexer.errors import IndexerError, StationNotFoundError
from miwake.server.errors import IndexNotLoadedError, RequestError, UnknownStationError
from miwake.server.pins import Pins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from miwake.server.index import Index, Opener

log = structlog.get_logger()


class Station:
    """One station: its folder, and the index that answers for it from now on."""

    def __init__(self, name: str, folder: Path, index: Index) -> None:
        self.name = name
        self.folder = folder
        self.index = index
        self.refused_generation = ""
        self.problem = ""


class Stations:
    """All served stations; a context manager around the thread that watches for new generations and changes.

    Parameters
    ----------
    opener : Opener
        How a station's index is found and opened.
    poll_s : float
        Seconds between two looks at what is current.

    Attributes
    ----------
    pins : Pins
        Generations that answer although they may not be current.
    """

    def __init__(self, opener: Opener, *, poll_s: float) -> None:
        self._opener = opener
        self._poll_s = poll_s
        self._stations: Mapping[str, Station] = {}
        self.pins = Pins(lambda station, generation: self._open(station.name, station.folder, generation))
        self._stop = threading.Event()
        self._refreshing = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="watcher")

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._watcher.join()

    def load(self, store: Path, names: Sequence[str]) -> None:
        """Open the current generation of each named station, or of all in the store where none is named.

        Raises
        ------
        StationNotFoundError
            If there is no such station, or none at all.
        ArtifactError, EmbedderError
            If something of one of them is missing or damaged; the message names the file.
        """
        found = tuple(names) or tuple(self._opener.list_stations(store))
        if not found:
            message = f"{store}: no station in it"
            raise StationNotFoundError(message)
        stations = {}
        for name in found:
            folder = store / name
            station = Station(name, folder, self._open(name, folder, self._opener.current_generation(folder)))
            self._follow(station)
            stations[name] = station
        self._stations = stations

    def get(self, name: str) -> Station:
        """Return the station of that name; where there is one only, it needs no name.

        Raises
        ------
        IndexNotLoadedError
            If nothing is loaded yet.
        RequestError
            If no name is given and there are several.
        UnknownStationError
            If no station has that name.
        """
        stations = self._stations
        if not stations:
            raise IndexNotLoadedError
        if not name and len(stations) > 1:
            raise RequestError(field="station", problem=f"empty, expected one of {', '.join(stations)}")
        station = next(iter(stations.values())) if not name else stations.get(name)
        if station is None:
            raise UnknownStationError(name, served=tuple(stations))
        return station

    def all(self) -> Sequence[Station]:
        """Return the served stations; none before they are loaded."""
        return tuple(self._stations.values())

    def refresh(self) -> None:
        """Take over what has become current, and what has changed in the references.

        Where that cannot be opened or read, the index that answers goes on answering.

        A generation that was refused is not tried again before another has been current.
        """
        for station in self._stations.values():
            self.take_over(station)

    def take_over(self, station: Station) -> None:
        """Take over what has become current of one station; as ``refresh``."""
        with self._refreshing:
            try:
                self._refresh(station)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a generation, the watcher goes on
                self._tell(station, error)

    def _refresh(self, station: Station) -> None:
        generation = self._opener.current_generation(station.folder)
        if generation not in (station.index.generation, station.refused_generation):
            station.refused_generation = generation
            station.index = self._open(station.name, station.folder, generation)
        if generation == station.index.generation:
            self._follow(station)
            station.refused_generation = station.problem = ""

    def _follow(self, station: Station) -> None:
        """Take over the changes of the references since the generation was built, and of the threshold set."""
        before = station.index
        station.index = self._opener.follow(station.folder, before)
        if station.index.threshold_set != before.threshold_set:
            log.info(
                "thresholds_taken_over",
                station=station.name,
                generation=station.index.generation,
                threshold_set=station.index.threshold_set,
            )
        if station.index.revision != before.revision:
            log.info(
                "changes_taken_over",
                station=station.name,
                generation=station.index.generation,
                revision=station.index.revision,
            )

    def _tell(self, station: Station, error: Exception) -> None:
        """Log what keeps a station from its current generation, once."""
        problem = str(error) or repr(error)
        if station.problem == problem:
            return
        station.problem = problem
        log.error(
            "generation_refused",
            station=station.name,
            generation=station.refused_generation,
            still_serving=station.index.generation,
            error=problem,
            exc_info=None if isinstance(error, IndexerError) else error,
        )

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.refresh()

    def _open(self, name: str, folder: Path, generation: str) -> Index:
        started = perf_counter()
        index = self._opener.open(folder, generation)
        log.info(
            "generation_opened",
            station=name,
            generation=index.generation,
            revision=index.revision,
            embedder=index.embedder_id,
            seconds=round(perf_counter() - started, 3),
        )
        return index
