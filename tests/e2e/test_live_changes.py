"""Changes by ``miwake-index`` to a store that a server has open, seen by a client of that server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from miwake.client import Answer, Client, Neighbours
from miwake.indexer.cli import app
from support.serving import STATION, ServerProcess, SmallStation, running_server

SEEN_WITHIN_S = 10.0
"""The promise is a second; a machine that runs other tests beside this one is given more."""


def change(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output


def wait_for_revision(client: Client, query: np.ndarray, revision: int) -> None:
    deadline = time.monotonic() + SEEN_WITHIN_S
    while client.classify([query])[0].provenance.revision != revision:
        assert time.monotonic() < deadline, f"revision {revision} is not served"


def nearest(client: Client, query: np.ndarray) -> Neighbours:
    found = client.search_neighbours([query], n_neighbours=1)[0].neighbours
    assert found is not None
    return found


@pytest.fixture
def store(small_station: SmallStation, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_station.store, tmp_path / "store"))


@pytest.fixture
def server(store: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(store, tmp_path / "server.log") as running:
        yield running


def test_a_new_defect_is_known_to_a_running_server_and_forgotten_again(
    store: Path, server: ServerProcess, small_station: SmallStation, tmp_path: Path
) -> None:
    query = small_station.queries[0]
    defects = tmp_path / "defects.npz"
    np.savez(defects, vectors=query[None], labels=np.array([44]), heat_map_shape=np.array([36, 39]))

    with Client(server.address) as client:
        before = nearest(client, query)
        change("add", defects, "--store", store, "--failure-mode", "edge burr")
        wait_for_revision(client, query, 2)
        added = nearest(client, query)
        change("relabel", "defects:0", "--label", 45, "--failure-mode", "deep burr", "--store", store)
        wait_for_revision(client, query, 3)
        relabelled = nearest(client, query)
        change("remove", "defects:0", "--store", store)
        wait_for_revision(client, query, 4)
        removed = nearest(client, query)

    assert (added.ids[0], added.labels[0], added.failure_modes[0]) == (
        "defects:0",
        44,
        "edge burr",
    )
    assert (relabelled.labels[0], relabelled.failure_modes[0]) == (45, "deep burr")
    assert removed.ids == before.ids


def test_a_roll_back_is_served_without_the_later_changes(
    store: Path, server: ServerProcess, small_station: SmallStation, tmp_path: Path
) -> None:
    query = small_station.queries[0]
    defects = tmp_path / "defects.npz"
    np.savez(defects, vectors=query[None], labels=np.array([44]), heat_map_shape=np.array([36, 39]))

    with Client(server.address, station=STATION) as client:
        change("add", defects, "--store", store)
        wait_for_revision(client, query, 2)
        change("rollback", "--to", "g000001", "--store", store)
        wait_for_revision(client, query, 1)
        found = nearest(client, query)

    assert found.ids[0] != "defects:0"


def test_a_threshold_set_is_taken_over_and_named_by_every_verdict(
    store: Path, server: ServerProcess, small_station: SmallStation
) -> None:
    query = small_station.queries[0]

    def wait_for_set(client: Client, name: str) -> Answer:
        deadline = time.monotonic() + SEEN_WITHIN_S
        while (answer := client.classify([query])[0]).provenance.threshold_set != name:
            assert time.monotonic() < deadline, f"threshold set {name} is not served"
        return answer

    with Client(server.address) as client:
        before = client.classify([query])[0]
        change("thresholds", "--pass-at-most", 0, "--reject-at-least", 1, "--store", store)
        strict = wait_for_set(client, "t000001")
        change("thresholds", "--set", "default", "--store", store)
        after = wait_for_set(client, "default")

    assert before.provenance.threshold_set == "default"
    assert strict.verdict is not None
    assert strict.verdict.decision.name in {"REVIEW", "UNKNOWN"}
    assert after.verdict is not None
    assert before.verdict is not None
    assert after.verdict.decision == before.verdict.decision
    assert strict.provenance.generation == before.provenance.generation
