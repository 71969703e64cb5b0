"""The process that holds the address, starts the workers behind it, and starts anew those that die.

It computes nothing and answers nothing: what could end a server ends one of its workers.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

import structlog

from miwake.server.errors import WorkerError
from miwake.server.listening import listened_host
from miwake.server.workers.address import held_address
from miwake.server.workers.metrics import WorkerMetrics, shared_metrics
from miwake.server.workers.process import Ended, Serving, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from miwake.server.settings import Settings

log = structlog.get_logger()

FIRST_DELAY_S = 0.25
"""Between a worker's death and its next start; twice as long after each death that comes soon."""

LAST_DELAY_S = 30.0

SETTLED_S = 60.0
"""A worker that has served for so long died of something new."""

STOP_MARGIN_S = 10.0
"""Beyond the time to drain: for a worker to close what is open. Then it is killed."""


class Signal(Enum):
    """What the supervisor is told beside what its workers say."""

    STOP = auto()


@dataclass(slots=True)
class Slot:
    """The place of one worker: which process has it, or when the next one gets it.

    Attributes
    ----------
    number : int
    worker : WorkerProcess or None
    serving_since : float or None
        By the monotonic clock.
    start_at : float or None
        When it is started again; None while it runs.
    n_deaths : int
        That came one soon after the other.
    """

    number: int
    worker: WorkerProcess | None = None
    serving_since: float | None = None
    start_at: float | None = None
    n_deaths: int = 0

    def delay_s(self) -> float:
        """Return how long its next start waits, now that another worker has died in it."""
        lasted = self.serving_since is not None and monotonic() - self.serving_since >= SETTLED_S
        self.n_deaths = 1 if lasted else self.n_deaths + 1
        return float(min(FIRST_DELAY_S * 2.0 ** (self.n_deaths - 1), LAST_DELAY_S))


class Supervisor:
    """The workers of one server.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events: SimpleQueue[Serving | Ended | Signal] = SimpleQueue()
        self._slots = [Slot(number) for number in range(settings.workers)]
        self._server = uuid.uuid4().hex
        self._is_announced = False

    def stop(self) -> None:
        """End the serving; may be called by a signal's handler."""
        self._events.put(Signal.STOP)

    def run(self, announce: Callable[[str], object]) -> None:
        """Serve until told to stop; then let the workers answer everything accepted, and return.

        Parameters
        ----------
        announce : callable
            Is given the address, ``host:port``, once every worker serves.

        Raises
        ------
        AddressError
            If the address is taken, or not to be listened on.
        WorkerError
            If a worker cannot start while none serves; the message is the worker's own.
        """
        log.info("starting", **self._settings.model_dump(mode="json"))
        host = listened_host(self._settings)
        with ExitStack() as held:
            port = held.enter_context(held_address(host, self._settings.port))
            metrics = held.enter_context(shared_metrics(self._settings))
            held.callback(self._end)
            settings = self._settings.model_copy(update={"port": port})
            for slot in self._slots:
                self._start(slot, settings, metrics)
            while True:
                event = self._next_event()
                if event is Signal.STOP:
                    return
                if isinstance(event, Serving):
                    self._count_serving(event, metrics)
                    self._announce_once(announce, f"{host}:{port}")
                elif isinstance(event, Ended):
                    self._bury(event, metrics)
                for slot in self._due():
                    self._start(slot, settings, metrics)

    def _next_event(self) -> Serving | Ended | Signal | None:
        """Return what happens next; None where a worker is to be started before anything does."""
        starts = [slot.start_at for slot in self._slots if slot.start_at is not None]
        try:
            return self._events.get(timeout=max(min(starts) - monotonic(), 0) if starts else None)
        except Empty:
            return None

    def _due(self) -> Sequence[Slot]:
        return [slot for slot in self._slots if slot.start_at is not None and slot.start_at <= monotonic()]

    def _start(self, slot: Slot, settings: Settings, metrics: WorkerMetrics) -> None:
        task = {
            "number": slot.number,
            "server": self._server,
            "settings": settings.model_dump(mode="json"),
            # Who asks before the first has loaded is told so; later the others answer meanwhile.
            "loads_first": self._is_announced,
        }
        slot.start_at = None
        slot.worker = WorkerProcess.start(slot.number, task, metrics.environment, tell=self._events.put)
        log.info("worker_started", worker=slot.number, pid=slot.worker.pid)

    def _count_serving(self, event: Serving, metrics: WorkerMetrics) -> None:
        self._slots[event.number].serving_since = monotonic()
        metrics.n_serving = self._n_serving()

    def _n_serving(self) -> int:
        return sum(slot.serving_since is not None for slot in self._slots)

    def _announce_once(self, announce: Callable[[str], object], address: str) -> None:
        if not self._is_announced and self._n_serving() == len(self._slots):
            self._is_announced = True
            log.info("all_serving", address=address, workers=len(self._slots))
            announce(address)

    def _bury(self, event: Ended, metrics: WorkerMetrics) -> None:
        """Free the place of a worker that is over, and say when the next one gets it."""
        slot = self._slots[event.number]
        delay_s = slot.delay_s()
        worker, slot.worker, slot.serving_since = slot.worker, None, None
        if worker is not None:
            worker.close()
            metrics.forget(worker.pid)
        metrics.n_serving = self._n_serving()
        if event.error and not (self._is_announced and self._n_serving()):
            raise WorkerError(event.error)
        if not self._is_announced:
            message = f"worker {event.number} ended with status {event.status} before it served"
            raise WorkerError(message)
        metrics.n_restarts += 1
        slot.start_at = monotonic() + delay_s
        log.error(
            "worker_died", worker=event.number, status=event.status, error=event.error or None, starts_in_s=delay_s
        )

    def _end(self) -> None:
        """Let every worker answer what it has accepted, and wait until all are over."""
        alive = {slot.number: slot.worker for slot in self._slots if slot.worker is not None}
        log.info("stopping_workers", workers=len(alive))
        for worker in alive.values():
            worker.stop()
        give_up_at = monotonic() + self._settings.drain_timeout_s + STOP_MARGIN_S
        left = dict(alive)
        while left:
            try:
                event = self._events.get(timeout=max(give_up_at - monotonic(), 0))
            except Empty:
                log.error("workers_killed", workers=sorted(left))  # noqa: TRY400 - what was waited for is all there is
                for worker in left.values():
                    worker.kill()
                break
            if isinstance(event, Ended):
                left.pop(event.number, None)
        for worker in alive.values():
            worker.close()
        log.info("stopped")
