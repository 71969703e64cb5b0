"""One set of metrics for all workers: each counts in a file of its own, and the supervisor adds them up when scraped.

prometheus-client counts and adds up (its multiprocess mode): counts of a worker that died stay in the sum. It
knows no metrics that are asked when scraped, so that a worker writes down its state from time to time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from miwake.server.listening import metrics_host
from miwake.server.metrics import exposed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from miwake.server.settings import Settings

log = structlog.get_logger()

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
"""Where there is one, no disk is ever written to by counting."""

PREFIX = "miwake-metrics-"

LEFT_OVER_S = 60.0
"""A folder without a lock that has not changed for so long is no server's that is just starting."""

ADDED_UP = frozenset(
    {"miwake_queued_vectors", "miwake_open_streams", "miwake_parked_streams", "miwake_verdict_log_queued"}
)
"""States of which the workers' are added; of the others the largest is told."""


@dataclass(slots=True, eq=False)
class WorkerMetrics(Collector):
    """What the supervisor itself knows of the workers.

    Attributes
    ----------
    environment : mapping of text to text
        For the workers, so that they count where it is added up.
    n_serving, n_restarts : int
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    n_serving: int = 0
    n_restarts: int = 0

    def collect(self) -> Iterator[Metric]:
        """Yield what is known now."""
        yield GaugeMetricFamily("miwake_workers", "Worker processes that serve.", self.n_serving)
        yield CounterMetricFamily("miwake_worker_restarts", "Worker processes started anew.", self.n_restarts)

    def forget(self, pid: int) -> None:
        """Drop the state, though not the counts, of a worker that is over."""
        for folder in self.environment.values():
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


@contextmanager
def shared_metrics(settings: Settings) -> Iterator[WorkerMetrics]:
    """Serve the workers' metrics over HTTP meanwhile, where they are wanted.

    Raises
    ------
    AddressError
        If the port is taken.
    """
    if settings.metrics_port is None:
        yield WorkerMetrics()
        return
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
    clear_left_over(place)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=place) as folder, _locked(Path(folder)):
        own = WorkerMetrics({"PROMETHEUS_MULTIPROC_DIR": folder})
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        registry.register(own)
        with exposed(registry, host=metrics_host(settings), port=settings.metrics_port) as address:
            log.info("metrics_exposed", address=address)
            yield own


def clear_left_over(place: Path) -> None:
    """Remove the counts of servers that were killed."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError), _locked(folder):
            if time.time() - folder.stat().st_mtime > LEFT_OVER_S:
                shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock meanwhile; fail where another process does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


class StateWriter:
    """Writes a worker's state down again and again; a context manager around the thread that does.

    Parameters
    ----------
    state : Collector
        What is asked.
    every_s : float
        Seconds between two times.
    """

    def __init__(self, state: Collector, *, every_s: float) -> None:
        self._state = state
        self._every_s = every_s
        self._gauges: dict[str, Gauge] = {}
        self._written: dict[str, set[tuple[str, ...]]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state")

    def __enter__(self) -> None:
        self.write()
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def write(self) -> None:
        """Write the state down; what was and is no more, as a generation that was replaced, becomes 0."""
        for family in self._state.collect():
            if not family.samples and family.name not in self._gauges:
                continue
            values = {tuple(sample.labels.values()): sample.value for sample in family.samples}
            gauge = self._gauge(family)
            for labels in self._written.get(family.name, set()) - values.keys():
                _of(gauge, labels).set(0)
            for labels, value in values.items():
                _of(gauge, labels).set(value)
            self._written[family.name] = set(values)

    def _gauge(self, family: Metric) -> Gauge:
        if family.name not in self._gauges:
            names = tuple(family.samples[0].labels)
            self._gauges[family.name] = Gauge(
                family.name,
                family.documentation,
                names,
                registry=None,
                multiprocess_mode="livesum" if family.name in ADDED_UP else "livemax",
            )
        return self._gauges[family.name]

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.write()


def _of(gauge: Gauge, labels: tuple[str, ...]) -> Gauge:
    return gauge.labels(*labels) if labels else gauge
