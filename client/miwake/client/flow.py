"""The state of one stream: what was taken from the producer, sent, answered and handed over.

It knows no threads, no event loop and no clock; ``stream.py`` and ``aio_stream.py`` drive it. Vectors that wait to be
sent go as follows:

* while fewer than ``MESSAGES_IN_FLIGHT`` messages are unanswered, whatever waits goes out at once: a single vector does
  not wait for company;
* otherwise the server is behind, and vectors are gathered until a message is full or an answer arrives.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from miwake.client.errors import DrainingError, InvalidQueryError, ProtocolError

if TYPE_CHECKING:
    from miwake.client.packing import PackedVector
    from miwake.inspection.v1 import inspection_service_pb2, vector_pb2

MESSAGES_IN_FLIGHT = 2
"""One that the server computes and one that is ready for it; more would only make messages smaller."""

MESSAGE_BYTES = 1 << 20
"""A message is full at this size whatever it counts: servers refuse messages over their limit, of 4 MiB or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSettings:
    """How far a stream may run ahead.

    Attributes
    ----------
    window : int
        Vectors that may be taken from the producer and not yet handed over with their answer.
    vectors_per_message : int
        Most vectors that go in one message.
    timeout_s : float
        Longest wait for the next answer while one is due, in seconds.

    Raises
    ------
    InvalidQueryError
        If one of them is not positive.
    """

    window: int
    vectors_per_message: int
    timeout_s: float

    def __post_init__(self) -> None:
        for name in ("window", "vectors_per_message", "timeout_s"):
            value = getattr(self, name)
            if not value > 0:
                message = f"{name} {value!r}, expected more than 0"
                raise InvalidQueryError(message)


class Flow:
    """Counts what went where in one stream, and decides what may happen next."""

    def __init__(self, settings: FlowSettings) -> None:
        self.settings = settings
        self.n_taken = 0
        self.n_sent = 0
        self.n_answered = 0
        self.n_handed_over = 0
        self.n_accepted: int | None = None
        self.producer_is_done = False
        self.is_stopped = False
        self._waiting: deque[PackedVector] = deque()
        self._in_flight: deque[int] = deque()

    @property
    def n_free(self) -> int:
        """How many more vectors may be taken from the producer."""
        return self.settings.window - (self.n_taken - self.n_handed_over)

    @property
    def wants_no_more(self) -> bool:
        """Whether the producer must not be asked again: the stream was stopped, or the server is draining."""
        return self.is_stopped or self.n_accepted is not None

    @property
    def may_send(self) -> bool:
        """Whether a message should go out now."""
        if not self._waiting:
            return False
        is_full = len(self._waiting) >= self.settings.vectors_per_message
        return is_full or self.producer_is_done or len(self._in_flight) < MESSAGES_IN_FLIGHT

    @property
    def has_sent_all(self) -> bool:
        """Whether nothing will be sent any more."""
        return self.wants_no_more or (self.producer_is_done and not self._waiting)

    @property
    def is_answer_due(self) -> bool:
        """Whether the server owes an answer, or the end of the stream."""
        return self.n_answered < self.n_sent or self.has_sent_all

    @property
    def is_drained(self) -> bool:
        """Whether the server has said that it stops, and has answered all it accepted."""
        return self.n_accepted is not None and self.n_answered == self.n_accepted

    def take(self, vector: PackedVector) -> None:
        """Add a vector that came from the producer."""
        self._waiting.append(vector)
        self.n_taken += 1

    def next_message(self) -> list[vector_pb2.InspectionVector]:
        """Return the vectors of the next message, which counts as sent."""
        vectors: list[vector_pb2.InspectionVector] = []
        size_bytes = 0
        while self._waiting and len(vectors) < self.settings.vectors_per_message:
            if vectors and size_bytes + self._waiting[0].size_bytes > MESSAGE_BYTES:
                break
            packed = self._waiting.popleft()
            vectors.append(packed.message)
            size_bytes += packed.size_bytes
        self.n_sent += len(vectors)
        self._in_flight.append(self.n_sent)
        return vectors

    def receive(self, response: inspection_service_pb2.InspectResponse) -> int:
        """Count the answers of a response, and return the sequence that the first of them must have.

        Raises
        ------
        ProtocolError
            If they are more than were sent, or than the server says it accepted.
        """
        first = self.n_answered
        self.n_answered += len(response.answers)
        while self._in_flight and self._in_flight[0] <= self.n_answered:
            self._in_flight.popleft()
        if response.HasField("draining"):
            self.n_accepted = response.draining.n_accepted
        limit = self.n_sent if self.n_accepted is None else self.n_accepted
        if not self.n_answered <= limit <= self.n_sent:
            message = f"{self.n_answered} answers to {limit} vectors accepted, of {self.n_sent} sent"
            raise ProtocolError(message)
        return first

    def check_end(self) -> None:
        """Check, at the end of the stream, that nothing is missing.

        Raises
        ------
        DrainingError
            If the server stopped before the producer was done, or before it had accepted everything.
        ProtocolError
            If answers are missing, or the server closed the stream for no reason.
        """
        if self.is_drained and not (self.producer_is_done and self.n_taken == self.n_accepted):
            raise DrainingError(n_accepted=self.n_answered, n_taken=self.n_taken)
        n_due = self.n_sent if self.n_accepted is None else self.n_accepted
        if self.n_answered < n_due or not self.has_sent_all:
            message = f"the server closed the stream after {self.n_answered} answers to {self.n_sent} vectors"
            raise ProtocolError(message)

    def overdue_text(self, target: str) -> str:
        """Return what to say when an answer did not come in time."""
        return (
            f"{target}: no answer within {self.settings.timeout_s:g} s; "
            f"{self.n_answered} of {self.n_sent} vectors sent have been answered"
        )
