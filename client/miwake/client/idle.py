"""The clock behind a stream's timeout: how long an answer has been due while somebody waited for it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.client.flow import Flow


class IdleClock:
    """Measures how long the consumer has waited for an answer that is due.

    A slow producer and a slow consumer do not count: the clock runs while the consumer asks and the server owes. Two
    bounds hold: ``timeout_s`` while a call is open, and ``within_s`` over all calls that a broken stream takes.
    """

    def __init__(self, flow: Flow, *, now: Callable[[], float] = monotonic) -> None:
        self._flow = flow
        self._now = now
        self._due_since = 0.0
        self._asking_since: float | None = None
        self._open_since: float | None = 0.0
        self.has_expired = False

    def note_sending(self) -> None:
        """Take note that something is about to be sent, or the sending about to end."""
        if not self._flow.is_answer_due:
            self._due_since = self._now()

    def note_open(self) -> None:
        """Take note that a call is made."""
        self._open_since = self._now()

    def note_broken(self) -> None:
        """Take note that there is no call for now."""
        self._open_since = None

    def start_asking(self) -> None:
        """Take note that the consumer waits for an answer, if it did not before."""
        if self._asking_since is None:
            self._asking_since = self._now()

    def stop_asking(self) -> None:
        """Take note that the consumer has an answer."""
        self._asking_since = None

    def left_s(self) -> float:
        """Return how many seconds are left before the wait is too long; 0 or less says that it is."""
        asking_since, open_since = self._asking_since, self._open_since
        timeout_s, within_s = self._flow.settings.timeout_s, self._flow.settings.within_s
        if asking_since is None or not self._flow.is_answer_due:
            return min(timeout_s, within_s)
        since = max(asking_since, self._due_since)
        ends_at = since + within_s
        if open_since is not None:
            ends_at = min(ends_at, max(since, open_since) + timeout_s)
        return ends_at - self._now()
