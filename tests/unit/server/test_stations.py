from __future__ import annotations

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from miwake.indexer.errors import ArtifactCorruptError, StationNotFoundError
from miwake.server.errors import IndexNotLoadedError, RequestError, UnknownStationError
from miwake.server.stations import Stations
from support.index import FakeIndex, FakeStore

STORE = Path("store")


def loaded(store: FakeStore, *names: str) -> Stations:
    stations = Stations(store, poll_s=0.001)
    stations.load(STORE, names)
    return stations


def test_all_stations_of_the_store_are_served_unless_some_are_named() -> None:
    store = FakeStore(FakeIndex(station="a"), FakeIndex(station="b"))

    assert loaded(store).get("b").name == "b"
    with pytest.raises(UnknownStationError, match="no station 'b' here, expected one of a"):
        loaded(store, "a").get("b")


def test_the_only_station_needs_no_name() -> None:
    assert loaded(FakeStore(FakeIndex(station="a"))).get("").name == "a"


def test_one_of_several_stations_must_be_named() -> None:
    stations = loaded(FakeStore(FakeIndex(station="a"), FakeIndex(station="b")))

    with pytest.raises(RequestError, match="station: empty, expected one of a, b"):
        stations.get("")


def test_before_loading_nothing_is_served() -> None:
    with pytest.raises(IndexNotLoadedError):
        Stations(FakeStore(), poll_s=1).get("a")


def test_an_empty_store_is_refused() -> None:
    with pytest.raises(StationNotFoundError, match="store: no station in it"):
        loaded(FakeStore())


def test_a_station_that_cannot_be_opened_is_refused_at_the_start() -> None:
    store = FakeStore(FakeIndex(station="a"))
    store.damage("b", "g000001")

    with pytest.raises(ArtifactCorruptError, match=r"index\.faiss"):
        loaded(store)


def test_changes_of_the_references_are_taken_over() -> None:
    store = FakeStore(FakeIndex(station="a"))
    stations = loaded(store)
    changed = FakeIndex(station="a")
    changed.revision = 8
    store.change(changed)

    with capture_logs() as logged:
        stations.refresh()

    assert stations.get("a").index is changed
    assert [(one["event"], one["revision"]) for one in logged] == [("changes_taken_over", 8)]


def test_a_new_generation_is_taken_over() -> None:
    store = FakeStore(FakeIndex())
    stations = loaded(store)
    new = FakeIndex(generation="g000002")
    store.publish(new)

    stations.refresh()

    assert stations.get("line1").index is new


def test_an_earlier_generation_is_taken_over_too() -> None:
    store = FakeStore(FakeIndex(generation="g000002"))
    stations = loaded(store)
    store.publish(FakeIndex(generation="g000001"))

    stations.refresh()

    assert stations.get("line1").index.generation == "g000001"


def test_a_broken_generation_is_told_once_and_the_old_one_serves_on() -> None:
    store = FakeStore(FakeIndex())
    stations = loaded(store)
    store.damage("line1", "g000002")

    with capture_logs() as events:
        stations.refresh()
        stations.refresh()

    assert stations.get("line1").index.generation == "g000001"
    assert [event["event"] for event in events] == ["generation_refused"]
    assert events[0]["generation"] == "g000002"
    assert events[0]["still_serving"] == "g000001"
    assert "index.faiss" in events[0]["error"]


def test_after_a_broken_generation_a_good_one_is_taken_over() -> None:
    store = FakeStore(FakeIndex())
    stations = loaded(store)
    store.damage("line1", "g000002")
    with capture_logs():
        stations.refresh()
    store.publish(FakeIndex(generation="g000003"))

    stations.refresh()

    assert stations.get("line1").index.generation == "g000003"


def test_what_is_current_already_is_not_opened_again() -> None:
    store = FakeStore(FakeIndex())
    stations = loaded(store)

    stations.refresh()

    assert store.n_opened == 1


def test_a_station_without_a_readable_current_generation_is_told_once_and_does_not_stop_the_others() -> None:
    store = FakeStore(FakeIndex(station="a"), FakeIndex(station="b"))
    stations = loaded(store)
    store.withdraw("a")
    store.publish(FakeIndex(station="b", generation="g000002"))

    with capture_logs() as events:
        stations.refresh()
        stations.refresh()

    assert [event["station"] for event in events if event["event"] == "generation_refused"] == ["a"]
    assert stations.get("a").index.generation == "g000001"
    assert stations.get("b").index.generation == "g000002"


def test_an_error_that_nobody_expected_does_not_end_the_watching() -> None:
    class Failing(FakeStore):
        def open(self, station_folder: Path, generation: str) -> FakeIndex:
            if generation == "g000002":
                raise MemoryError
            return super().open(station_folder, generation)

    store = Failing(FakeIndex())
    stations = loaded(store)
    store.publish(FakeIndex(generation="g000002"))

    with capture_logs() as events:
        stations.refresh()

    assert stations.get("").index.generation == "g000001"
    assert events[0]["exc_info"]


def test_the_watcher_takes_over_on_its_own() -> None:
    taken_over = threading.Event()

    class Observed(FakeStore):
        def open(self, station_folder: Path, generation: str) -> FakeIndex:
            if generation == "g000002":
                taken_over.set()
            return super().open(station_folder, generation)

    store = Observed(FakeIndex())
    with loaded(store) as stations:
        store.publish(FakeIndex(generation="g000002"))
        assert taken_over.wait(30)

    assert stations.get("").index.generation == "g000002"
