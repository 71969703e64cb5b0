"""What becomes of a stream whose call has failed: taken up again after a wait, or given up."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from miwake.client.errors import DeadlineExceededError
from miwake.client.retry import BackOff, is_worth_retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from miwake.client.errors import MiwakeError
    from miwake.client.flow import Flow
    from miwake.client.idle import IdleClock

log = logging.getLogger("miwake.client")
"""Says when a stream breaks and when it goes on."""


class Recovery:
    """Decides after each failure of a stream's calls.

    Parameters
    ----------
    flow, clock
        The stream's.
    target : text
        The address, for messages.
    """

    def __init__(self, flow: Flow, clock: IdleClock, *, target: str, draw: Callable[[], float] = random.random) -> None:
        self._flow = flow
        self._clock = clock
        self._target = target
        retry = flow.settings.retry
        self._back_off = None if retry is None else BackOff(retry, draw=draw)
        self._cause: MiwakeError | None = None
        self.n_resumed = 0

    def wait_s(self, error: MiwakeError) -> float:
        """Return how long to wait before the stream's next call, in seconds; the flow is made ready for it.

        Raises
        ------
        MiwakeError
            The error itself, where another call would not help, or would come too late.
        """
        if self._back_off is None or not is_worth_retrying(error) or not self._flow.may_resume:
            raise error
        if self._flow.is_complete:
            return 0.0
        is_new = self._cause is None
        self._cause = error
        wait_s = self._back_off.wait_s(error)
        if self._flow.is_answer_due and wait_s >= self._clock.left_s():
            raise error
        self._clock.note_broken()
        self._flow.resume()
        if is_new:
            log.warning("%s; the stream goes on as soon as a server answers", error)
        return wait_s

    def note_answers(self, first: int) -> None:
        """Take note that answers have come, from a sequence on: what failed before is mended."""
        if self._back_off is None or self._cause is None:
            return
        log.warning("%s: the stream goes on, at vector %d", self._target, first)
        self._back_off.reset()
        self._cause = None
        self.n_resumed += 1

    def overdue(self) -> MiwakeError:
        """Return the error of a stream that has waited for too long: what failed last, if anything did."""
        return self._cause or DeadlineExceededError(self._flow.overdue_text(self._target))
