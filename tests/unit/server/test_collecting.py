"""What Python's collector leaves alone once a server serves."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from miwake.server.collecting import settle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _collecting_as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_was_there_before_is_not_looked_through_again() -> None:
    kept = [[number] for number in range(100)]
    settle()
    watched = {id(one) for one in gc.get_objects()}
    assert gc.get_freeze_count() > 1000
    assert not watched & {id(one) for one in kept}


def test_garbage_that_comes_later_is_still_found() -> None:
    settle()
    ring: list[object] = []
    ring.append(ring)
    del ring
    assert gc.collect() >= 1
