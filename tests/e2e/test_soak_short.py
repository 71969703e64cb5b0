"""What ``make soak`` does for minutes, for seconds."""

from __future__ import annotations

import os

import numpy as np
import pytest

from soak.cuts import cut_streams
from soak.hostile import Crowd, serve_beside
from soak.memory import anonymous_bytes
from soak.reloads import reload_under_load
from soak.stops import stop_under_load
from soak.world import World, make_world
from support.serving import SmallStation

LENIENT = 100.0
"""The promise is twice the p99 of quiet; that is for ``make soak`` on a machine that does nothing else."""


@pytest.fixture(scope="module")
def world(small_station: SmallStation, tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("soak"), small_station)


def test_reloads_under_load_harm_no_answer(world: World) -> None:
    found = reload_under_load(world, 6)

    assert (found.n, dict(found.harm), found.unseen, found.broken) == (6, {}, [], [])
    assert found.n_answers > 1000


def test_cuts_at_random_bytes_lose_and_double_nothing(world: World) -> None:
    found = cut_streams(world, 6)

    assert found.n >= 6
    assert (dict(found.harm), found.unseen, found.broken) == ({}, [], [])


def test_a_stop_under_load_leaves_nothing_unanswered_or_unrecorded(world: World) -> None:
    found = stop_under_load(world, 1)

    assert (found.n, dict(found.harm), found.unseen, found.broken) == (1, {}, [], [])


def test_a_good_caller_is_answered_beside_hostile_ones(world: World) -> None:
    found = serve_beside(world, Crowd(n_idle=50, n_deaf=10, huge_mb=20, n_messages=40, most_ratio=LENIENT))

    assert found.broken == []


def test_memory_is_seen_to_grow() -> None:
    before = anonymous_bytes(os.getpid())
    held = np.ones(32 << 20, dtype=np.uint8)

    assert anonymous_bytes(os.getpid()) - before > held.nbytes // 2
