"""What Python's collector leaves alone once a server serves."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from miwake.server.collecting import YOUNG_OBJECTS, settle
from miwake.server.lifecycle import serve
from miwake.server.settings import Settings
from miwake.server.workers.part import Part
from support.index import FakeIndex, FakeStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Ring:
    """An object that only the collector can free."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _collecting_as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    was_enabled = gc.isenabled()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    if was_enabled:
        gc.enable()


def test_what_was_there_before_is_not_looked_through_again() -> None:
    kept = [[number] for number in range(100)]
    settle()
    watched = {id(one) for one in gc.get_objects()}
    assert gc.get_freeze_count() > 1000
    assert not watched & {id(one) for one in kept}


def test_garbage_that_comes_later_is_still_found_without_being_asked_for() -> None:
    settle()
    ring = weakref.ref(Ring())
    assert ring() is not None
    kept: list[object] = [[] for _ in range(YOUNG_OBJECTS + 1000)]
    assert ring() is None, len(kept)


def test_the_collector_does_not_come_for_the_objects_of_a_batch() -> None:
    settle()
    ring = weakref.ref(Ring())
    kept: list[object] = [[] for _ in range(YOUNG_OBJECTS // 2)]
    assert ring() is not None, len(kept)


def test_a_server_that_serves_has_settled(tmp_path: Path) -> None:
    stop = threading.Event()
    n_frozen: list[int] = []

    def note(_: str) -> None:
        n_frozen.append(gc.get_freeze_count())
        stop.set()

    assert gc.get_freeze_count() == 0
    settings = Settings(store=tmp_path, port=0)
    serve(settings, FakeStore(FakeIndex()), stop=stop, announce=note, part=Part())

    assert n_frozen[0] > 1000
