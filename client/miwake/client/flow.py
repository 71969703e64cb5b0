"""The state of one stream: what was taken from the producer, sent, answered and handed over.

It knows no threads, no event loop and no clock; ``stream.py`` and ``aio_stream.py`` drive it. Vectors that wait to be
sent go as follows:

* while fewer than ``MESSAGES_IN_FLIGHT`` messages are unanswered, whatever waits goes out at once: a single vector does
  not wait for company;
* otherwise the server is behind, and vectors are gathered until a message is full or an answer arrives.

What was sent is kept until it is answered. When a call breaks, ``resume`` lets all that has no answer wait again, to be
sent by the next call under the same name.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from miwake.client.errors import DrainingError, ProtocolError

if TYPE_CHECKING:
    from miwake.client.flow_settings import FlowSettings
    from miwake.client.packed_vectors import PackedVector
    from miwake.inspection.v1 import inspection_service_pb2

MESSAGES_IN_FLIGHT = 2
"""One that the server computes and one that is ready for it; more would only make messages smaller."""

MESSAGE_BYTES = 1 << 20
"""A message is full at this size whatever it counts: servers refuse messages over their limit, of 4 MiB or more."""


class Batch(NamedTuple):
    """What goes in one message.

    Attributes
    ----------
    vectors : list of PackedVector
    first_sequence : int
        Of the first of them.
    n_received : int or None
        Answers that have come so far; None in the first message of a new stream.
    is_first : bool
        Whether it is the first message of its call.
    """

    vectors: list[PackedVector]
    first_sequence: int
    n_received: int | None
    is_first: bool


class Flow:
    """Counts what went where in one stream, and decides what may happen next.

    Attributes
    ----------
    n_taken, n_answered, n_handed_over : int
        Vectors taken from the producer, answered, and handed over with their answer.
    n_sent : int
        The sequence after the last vector sent in this call.
    drains_at : int or None
        The server stops: the sequence of the first vector that it has not accepted.
    n_accepted, n_recorded : int
        Vectors that the server is known to have accepted, and answers known to be in its verdict log.
    n_calls : int
        Calls that were given up so far; the number of the one under way.
    """

    def __init__(self, settings: FlowSettings) -> None:
        self.settings = settings
        self.n_taken = 0
        self.n_sent = 0
        self.n_answered = 0
        self.n_handed_over = 0
        self.n_accepted = 0
        self.n_recorded = 0
        self.n_calls = 0
        self.drains_at: int | None = None
        self.producer_is_done = False
        self.is_stopped = False
        self.hold_until = 0.0
        self.is_reopening = False
        self._is_acknowledged = False
        self._has_begun = False
        self._resumed_at = 0
        self._n_ever_sent = 0
        self._waiting: deque[PackedVector] = deque()
        self._unanswered: deque[PackedVector] = deque()
        self._in_flight: deque[int] = deque()

    @property
    def n_free(self) -> int:
        """How many more vectors may be taken from the producer."""
        return self.settings.window - (self.n_taken - self.n_handed_over)

    @property
    def wants_no_more(self) -> bool:
        """Whether the producer must not be asked again: the stream was stopped, or nobody follows a draining server."""
        return self.is_stopped or (self.drains_at is not None and self.settings.retry is None)

    @property
    def may_send(self) -> bool:
        """Whether a message should go out now."""
        if not self._waiting:
            return False
        if len(self._in_flight) < MESSAGES_IN_FLIGHT or self.producer_is_done:
            return True
        return len(self._waiting) >= self.settings.vectors_per_message

    @property
    def has_sent_all(self) -> bool:
        """Whether nothing will be sent any more by this call."""
        return self.is_stopped or self.drains_at is not None or (self.producer_is_done and not self._waiting)

    @property
    def has_work(self) -> bool:
        """Whether a call is needed: for a vector, or to learn how the stream ends."""
        return self.is_stopped or self.producer_is_done or bool(self._waiting)

    @property
    def is_complete(self) -> bool:
        """Whether every vector that there will be has been answered."""
        return self.producer_is_done and self.n_answered == self.n_taken

    @property
    def is_answer_due(self) -> bool:
        """Whether the server owes an answer, or the end of the stream."""
        return self.is_reopening or self.n_answered < self.n_sent or self.has_sent_all

    @property
    def is_drained(self) -> bool:
        """Whether the server has said that it stops, and has answered all it accepted."""
        return self.drains_at is not None and self.n_answered == self.drains_at

    @property
    def may_resume(self) -> bool:
        """Whether another call can go on with the stream: the server knows how, or has not answered anything yet."""
        return self._is_acknowledged or not self.n_answered

    def take(self, vector: PackedVector) -> bool:
        """Add a vector that came from the producer; return whether a message should go out now."""
        self.n_taken += 1
        self._waiting.append(vector)
        return self.may_send

    def hold_s(self, now: float) -> float:
        """Return how long the server wants nothing, in seconds."""
        return max(0.0, self.hold_until - now)

    def next_message(self) -> Batch:
        """Return what goes in the next message, which counts as sent."""
        vectors: list[PackedVector] = []
        size_bytes = 0
        while self._waiting and len(vectors) < self.settings.vectors_per_message:
            packed = self._waiting[0]
            if vectors and size_bytes + packed.size_bytes > MESSAGE_BYTES:
                break
            vectors.append(packed)
            size_bytes += packed.size_bytes
            self._unanswered.append(self._waiting.popleft())
        is_new = not (self._has_begun or self.n_calls)
        batch = Batch(vectors, self.n_sent, None if is_new else self.n_answered, is_first=not self._has_begun)
        self._has_begun = True
        self.n_sent += len(vectors)
        self._n_ever_sent = max(self._n_ever_sent, self.n_sent)
        self._in_flight.append(self.n_sent)
        return batch

    def receive(self, response: inspection_service_pb2.InspectResponse, *, now: float = 0.0) -> int:
        """Count the answers of a response, and return the sequence that the first of them must have.

        Raises
        ------
        ProtocolError
            If they are more than were sent, or than the server says it accepted.
        """
        first = self.n_answered
        n_answers = len(response.answers)
        self.n_answered += n_answers
        self._note(response, now)
        limit = self._n_ever_sent if self.drains_at is None else self.drains_at
        if not self.n_answered <= limit <= self._n_ever_sent:
            message = f"{self.n_answered} answers to {limit} vectors accepted, of {self._n_ever_sent} sent"
            raise ProtocolError(message)
        for _ in range(n_answers):
            # What an earlier call sent may be answered before this one has sent it again.
            (self._unanswered or self._waiting).popleft()
        self.n_sent = max(self.n_sent, self.n_answered)
        while self._in_flight and self._in_flight[0] <= self.n_answered:
            self._in_flight.popleft()
        return first

    def resume(self) -> None:
        """Give the call up, and let what has no answer wait to be sent by another."""
        self._waiting.extendleft(reversed(self._unanswered))
        self._unanswered.clear()
        self._in_flight.clear()
        self.n_sent = self._resumed_at = self.n_answered
        self.drains_at = None
        self.hold_until = 0.0
        self._has_begun = False
        self.n_calls += 1
        self.is_reopening = bool(self._waiting) or self.producer_is_done

    def check_end(self) -> None:
        """Check, at the end of a call, that nothing is missing.

        Raises
        ------
        DrainingError
            If the server stopped before the producer was done, or before it had accepted everything.
        ProtocolError
            If answers are missing, or the server closed the stream for no reason.
        """
        if self.is_drained and not (self.producer_is_done and self.n_taken == self.drains_at):
            raise DrainingError(n_accepted=self.n_answered, n_taken=self.n_taken)
        n_due = self.n_sent if self.drains_at is None else self.drains_at
        if self.n_answered < n_due or not self.has_sent_all:
            message = f"the server closed the stream after {self.n_answered} answers to {self.n_sent} vectors"
            raise ProtocolError(message)

    def overdue_text(self, target: str) -> str:
        """Return what to say when an answer did not come in time."""
        return (
            f"{target}: no answer within {self.settings.timeout_s:g} s; "
            f"{self.n_answered} of {self.n_sent} vectors sent have been answered"
        )

    def _note(self, response: inspection_service_pb2.InspectResponse, now: float) -> None:
        """Take in what a response says beside its answers."""
        if response.HasField("acknowledgement"):
            self._is_acknowledged = True
            self.n_accepted = max(self.n_accepted, response.acknowledgement.n_accepted)
            self.n_recorded = max(self.n_recorded, response.acknowledgement.n_recorded)
        self.n_accepted = max(self.n_accepted, self.n_answered)
        if response.answers:
            self.is_reopening = False
            self.hold_until = 0.0
        elif response.HasField("back_off"):
            wait = response.back_off.retry_after
            self.hold_until = now + wait.seconds + 1e-9 * wait.nanos
        if response.HasField("draining"):
            n_accepted = response.draining.n_accepted
            # A server that was just connected to may not have learnt yet what the stream's earlier calls had come to.
            is_unaware = n_accepted < self.n_answered == self._resumed_at
            self.drains_at = self.n_answered if is_unaware else n_accepted
