from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.serving import ServerProcess, SmallStation, build_small_station, running_server


@pytest.fixture(scope="session")
def small_station(tmp_path_factory: pytest.TempPathFactory) -> SmallStation:
    return build_small_station(tmp_path_factory.mktemp("small_station"))


@pytest.fixture(scope="session")
def server(small_station: SmallStation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(small_station.store, tmp_path_factory.mktemp("server") / "log") as running:
        yield running
