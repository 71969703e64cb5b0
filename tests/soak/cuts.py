"""Connections cut at random bytes; the client takes its streams up again by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from miwake.client import Client, Inspection, Retry
from soak.ledger import Ledger, Observed, Told, state, unseen
from soak.parts import Found, details_of, harm_of
from support.cutting_proxy import CuttingProxy
from support.serving import running_server

if TYPE_CHECKING:
    from miwake.client import Answer
    from soak.world import World

N_STREAMS = 3
MOST_BYTES = 3e6
"""A connection is cut after 1 … so many bytes, both ways together: one in four evenly by their logarithm, most of those
in the handshake or the first message; the others evenly, most of them after some answers."""

SHARE_EARLY = 0.25
N_VECTORS = 1500
"""Of a stream, after which the next begins."""

RETRY = Retry(within_s=60.0, first_s=0.01, longest_s=0.1)
TIMEOUT_S = 120.0


class CutCaller:
    """A client behind a proxy of its own, which streams until it has taken up a stream again so often."""

    def __init__(self, address: str, world: World, *, n_resumed: int, seed: int) -> None:
        self._proxy = CuttingProxy(address, _shares(seed))
        self._n_wanted = n_resumed
        self._world = world
        self._thread = threading.Thread(target=self._run)
        self.ledgers: list[Ledger] = []
        self.answers: list[Observed] = []
        self.n_resumed = 0
        self.failure: BaseException | None = None

    @property
    def n_cuts(self) -> int:
        """How many connections were cut so far."""
        return self._proxy.n_cuts

    def start(self) -> None:
        """Begin to stream."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the last stream's end."""
        self._thread.join()
        self._proxy.close()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            with Client(self._proxy.address, retry=RETRY, timeout_s=TIMEOUT_S) as client:
                while self.n_resumed < self._n_wanted:
                    self._stream(client)
        except BaseException as error:  # noqa: BLE001 - raised again by join
            self.failure = error

    def _stream(self, client: Client) -> None:
        ledger = Ledger(self._world.expected)
        self.ledgers.append(ledger)
        answers = client.inspect(_items(self._world))
        for answer in answers:
            one = _observed(answer)
            ledger.take(one)
            if len(self.ledgers) == 1:
                self.answers.append(one)
        ledger.close(N_VECTORS)
        self.n_resumed += answers.n_resumed


def cut_streams(world: World, n_cuts: int, *, seed: int = 0) -> Found:
    """Cut streams in the middle at least so often, and hold every answer against what was sent."""
    with running_server(world.store, world.folder / "cuts.log") as server:
        shares = [n_cuts // N_STREAMS + (number < n_cuts % N_STREAMS) for number in range(N_STREAMS)]
        callers = [
            CutCaller(server.address, world, n_resumed=share, seed=seed + number) for number, share in enumerate(shares)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    ledgers = [ledger for caller in callers for ledger in caller.ledgers]
    return Found(
        n=sum(caller.n_resumed for caller in callers),
        n_answers=sum(ledger.n_answered for ledger in ledgers),
        harm=harm_of(ledgers),
        details=details_of(ledgers),
        unseen=unseen(callers[0].answers, world.expected),
        figures={"streams": len(ledgers), "connections_cut": sum(caller.n_cuts for caller in callers)},
    )


def _shares(seed: int) -> Iterator[int]:
    random = np.random.default_rng(seed)
    while True:
        early = np.exp(random.uniform(0, np.log(MOST_BYTES)))
        yield int(early if random.random() < SHARE_EARLY else random.uniform(1, MOST_BYTES))


def _items(world: World) -> Iterator[Inspection]:
    for number in range(N_VECTORS):
        yield Inspection(id=str(number), vector=world.queries[number % len(world.queries)])


def _observed(answer: Answer) -> Observed:
    verdict = answer.verdict
    told = None if verdict is None else Told(verdict.label, verdict.neighbours.ids[0])
    return Observed(answer.sequence, answer.id, state(answer.provenance.generation, answer.provenance.revision), told)
