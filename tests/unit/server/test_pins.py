from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from miwake.indexer.errors import ArtifactCorruptError, StationNotFoundError
from miwake.server.errors import MissingGenerationError, OverloadedError, UnusableGenerationError
from miwake.server.pins import MOST_PINNED, Pins
from miwake.server.stations import Station
from support.index import FakeIndex

TIMEOUT_S = 30


class Opening:
    """Opens any generation, and counts."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, station: Station, generation: str) -> FakeIndex:
        self.opened.append(generation)
        self.gate.wait(TIMEOUT_S)
        return FakeIndex(station=station.name, generation=generation)


def station_of(index: FakeIndex) -> Station:
    return Station(index.station, Path("store") / index.station, index)


def changed(index: FakeIndex) -> FakeIndex:
    later = FakeIndex(station=index.station, generation=index.generation)
    later.revision = index.revision + 1
    return later


def test_the_current_generation_is_followed_while_it_is_current_and_kept_after_that() -> None:
    opening = Opening()
    first = FakeIndex(generation="g000001")
    station = station_of(first)
    pin = Pins(opening).take(station, "g000001")
    assert pin.index is first

    later = station.index = changed(first)
    assert pin.index is later
    station.index = FakeIndex(generation="g000002")

    assert pin.index is later
    assert opening.opened == []


def test_another_generation_is_opened_once_for_all_and_closed_by_the_last() -> None:
    opening = Opening()
    station = station_of(FakeIndex(generation="g000002"))
    pins = Pins(opening)
    one, other = pins.take(station, "g000001"), pins.take(station, "g000001")
    assert one.index is other.index

    pins.give_back(one)
    assert pins.take(station, "g000001").index is other.index
    pins.give_back(other)
    pins.give_back(other)
    pins.take(station, "g000001")

    assert opening.opened == ["g000001", "g000001"]


def test_a_generation_that_is_opened_slowly_holds_up_only_those_who_want_it() -> None:
    opening = Opening()
    opening.gate.clear()
    station = station_of(FakeIndex(generation="g000002"))
    pins = Pins(opening)
    thread = threading.Thread(target=lambda: pins.take(station, "g000001"))
    thread.start()

    assert pins.take(station, "g000002").index is station.index
    opening.gate.set()
    thread.join(TIMEOUT_S)


@pytest.mark.parametrize("name", ["nonsense", "../g000001", "G000001", "g1"])
def test_what_is_no_name_of_a_generation_is_missing_and_not_looked_for(name: str) -> None:
    opening = Opening()

    with pytest.raises(MissingGenerationError, match="has no generation"):
        Pins(opening).take(station_of(FakeIndex()), name)
    assert opening.opened == []


def failing(error: Exception) -> Callable[[Station, str], FakeIndex]:
    def open_(station: Station, generation: str) -> FakeIndex:
        del station, generation
        raise error

    return open_


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StationNotFoundError("there are: g000001"), MissingGenerationError),
        (ArtifactCorruptError("index.faiss: sha256 differs"), UnusableGenerationError),
        (OSError("too many open files"), UnusableGenerationError),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
def test_a_generation_that_cannot_be_opened_is_refused_and_not_remembered(
    error: Exception, raised: type[Exception]
) -> None:
    pins = Pins(failing(error))
    station = station_of(FakeIndex(generation="g000002"))

    with capture_logs():
        for _ in range(MOST_PINNED + 1):
            with pytest.raises(raised):
                pins.take(station, "g000001")


def test_more_generations_than_there_is_room_for_are_refused_until_one_is_given_back() -> None:
    pins = Pins(Opening())
    station = station_of(FakeIndex(generation="g000100"))
    taken = [pins.take(station, f"g{number:06}") for number in range(MOST_PINNED)]

    with pytest.raises(OverloadedError, match="pinned generations"):
        pins.take(station, "g000050")
    pins.give_back(taken[0])

    assert pins.take(station, "g000050").index.generation == "g000050"
