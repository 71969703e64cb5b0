"""A stream of vectors, over all its calls: what it has accepted is answered, whether anybody waits for it or not."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Protocol

from miwake.server import wire
from miwake.server.errors import RequestError
from miwake.server.intake import verdict_jobs
from miwake.server.jobs import Delivery
from miwake.server.lanes import Lane
from miwake.server.stream_state import StreamState

if TYPE_CHECKING:
    from miwake.inspection.v1 import inspection_service_pb2
    from miwake.server.batcher import Batcher
    from miwake.server.index import Index
    from miwake.server.intake import Limits
    from miwake.server.pins import Pin
    from miwake.server.recording import Recorder
    from miwake.server.stations import Station
    from miwake.server.stream_state import Share

BYTES_AN_ANSWER = 2048
"""Of an answer, where none has been encoded yet: for what is kept of streams together."""

MANY_DUE = 32
"""Answers that wait to be sent: those beyond may wait for long, and their vectors are let go of."""


class Call(Protocol):
    """What reads a stream and sends its answers, for as long as its connection lasts."""

    takes_more: bool

    def answers_are_due(self) -> None:
        """Look for answers to send; it must not block."""

    def back_off(self, retry_after_s: float) -> None:
        """Say that the queue is full; it must not block."""

    def is_taken_over(self) -> None:
        """End: another call has the stream now; it must not block."""


class Answers:
    """Some answers, as they were computed or, once they have been sent, as the message that carries them."""

    __slots__ = ("_content",)

    def __init__(self, delivery: Delivery) -> None:
        self._content: Delivery | inspection_service_pb2.InspectResponse = delivery

    def response(self) -> inspection_service_pb2.InspectResponse:
        """Return the message; two threads that ask at once may each encode it."""
        content = self._content
        if isinstance(content, Delivery):
            content = self._content = wire.inspect_response(content)
        return content

    @property
    def n_bytes(self) -> int:
        """The size of the message, 0 where there is none yet."""
        content = self._content
        return 0 if isinstance(content, Delivery) else content.ByteSize()


class Stream:
    """One caller's vectors and their answers. At any time at most one call reads and answers it.

    Parameters
    ----------
    station : Station
        Whose index is asked.
    batcher : Batcher
    limits : Limits
    recorder : Recorder or None
    pin : Pin or None
        The generation that is asked in its place.
    stream_id : text
        The caller's name for the stream; empty where it ends with its first call.
    n_received : int
        Where it begins.
    """

    def __init__(
        self,
        station: Station,
        batcher: Batcher,
        limits: Limits,
        *,
        recorder: Recorder | None = None,
        pin: Pin | None = None,
        stream_id: str = "",
        n_received: int = 0,
    ) -> None:
        self.station = station
        self.pin = pin
        self.stream_id = stream_id
        self.generation = "" if pin is None else pin.generation
        self._batcher = batcher
        self._limits = limits
        self._recorder = recorder
        self._lane = Lane(self._deliver, self._hold_up)
        self._accepting = threading.Lock()
        self._room = threading.Condition(threading.Lock())
        self._call: Call | None = None
        self._brings_templates = False
        self._state: StreamState[Answers] = StreamState(
            window=limits.stream_window, keeps=bool(stream_id), n_received=n_received
        )

    @property
    def n_accepted(self) -> int:
        """The sequence of the first vector that was not accepted."""
        return self._state.n_accepted

    @property
    def n_recorded(self) -> int | None:
        """The sequence before which every answer is in the verdict log; None where there is none."""
        return None if self._recorder is None else self._state.n_recorded

    @property
    def is_all_recorded(self) -> bool:
        """Whether no more answers than are in the verdict log have been given yet."""
        return self._state.n_recorded == self._state.n_answered

    @property
    def is_answered(self) -> bool:
        """Whether the call has taken everything accepted."""
        return self._state.is_answered

    def begin(self, call: Call, n_received: int) -> bool:
        """Let a call have the stream from now on, and send what comes after the answers it has received.

        The call that had it before is told. Return false, and change nothing, where some of those answers are not kept
        any more, or were never given here: another process of this server may have given them.
        """
        with self._room:
            state = self._state
            if not state.can_go_on_from(n_received):
                return False
            before, self._call = self._call, call
            state.go_on_from(n_received)
            self._room.notify_all()
        if before is not None:
            before.is_taken_over()
        return True

    def leave(self, call: Call) -> bool:
        """Let a call have the stream no longer; return false where it does not have it."""
        with self._room:
            if self._call is not call:
                return False
            self._call = None
            self._room.notify_all()
            return True

    def forget(self) -> None:
        """Compute no more of it, and keep nothing."""
        self._batcher.cancel(self._lane)
        with self._room:
            call, self._call = self._call, None
            self._state.clear()
            self._room.notify_all()
        if call is not None:
            call.is_taken_over()

    def wait_for_room(self, call: Call) -> bool:
        """Wait until more may be accepted; return false once the call may read no more."""
        with self._room:
            while self._call is call and call.takes_more and not self._state.has_room:
                self._room.wait()
            return self._call is call and call.takes_more

    def stop_waiting(self) -> None:
        """Let a call that waits look whether it still takes more; what it has not accepted by now, it will not."""
        with self._room:
            self._room.notify_all()

    def accept(self, call: Call, request: inspection_service_pb2.InspectRequest) -> None:
        """Accept what is new of a request's vectors, and wait until the queue has room for them.

        Raises
        ------
        RequestError
            If the request contradicts what came before, or asks for what cannot be.
        """
        with self._accepting:
            n_vectors = len(request.vectors)
            first = wire.read_first_sequence(request)
            accepted = self._state.look_at(first, n_vectors)
            if accepted is None:
                problem = f"{first}, expected at most {self.n_accepted}: what lies between was not sent"
                raise RequestError(field="first_sequence", problem=problem)
            jobs = verdict_jobs(
                request,
                self._index(),
                self._limits,
                first_sequence=accepted.first_sequence,
                n_passed_over=accepted.n_passed_over,
                is_recording=self._recorder is not None,
            )
            n_received = wire.read_n_received(request)
            with self._room:
                if self._call is not call or not call.takes_more:
                    return
                if n_received is not None and not self._state.acknowledge(n_received):
                    problem = f"{n_received}, expected at most the {self._state.n_ever_taken} that were sent"
                    raise RequestError(field="n_received", problem=problem)
                self._state.accept(accepted)
                self._brings_templates |= any(job.items.templates is not None for job in jobs)
            if accepted.n_new:
                self._batcher.submit(self._lane, jobs, wait=True)

    def take(self, call: Call) -> tuple[Share[Answers], int] | None:
        """Return what the call sends next, with how many of its first answers are left out; None where nothing is due.

        What it has taken before counts as sent. Nothing is due for a call that does not have the stream.
        """
        with self._room:
            if self._call is not call:
                return None
            taken = self._state.take()
            self._room.notify()
            return taken

    def n_bytes(self) -> int:
        """Return about how much memory is kept for it, from the size of one of its answers.

        It is asked when a connection breaks, and with a switch many may: it must be quick.
        """
        with self._room:
            shares = list(self._state.shares())
            n_accepted, n_answered = self._state.n_accepted, self._state.n_answered
        encoded = next((share for share in shares if share.payload.n_bytes), None)
        answer_bytes = BYTES_AN_ANSWER if encoded is None else encoded.payload.n_bytes // len(encoded)
        n_answers = n_accepted - (shares[0].first if shares else n_answered)
        vector_bytes = 4 * self._index().scale.n_values * (2 if self._brings_templates else 1)
        return answer_bytes * n_answers + vector_bytes * (n_accepted - n_answered)

    def _index(self) -> Index:
        return self.station.index if self.pin is None else self.pin.index

    def _deliver(self, delivery: Delivery) -> None:
        recorder = self._recorder
        # Without the lock: a number that is a little old does no harm.
        is_waiting = self._call is None or self._state.n_answered - self._state.n_taken >= MANY_DUE
        with self._room:
            share = self._state.answer(
                Answers(delivery.without_vectors() if is_waiting else delivery),
                len(delivery),
                is_held=delivery.awaits_record,
                is_to_be_recorded=recorder is not None,
            )
            call = self._call
        if recorder is not None:
            recorder.record(delivery, stream_id=self.stream_id, told=partial(self._tell_recorded, share))
        if call is not None:
            call.answers_are_due()

    def _tell_recorded(self, share: Share[Answers], is_recorded: bool) -> None:
        with self._room:
            was_held = share.is_held
            self._state.tell_recorded(share, is_recorded=is_recorded)
            call = self._call if was_held or self.is_all_recorded else None
        if call is not None:
            call.answers_are_due()

    def _hold_up(self, retry_after_s: float) -> None:
        call = self._call
        if call is not None:
            call.back_off(retry_after_s)
