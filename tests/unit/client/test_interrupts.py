"""What an interrupt leaves of a client: gRPC's locks may never be given back."""

from __future__ import annotations

from threading import Thread
from typing import Self

import pytest

from miwake.client.client import INTERRUPTED_CLOSE_S, Client

LONG_S = INTERRUPTED_CLOSE_S + 5


class HeldClient(Client):
    """A client whose closing waits for a lock that is not given back, until the test does."""

    def __enter__(self) -> Self:
        self._lock.acquire()
        return super().__enter__()

    def let_go(self) -> None:
        self._lock.release()


def leave_by_an_interrupt(client: Client) -> None:
    with pytest.raises(KeyboardInterrupt), client:
        raise KeyboardInterrupt


def test_an_interrupt_does_not_wait_for_a_lock_that_is_not_given_back() -> None:
    client = HeldClient("127.0.0.1:1")
    leaving = Thread(target=leave_by_an_interrupt, args=[client], daemon=True)

    leaving.start()
    leaving.join(LONG_S)

    assert not leaving.is_alive()
    client.let_go()
