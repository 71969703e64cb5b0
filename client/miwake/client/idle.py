"""The clock behind a stream's timeout: how long an answer has been due while somebody waited for it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.client.flow import Flow


class IdleClock:
    """Measures how long the consumer has waited for an answer that is due.

    A slow producer and a slow consumer do not count: the clock runs while the consumer asks and the server owes.
    """

    def __init__(self, flow: Flow, *, now: Callable[[], float] = monotonic) -> None:
        self._flow = flow
        self._now = now
        self._due_since = 0.0
        self._asking_since: float | None = None
        self.has_expired = False

    def note_sending(self) -> None:
        """Take note that something is about to be sent, or the sending about to end."""
        if not self._flow.is_answer_due:
            self._due_since = self._now()

    def start_asking(self) -> None:
        """Take note that the consumer begins to wait for a response."""
        self._asking_since = self._now()

    def stop_asking(self) -> None:
        """Take note that the consumer no longer waits."""
        self._asking_since = None

    def left_s(self) -> float:
        """Return how many seconds are left before the wait is too long; 0 or less says that it is."""
        asking_since = self._asking_since
        timeout_s = self._flow.settings.timeout_s
        if asking_since is None or not self._flow.is_answer_due:
            return timeout_s
        return timeout_s - (self._now() - max(asking_since, self._due_since))
