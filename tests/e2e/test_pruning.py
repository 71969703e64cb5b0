"""Generations removed under a server that still answers from one of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
from typer.testing import CliRunner

from miwake.client import Client
from miwake.indexer.build import rebuild
from miwake.indexer.cli import app
from miwake.indexer.storage.station import StationFolder
from support.serving import STATION, SmallStation, running_server

if TYPE_CHECKING:
    from pathlib import Path

HARDLY_EVER_S = "3600"


def test_a_server_goes_on_answering_from_a_generation_that_was_removed(
    small_station: SmallStation, tmp_path: Path
) -> None:
    store = shutil.copytree(small_station.store, tmp_path / "store")
    station = StationFolder(store / STATION)
    with (
        running_server(store, tmp_path / "server.log", "--poll-s", HARDLY_EVER_S) as server,
        Client(server.address) as client,
    ):
        before = client.classify(small_station.queries[:1])[0]
        for _ in range(2):
            rebuild(station)
        pruned = CliRunner().invoke(app, ["prune", "--store", str(store), "--keep", "1"])

        after = client.classify(small_station.queries)

    assert pruned.stdout == f"{STATION}: removed g000001\n"
    assert not station.generation_path("g000001").exists()
    assert {answer.provenance.generation for answer in after} == {"g000001"}
    assert before.verdict is not None
    assert after[0].verdict is not None
    np.testing.assert_allclose(
        after[0].verdict.anchors.distances, before.verdict.anchors.distances, rtol=1e-5, atol=1e-5
    )
