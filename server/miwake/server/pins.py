"""Generations that are pinned: they go on answering for whoever asked for them, whatever becomes current."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from miwake.indexer.errors import ArtifactError, EmbedderError, StationNotFoundError, StoreError
from miwake.indexer.storage.station import GENERATION_NAME
from miwake.server.errors import MissingGenerationError, OverloadedError, UnusableGenerationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.server.index import Index
    from miwake.server.stations import Station

log = structlog.get_logger()

MOST_PINNED = 8
"""Generations that are pinned at once, current ones included: each that is not takes memory of its own."""

RETRY_AFTER_S = 5.0
"""When to try again where too many are pinned: streams last."""


class Pin:
    """One generation of a station that goes on answering.

    While it is the current one, changes of its references are followed; when another becomes current, it stays as it
    was last asked for. One that was not current when it was pinned answers at its base revision.
    """

    def __init__(self, station: Station, generation: str) -> None:
        self.station = station
        self.generation = generation
        self.n_users = 0
        self._opening = threading.Lock()
        self._index: Index | None = None

    @property
    def index(self) -> Index:
        """The index that answers from now on; ``open`` must have returned once."""
        index = self._known()
        if index is None:
            raise MissingGenerationError(self.generation, station=self.station.name)
        return index

    def open(self, open_: Callable[[Station, str], Index]) -> None:
        """Open the generation where it is neither current nor open."""
        with self._opening:
            if self._known() is None:
                self._index = open_(self.station, self.generation)

    def _known(self) -> Index | None:
        current = self.station.index
        if current.generation == self.generation:
            self._index = current
        return self._index


class Pins:
    """All pinned generations: each is opened once, shared, and closed by the last that gives it back.

    Parameters
    ----------
    open_ : function of Station and generation
        Opens one that is not current, on the thread that asks for it.
    """

    def __init__(self, open_: Callable[[Station, str], Index]) -> None:
        self._open = open_
        self._lock = threading.Lock()
        self._pins: dict[tuple[str, str], Pin] = {}

    def take(self, station: Station, generation: str) -> Pin:
        """Return a generation that is given back to ``give_back`` by whoever asks for it.

        Raises
        ------
        MissingGenerationError
            If the station has no such generation.
        UnusableGenerationError
            If it cannot be opened.
        OverloadedError
            If too many generations are pinned.
        """
        pin = self._count(station, generation)
        try:
            pin.open(self._open)
        except BaseException as error:
            self.give_back(pin)
            if isinstance(error, StationNotFoundError):
                raise MissingGenerationError(generation, station=station.name) from error
            if isinstance(error, (ArtifactError, EmbedderError, StoreError, OSError)):
                log.warning("pin_refused", station=station.name, generation=generation, error=str(error))
                raise UnusableGenerationError(generation, station=station.name, problem=str(error)) from error
            raise
        return pin

    def give_back(self, pin: Pin) -> None:
        """Use a generation no longer."""
        with self._lock:
            pin.n_users -= 1
            if not pin.n_users:
                del self._pins[pin.station.name, pin.generation]

    def _count(self, station: Station, generation: str) -> Pin:
        if not GENERATION_NAME.fullmatch(generation):
            raise MissingGenerationError(generation, station=station.name)
        with self._lock:
            pin = self._pins.get((station.name, generation))
            if pin is None:
                if len(self._pins) >= MOST_PINNED:
                    raise OverloadedError(what="pinned generations", limit=MOST_PINNED, retry_after_s=RETRY_AFTER_S)
                pin = self._pins[station.name, generation] = Pin(station, generation)
            pin.n_users += 1
        return pin
