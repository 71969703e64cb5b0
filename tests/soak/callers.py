"""Callers that stream without end, and keep a ledger of what comes back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import grpc

from miwake.inspection.v1 import inspection_service_pb2, vector_pb2
from soak.ledger import Ledger, Observed, Told, state
from support.serving import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miwake.inspection.v1 import answer_pb2
    from soak.world import World

TIMEOUT_S = 300
WINDOW = 128


class Caller:
    """One stream on a connection of its own; it sends until it is told to stop, or the server ends the stream.

    Attributes
    ----------
    ledger : Ledger
    answers : list of Observed
        The first of them, for negative controls.
    n_accepted : int or None
        What the server said when it began to stop.
    code : grpc.StatusCode or None
        How the stream ended.
    """

    N_KEPT = 256

    def __init__(self, address: str, world: World, *, size: int) -> None:
        self._address = address
        self._packed = [query.astype("<f4").tobytes() for query in world.queries]
        self._size = size
        self._changed = threading.Condition()
        self._n_sent = 0
        self._n_received = 0
        self._is_over = False
        self._thread = threading.Thread(target=self._run)
        self.ledger = Ledger(world.expected)
        self.answers: list[Observed] = []
        self.n_accepted: int | None = None
        self.code: grpc.StatusCode | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wait_for(self, n_answers: int) -> None:
        """Return once so many answers have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._n_received >= n_answers, TIMEOUT_S), "no answers come"

    def stop(self) -> None:
        """Send nothing more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the end, and count what is missing: of what the server says it accepted, else of what was sent."""
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive(), "a stream does not end"
        self.ledger.close(self._n_sent if self.n_accepted is None else self.n_accepted)

    def _run(self) -> None:
        with connected(self._address) as stub:
            call = stub.Inspect(self._requests())
            try:
                for response in call:
                    self._receive(response)
            except grpc.RpcError as error:
                self.code = error.code()
            else:
                self.code = call.code()
        self.stop()

    def _requests(self) -> Iterator[inspection_service_pb2.InspectRequest]:
        while self._has_room():
            numbers = range(self._n_sent, self._n_sent + self._size)
            vectors = [
                vector_pb2.InspectionVector(id=str(number), packed=self._packed[number % len(self._packed)])
                for number in numbers
            ]
            self._n_sent += self._size
            yield inspection_service_pb2.InspectRequest(vectors=vectors)

    def _has_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._n_sent - self._n_received < WINDOW)
            return not self._is_over

    def _receive(self, response: inspection_service_pb2.InspectResponse) -> None:
        if response.HasField("draining"):
            self.n_accepted = response.draining.n_accepted
        for answer in response.answers:
            one = observed(answer, response.provenance)
            self.ledger.take(one)
            if len(self.answers) < self.N_KEPT:
                self.answers.append(one)
        with self._changed:
            self._n_received += len(response.answers)
            self._changed.notify_all()


def observed(answer: answer_pb2.Answer, provenance: answer_pb2.Provenance) -> Observed:
    """Return an answer as a ledger takes it."""
    verdict = answer.verdict
    told = Told(verdict.label, verdict.neighbours.reference_ids[0]) if answer.HasField("verdict") else None
    return Observed(answer.sequence, answer.id, state(provenance.generation, provenance.revision), told)
