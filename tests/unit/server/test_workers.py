from __future__ import annotations

import fcntl
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from miwake.server.errors import AddressError
from miwake.server.workers.address import held_address
from miwake.server.workers.metrics import LEFT_OVER_S, PREFIX, clear_left_over
from miwake.server.workers.supervisor import LAST_DELAY_S, SETTLED_S, Slot

HOST = "127.0.0.1"


def listening(port: int, *options: int) -> socket.socket:
    with ExitStack() as unfinished:
        listener = unfinished.enter_context(socket.socket())
        for option in (socket.SO_REUSEADDR, *options):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind((HOST, port))
        listener.listen()
        unfinished.pop_all()
    return listener


def test_only_sockets_that_share_may_listen_on_a_held_address() -> None:
    with held_address(HOST, 0) as port:
        with pytest.raises(OSError, match="Address already in use"):
            listening(port)
        with listening(port, socket.SO_REUSEPORT), listening(port, socket.SO_REUSEPORT):
            pass


def test_a_held_address_is_held_by_one() -> None:
    with (
        held_address(HOST, 0) as port,
        pytest.raises(AddressError, match=f"^{HOST}:{port}: cannot be listened on: is another server running there"),
        held_address(HOST, port),
    ):
        pass


def test_an_address_that_somebody_listens_on_cannot_be_held() -> None:
    with listening(0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(AddressError), held_address(HOST, port):
            pass


def test_an_address_can_be_held_again_at_once_after_connections() -> None:
    with (
        held_address(HOST, 0) as port,
        listening(port, socket.SO_REUSEPORT) as listener,
        socket.create_connection((HOST, port)),
    ):
        listener.accept()[0].close()  # it closes first, and its side waits for a while

    with held_address(HOST, port) as again:
        assert again == port


def test_an_address_of_another_machine_cannot_be_held() -> None:
    with pytest.raises(AddressError), held_address("192.0.2.1", 0):
        pass


def test_a_worker_that_dies_again_and_again_waits_longer_each_time() -> None:
    slot = Slot(0)

    assert [slot.delay_s() for _ in range(4)] == [0.25, 0.5, 1.0, 2.0]
    assert [slot.delay_s() for _ in range(8)][-1] == LAST_DELAY_S


def test_a_worker_that_had_settled_starts_soon() -> None:
    slot = Slot(0, n_deaths=5, serving_since=-SETTLED_S)

    assert slot.delay_s() == 0.25


def test_counts_that_a_killed_server_left_are_removed_and_no_others(tmp_path: Path) -> None:
    old, held, new, other = (tmp_path / name for name in (f"{PREFIX}old", f"{PREFIX}held", f"{PREFIX}new", "other"))
    for folder in (old, held, new, other):
        folder.mkdir()
    for folder in (old, held, other):
        before = folder.stat().st_mtime - 2 * LEFT_OVER_S
        os.utime(folder, (before, before))
    descriptor = os.open(held, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    clear_left_over(tmp_path)
    os.close(descriptor)

    assert {path.name for path in tmp_path.iterdir()} == {held.name, new.name, "other"}
