"""The load generator, a process of its own: ``python -m bench.service.load PLAN``, the plan as JSON.

It makes its messages, opens its streams and says ``ready``; at a line on its standard input it sends, and at the end it
prints one JSON object. Without a rate it keeps a window of every stream full: that is saturation. With one the loop is
open: messages are due at times drawn beforehand (exponential gaps), whatever the server does, and a latency counts from
when its message was *due*, so that a stalled server is charged for everything that queued behind it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

import grpc
import numpy as np

from bench.service.processes import run_load
from miwake.inspection.v1 import inspection_service_pb2
from support.serving import open_channel, packed, requests_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bench.service.processes import Went

METHOD = "/miwake.inspection.v1.InspectionService/Inspect"
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
CONNECT_TIMEOUT_S = 30.0
LEAD_S = 0.05
"""Before the first message of an open loop is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent.

    Attributes
    ----------
    address : text
    queries : text
        File of (Q, V) float32 vectors, which are sent over and over.
    size : int
        Vectors in a message.
    n_streams : int
        Each with a connection of its own; messages go to them in turn.
    n_messages : int
        On all streams together.
    window : int
        Of a closed loop: vectors of a stream that may be unanswered.
    rate : float or None
        Of an open loop: vectors a second on all streams together.
    seed : int
        Of the times at which messages are due.
    """

    address: str
    queries: str
    size: int
    n_streams: int
    n_messages: int
    window: int = 256
    rate: float | None = None
    seed: int = 0

    def run(self, server_pid: int) -> Went:
        """Have it sent by a load generator of its own."""
        return run_load("load", json.dumps(asdict(self)), server_pid=server_pid)


class Pace(Protocol):
    """When messages go, and what is noted of their answers."""

    def wait(self, message: int) -> None:
        """Return when the message, counted over all streams, may be sent."""

    def answered(self, message: int) -> None:
        """Note that the whole message is answered."""


class Closed:
    """As fast as a window of unanswered messages on each stream allows."""

    def __init__(self, plan: Plan) -> None:
        self._n_streams = plan.n_streams
        self._room = [threading.Semaphore(max(1, plan.window // plan.size)) for _ in range(plan.n_streams)]

    def wait(self, message: int) -> None:
        self._room[message % self._n_streams].acquire()

    def answered(self, message: int) -> None:
        self._room[message % self._n_streams].release()


class Open:
    """At times drawn beforehand, whatever the answers do.

    Attributes
    ----------
    latencies_ms : (n_messages,) float64
        From when a message was due to its whole answer.
    late_ms : (n_messages,) float64
        From when a message was due to when it was handed to gRPC: this process's share of a latency.
    """

    def __init__(self, plan: Plan, rate: float) -> None:
        gaps = np.random.default_rng(plan.seed).exponential(plan.size / rate, plan.n_messages)
        self._due = time.perf_counter() + LEAD_S + np.cumsum(gaps)
        self.latencies_ms: NDArray[np.float64] = np.full(plan.n_messages, np.nan)
        self.late_ms: NDArray[np.float64] = np.full(plan.n_messages, np.nan)

    def wait(self, message: int) -> None:
        left_s = self._due[message] - time.perf_counter()
        if left_s > 0:
            time.sleep(left_s)

    def sent(self, message: int) -> None:
        """Note that the message is handed to gRPC now."""
        self.late_ms[message] = 1e3 * (time.perf_counter() - self._due[message])

    def answered(self, message: int) -> None:
        self.latencies_ms[message] = 1e3 * (time.perf_counter() - self._due[message])


class Sender:
    """One stream: every ``n_streams``-th message, in order, and the thread that takes its answers."""

    def __init__(self, plan: Plan, number: int, messages: list[bytes], channel: grpc.Channel) -> None:
        self._plan = plan
        self._numbers = range(number, plan.n_messages, plan.n_streams)
        self._messages = islice(cycle(messages), number, None)
        self._channel = channel
        self._thread = threading.Thread(target=self._run)
        self._pace: Pace | None = None
        self.n_answered = 0

    def start(self, pace: Pace) -> None:
        """Begin to send."""
        self._pace = pace
        self._thread.start()

    def join(self) -> None:
        """Wait for the last answer; all must have come."""
        self._thread.join()
        assert self.n_answered == len(self._numbers) * self._plan.size, self.n_answered

    def _requests(self) -> Iterator[bytes]:
        assert self._pace is not None
        for number, message in zip(self._numbers, self._messages, strict=False):
            self._pace.wait(number)
            yield message

    def _run(self) -> None:
        assert self._pace is not None
        inspect = self._channel.stream_stream(
            METHOD,
            request_serializer=bytes,
            response_deserializer=inspection_service_pb2.InspectResponse.FromString,
        )
        size = self._plan.size
        for response in inspect(self._requests()):
            before = self.n_answered // size
            self.n_answered += len(response.answers)
            for number in self._numbers[before : self.n_answered // size]:
                self._pace.answered(number)


class Turns:
    """Hands due messages of an open loop to many streams from one thread: a sleeper for each would cost more."""

    def __init__(self, pace: Open, plan: Plan) -> None:
        self._pace = pace
        self._plan = plan
        self._due: list[SimpleQueue[int]] = [SimpleQueue() for _ in range(plan.n_streams)]
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin to hand out."""
        self._thread.start()

    def wait(self, message: int) -> None:
        self._due[message % self._plan.n_streams].get()
        self._pace.sent(message)

    def answered(self, message: int) -> None:
        self._pace.answered(message)

    def _run(self) -> None:
        for message in range(self._plan.n_messages):
            self._pace.wait(message)
            self._due[message % self._plan.n_streams].put(message)


def send(plan: Plan, senders: list[Sender]) -> dict[str, float]:
    """Send all, wait for every answer, and return seconds, processor seconds, and latencies of an open loop in ms."""
    begin, busy = time.perf_counter(), time.process_time()
    schedule = None if plan.rate is None else Open(plan, plan.rate)
    pace: Pace = Closed(plan)
    if schedule is not None:
        pace = turns = Turns(schedule, plan)
        turns.start()
    for sender in senders:
        sender.start(pace)
    for sender in senders:
        sender.join()
    found = {"elapsed_s": time.perf_counter() - begin, "client_s": time.process_time() - busy}
    if schedule is not None:
        found |= {f"{name}_ms": float(np.quantile(schedule.latencies_ms, at)) for name, at in QUANTILES.items()}
        found["late_p99_ms"] = float(np.quantile(schedule.late_ms, QUANTILES["p99"]))
    return found


def _messages(plan: Plan) -> list[bytes]:
    queries = np.load(plan.queries)
    whole = len(queries) // plan.size * plan.size
    # As miwake's own clients ask.
    requests = requests_of(packed(queries[:whole]), size=plan.size, as_arrays=True)
    return [request.SerializeToString() for request in requests]


def main(plan: Plan) -> None:
    """Send what is planned, once told to."""
    messages = _messages(plan)
    channels = [open_channel(plan.address) for _ in range(plan.n_streams)]
    for channel in channels:
        grpc.channel_ready_future(channel).result(CONNECT_TIMEOUT_S)
    senders = [Sender(plan, number, messages, channel) for number, channel in enumerate(channels)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    found = send(plan, senders)
    for channel in channels:
        channel.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Plan(**json.loads(sys.argv[1])))
