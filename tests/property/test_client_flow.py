"""The state of a client's stream against a plain server that is cut off, started again and drained at will."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from miwake.client.errors import DrainingError
from miwake.client.flow import Batch, Flow
from miwake.client.flow_settings import FlowSettings
from miwake.client.packed_vectors import pack
from miwake.client.retry import Retry
from miwake.inspection.v1 import answer_pb2
from miwake.inspection.v1 import inspection_service_pb2 as messages

WINDOW, MESSAGE = 12, 4
OFTEN = ("take", "send", "arrive", "answer", "deliver") * 3
SELDOM = ("cut", "crash", "drain") * 2


@dataclass
class PlainServer:
    """Knows a stream as the list of the vectors' values, and as the number of those that were answered.

    The last two lists are what is on the way in each direction, and lost when the connection is.
    """

    accepted: list[int] = field(default_factory=list)
    begins_at: int = 0
    n_answered: int = 0
    knows_stream: bool = False
    is_draining: bool = False
    requests: deque[Batch] = field(default_factory=deque)
    responses: deque[messages.InspectResponse] = field(default_factory=deque)

    def disconnect(self) -> None:
        self.requests.clear()
        self.responses.clear()
        self.is_draining = False

    def forget(self) -> None:
        self.disconnect()
        self.accepted, self.begins_at, self.n_answered, self.knows_stream = [], 0, 0, False

    def arrive(self) -> None:
        if self.is_draining or not self.requests:
            return
        batch = self.requests.popleft()
        if batch.is_first:
            self._open(batch.n_received)
        n_accepted = self.begins_at + len(self.accepted)
        assert batch.first_sequence <= n_accepted, "a gap"
        values = [int(np.frombuffer(vector.packed, dtype=np.float32)[0]) for vector in batch.vectors]
        self.accepted += values[n_accepted - batch.first_sequence :]

    def answer(self, n_answers: int) -> None:
        if not self.knows_stream:
            return
        end = min(self.n_answered + n_answers, self.begins_at + len(self.accepted))
        if end > self.n_answered:
            self.responses.append(self._response(range(self.n_answered, end)))
            self.n_answered = end

    def drain(self) -> None:
        if self.is_draining:
            return
        self.is_draining = True
        draining = messages.Draining(n_accepted=self.begins_at + len(self.accepted))
        self.responses.append(messages.InspectResponse(draining=draining))

    def _open(self, n_received: int | None) -> None:
        if not self.knows_stream:
            self.begins_at, self.n_answered, self.knows_stream = n_received or 0, n_received or 0, True
        self.n_answered = n_received or 0
        acknowledgement = messages.Acknowledgement(n_accepted=self.begins_at + len(self.accepted))
        self.responses.append(messages.InspectResponse(acknowledgement=acknowledgement))

    def _response(self, sequences: range) -> messages.InspectResponse:
        """Answer each vector with its own value as the id."""
        answers = [
            answer_pb2.Answer(id=str(self.accepted[sequence - self.begins_at]), sequence=sequence)
            for sequence in sequences
        ]
        return messages.InspectResponse(answers=answers)


@dataclass
class Caller:
    """Drives a flow as the streams do, with a server in place of the network."""

    flow: Flow = field(
        default_factory=lambda: Flow(
            FlowSettings(window=WINDOW, vectors_per_message=MESSAGE, timeout_s=1.0, retry=Retry())
        )
    )
    server: PlainServer = field(default_factory=PlainServer)
    got: list[tuple[int, str]] = field(default_factory=list)

    def take(self) -> None:
        if self.flow.n_free > 0:
            self.flow.take(pack(np.array([self.flow.n_taken], dtype=np.float32)))

    def send(self) -> None:
        if self.flow.may_send and not self.flow.has_sent_all:
            self.server.requests.append(self.flow.next_message())

    def deliver(self) -> None:
        if not self.server.responses:
            return
        response = self.server.responses.popleft()
        first = self.flow.receive(response)
        for sequence, answer in enumerate(response.answers, start=first):
            assert answer.sequence == sequence
            self.got.append((sequence, answer.id))
            self.flow.n_handed_over += 1
        if self.flow.is_drained:
            self.follow_draining()

    def follow_draining(self) -> None:
        try:
            self.flow.check_end()
        except DrainingError:
            self.cut()

    def cut(self) -> None:
        self.server.disconnect()
        self.flow.resume()

    def crash(self) -> None:
        self.server.forget()
        self.flow.resume()

    def finish(self) -> None:
        """Let everything go well from here on."""
        for _ in range(20 * WINDOW):
            self.send()
            self.server.arrive()
            self.server.answer(WINDOW)
            self.deliver()
            self.deliver()

    def act(self, action: str, n: int) -> None:
        if action == "answer":
            self.server.answer(n)
            return
        actor = self.server if action in ("arrive", "drain") else self
        for _ in range(n if action in OFTEN else 1):
            getattr(actor, action)()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OFTEN + SELDOM), st.integers(1, 6)), max_size=60))
def test_every_vector_is_answered_once_and_in_order_whatever_breaks(actions: list[tuple[str, int]]) -> None:
    caller = Caller()

    for action, n in actions:
        caller.act(action, n)
        assert caller.flow.n_taken - caller.flow.n_answered <= WINDOW
    caller.finish()

    assert caller.got == [(sequence, str(sequence)) for sequence in range(caller.flow.n_taken)]
    caller.flow.producer_is_done = True
    assert caller.flow.is_complete
