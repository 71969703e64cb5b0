"""A recorder of answers that writes nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.server.jobs import Delivery


class FakeRecorder:
    """Keeps what it is given, and tells when the test says so, or at once."""

    n_queued = 0
    is_failing = False

    def __init__(self, *, tells_at_once: bool | None = None) -> None:
        self._tells_at_once = tells_at_once
        self.recorded: list[tuple[str, int]] = []
        self._waiting: list[Callable[[bool], object]] = []
        self.was_given = threading.Event()

    def record(self, delivery: Delivery, *, stream_id: str, told: Callable[[bool], object]) -> None:
        self.recorded.append((stream_id, len(delivery)))
        self._waiting.append(told)
        self.was_given.set()
        if self._tells_at_once is not None:
            self.tell(is_recorded=self._tells_at_once)

    def tell(self, *, is_recorded: bool) -> None:
        for told in self._waiting:
            told(is_recorded)
        self._waiting.clear()
