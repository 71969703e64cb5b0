"""What is known of a stream, whatever its threads and connections do: what was accepted, answered, sent and received.

All positions are sequences: of the first vector that was *not* accepted, answered … yet. Their order is::

    n_sent ≤ n_taken ≤ n_answered ≤ n_accepted

A share of answers is *due* from when it is answered until it is taken by the call that sends it. After that it is
*kept* until the caller says that it was received, so that a later call can send it again. Not thread-safe:
``stream.py`` is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Payload = TypeVar("Payload")


@dataclass(slots=True, eq=False)
class Share(Generic[Payload]):
    """Some answers that were computed together.

    Attributes
    ----------
    first, end : int
        The sequence of the first, and the one after the last.
    payload : object
        The answers.
    is_held : bool
        Whether it must not be sent before it is known whether it is recorded.
    is_recorded : bool
        Whether it is known to be in the verdict log.
    """

    first: int
    end: int
    payload: Payload
    is_held: bool = False
    is_recorded: bool = False

    def __len__(self) -> int:
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Accepted:
    """Which of a message's vectors are new: all from ``n_passed_over`` on, the first of them with that sequence."""

    first_sequence: int
    n_passed_over: int
    n_new: int


class StreamState(Generic[Payload]):
    """A stream's positions and the shares that are due or kept.

    Parameters
    ----------
    window : int
        Vectors that may be accepted and not sent, and answers that are kept after they were sent.
    keeps : bool
        Whether what was sent may have to be sent again.
    n_received : int
        Where the stream begins: all before was answered by somebody who is not known here.

    Attributes
    ----------
    n_accepted, n_answered, n_taken, n_sent, n_received : int
        Sequences; the module says of what.
    n_ever_taken : int
        How far any call has taken answers: no caller can have received more.
    n_recorded : int
        The sequence before which every answer was told to be recorded.
    """

    def __init__(self, *, window: int, keeps: bool, n_received: int = 0) -> None:
        self._window = window
        self._keeps = keeps
        self._due: deque[Share[Payload]] = deque()
        self._kept: deque[Share[Payload]] = deque()
        self._unrecorded: deque[Share[Payload]] = deque()
        self._n_forgotten = self.n_ever_taken = self._next_sequence = n_received
        self.n_received = self.n_sent = self.n_taken = self.n_answered = self.n_accepted = n_received
        self.n_recorded = n_received
        self._records = True

    @property
    def has_room(self) -> bool:
        """Whether more vectors may be accepted."""
        return self.n_accepted - self.n_sent < self._window

    @property
    def is_answered(self) -> bool:
        """Whether everything accepted has been taken by the call that sends it."""
        return self.n_taken == self.n_accepted

    def look_at(self, first_sequence: int | None, n_vectors: int) -> Accepted | None:
        """Return what ``accept`` would of a message; None where vectors are missing before its first.

        Parameters
        ----------
        first_sequence : int or None
            The sequence of its first vector; None where it is the one after the last of this call.
        """
        first = self._next_sequence if first_sequence is None else first_sequence
        if first > self.n_accepted:
            return None
        n_passed_over = min(n_vectors, self.n_accepted - first)
        return Accepted(first + n_passed_over, n_passed_over, n_vectors - n_passed_over)

    def accept(self, accepted: Accepted) -> None:
        """Count what ``look_at`` returned last: each new vector will be answered."""
        self.n_accepted += accepted.n_new
        self._next_sequence = accepted.first_sequence + accepted.n_new

    def answer(
        self, payload: Payload, n_answers: int, *, is_held: bool = False, is_to_be_recorded: bool = False
    ) -> Share[Payload]:
        """Add the next answers, which are due from now on."""
        share = Share(self.n_answered, self.n_answered + n_answers, payload, is_held)
        self.n_answered = share.end
        self._due.append(share)
        if is_to_be_recorded and self._records:
            self._unrecorded.append(share)
        return share

    def take(self) -> tuple[Share[Payload], int] | None:
        """Return the share to be sent next, and how many of its answers the caller has; None where none is due now.

        What was taken before has been sent.
        """
        self.n_sent = self.n_taken
        if self._kept:
            self._trim()
        if not self._due or self._due[0].is_held:
            return None
        share = self._due.popleft()
        self.n_taken = share.end
        self.n_ever_taken = max(self.n_ever_taken, share.end)
        if self._keeps:
            self._kept.append(share)
        return share, self.n_sent - share.first

    def acknowledge(self, n_received: int) -> bool:
        """Forget what the caller has received; return false where it was never sent."""
        if n_received > self.n_ever_taken:
            return False
        self.n_received = max(self.n_received, n_received)
        self._trim()
        return True

    def can_go_on_from(self, n_received: int) -> bool:
        """Whether everything after those answers is still here or will be."""
        return self._n_forgotten <= n_received <= self.n_ever_taken

    def go_on_from(self, n_received: int) -> None:
        """Begin with a new call, whose caller has received so many answers: the others are due again."""
        self._due = deque(share for share in chain(self._kept, self._due) if share.end > n_received)
        self._kept.clear()
        self.n_received = self.n_sent = self.n_taken = self._n_forgotten = self._next_sequence = n_received

    def tell_recorded(self, share: Share[Payload], *, is_recorded: bool) -> None:
        """Take in whether a share is in the verdict log; it need not be held any more."""
        share.is_held = False
        share.is_recorded = is_recorded
        if not is_recorded:
            self._records = False
            self._unrecorded.clear()
        while self._unrecorded and self._unrecorded[0].is_recorded:
            self.n_recorded = self._unrecorded.popleft().end

    def clear(self) -> None:
        """Forget every answer: nobody will ask for one."""
        for shares in (self._due, self._kept, self._unrecorded):
            shares.clear()

    def shares(self) -> Iterator[Share[Payload]]:
        """Yield all that are due or kept, in order."""
        yield from self._kept
        yield from self._due

    def _trim(self) -> None:
        """Forget what was received, and of what was sent what goes beyond the window, oldest first."""
        kept = self._kept
        oldest = max(self.n_received, self.n_sent - self._window)
        while kept and kept[0].end <= oldest:
            self._n_forgotten = kept.popleft().end
