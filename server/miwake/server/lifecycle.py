"""From settings to a server that listens, serves, drains and stops."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

import structlog

from miwake.server.batcher import Batcher
from miwake.server.collecting import settle
from miwake.server.edge import Edge
from miwake.server.engine import Engine
from miwake.server.intake import Limits
from miwake.server.listening import metrics_host
from miwake.server.metrics import Metrics, StateCollector, exposed
from miwake.server.stations import Stations
from miwake.server.verdict_log.recorder import VerdictRecorder
from miwake.server.verdict_log.writer import Writer
from miwake.server.workers.metrics import StateWriter

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from miwake.server.index import Opener
    from miwake.server.settings import Settings
    from miwake.server.workers.part import Part

log = structlog.get_logger()


def serve(
    settings: Settings,
    opener: Opener,
    *,
    stop: threading.Event,
    announce: Callable[[str], object],
    part: Part,
) -> None:
    """Serve until ``stop`` is set; then answer everything accepted, and return.

    Parameters
    ----------
    settings : Settings
    opener : Opener
        How stations are found and opened.
    stop : threading.Event
        Ends the serving.
    announce : callable
        Is given the address, ``host:port``, once everything is loaded and health says SERVING.
    part : Part
        What this process is of the server.

    Raises
    ------
    AddressError
        If the address is taken, or beyond the loopback without TLS and credentials.
    CredentialsError
        If a certificate or the tokens cannot be used.
    IndexerError
        If a station cannot be loaded.
    """
    if not part.is_worker:
        log.info("starting", **settings.model_dump(mode="json"))
    limits = Limits(
        max_batch=settings.max_batch,
        max_neighbours=settings.max_neighbours,
        max_vectors=settings.max_vectors,
        max_streams=settings.max_streams,
        stream_window=settings.stream_window,
        resume_s=settings.resume_s,
        parked_bytes=settings.parked_bytes,
    )
    stations = Stations(opener, poll_s=settings.poll_s)
    metrics = None if settings.metrics_port is None else Metrics()
    with (
        _recording(settings, metrics) as recorder,
        Batcher(
            max_batch=settings.max_batch,
            queue_limit=settings.queue_limit,
            observe=None if metrics is None else metrics.count_batch,
        ) as batcher,
    ):
        encoded = None if metrics is None else metrics.count_encoded
        engine = Engine.of(stations, batcher, limits, encoded=encoded, recorder=recorder)
        with ExitStack() as held:
            if part.loads_first:
                stations.load(settings.store, settings.stations)
            edge = Edge.open(settings, engine, part)
            held.callback(edge.close)
            if not stations.all():
                stations.load(settings.store, settings.stations)
            held.enter_context(stations)
            held.enter_context(_exposed(metrics, settings, StateCollector(engine), part))
            settle()
            edge.set_serving()
            announce(edge.address)
            stop.wait()
            edge.drain(settings.drain_timeout_s)


def _recording(settings: Settings, metrics: Metrics | None) -> AbstractContextManager[VerdictRecorder | None]:
    """Return what records answers meanwhile, where that is wanted."""
    if settings.verdict_log is None:
        return nullcontext()
    writer = Writer(settings.verdict_log, settings.verdict_log_bytes)
    return VerdictRecorder(writer, count=None if metrics is None else metrics.count_recorded)


@contextmanager
def _exposed(metrics: Metrics | None, settings: Settings, state: StateCollector, part: Part) -> Iterator[None]:
    """Serve the metrics meanwhile, where there are any; of a worker's, the supervisor does."""
    if metrics is None or settings.metrics_port is None:
        yield
    elif part.is_worker:
        with StateWriter(state, every_s=settings.poll_s):
            yield
    else:
        metrics.watch(state)
        with exposed(metrics.registry, host=metrics_host(settings), port=settings.metrics_port) as address:
            log.info("metrics_exposed", address=address)
            yield
