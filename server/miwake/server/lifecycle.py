"""From settings to a server that listens, serves, drains and stops."""

from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from miwake.inference import grpc_inference_service_pb2, grpc_inference_service_pb2_grpc
from miwake.inspection.v1 import (
    inspection_service_pb2,
    inspection_service_pb2_grpc,
    reference_service_pb2,
    reference_service_pb2_grpc,
)
from miwake.server.batcher import Batcher
from miwake.server.engine import Engine
from miwake.server.errors import AddressError
from miwake.server.intake import Limits
from miwake.server.interceptor import ErrorInterceptor
from miwake.server.metrics import Metrics, StateCollector, exposed
from miwake.server.open_inference import OpenInferenceService
from miwake.server.reference_service import ReferenceService
from miwake.server.references import ReferenceWriters
from miwake.server.service import InspectionService
from miwake.server.stations import Stations

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from miwake.server.index import Opener
    from miwake.server.settings import Settings

log = structlog.get_logger()

SERVICE = inspection_service_pb2.DESCRIPTOR.services_by_name["InspectionService"].full_name

OPEN_INFERENCE = grpc_inference_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

REFERENCES = reference_service_pb2.DESCRIPTOR.services_by_name["ReferenceService"].full_name

SERVICES = (SERVICE, REFERENCES, OPEN_INFERENCE)
"""What this server serves beside health and reflection; health answers for each, and for the whole by an empty name."""

OTHER_CALLS = 256
"""Threads beyond those of the streams: unary calls, health and reflection."""

HANDSHAKE_TIMEOUT_MS = 3000
"""A connection that says nothing for this long is closed."""

LEAST_PING_INTERVAL_MS = 5000
"""Clients that ask for a sign more often than this are disconnected."""

STOP_GRACE_S = 1.0
"""After draining: for the last statuses to leave. Only health watchers are still there then."""


def serve(settings: Settings, opener: Opener, *, stop: threading.Event, announce: Callable[[str], object]) -> None:
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

    Raises
    ------
    AddressError
        If the address is taken, or no loopback address.
    IndexerError
        If a station cannot be loaded.
    """
    log.info("starting", **settings.model_dump(mode="json"))
    limits = Limits(
        max_batch=settings.max_batch,
        max_neighbours=settings.max_neighbours,
        max_vectors=settings.max_vectors,
        max_streams=settings.max_streams,
        stream_window=settings.stream_window,
    )
    stations = Stations(opener, poll_s=settings.poll_s)
    metrics = None if settings.metrics_port is None else Metrics()
    with Batcher(
        max_batch=settings.max_batch,
        queue_limit=settings.queue_limit,
        observe=None if metrics is None else metrics.count_batch,
    ) as batcher:
        engine = Engine.of(stations, batcher, limits, encoded=None if metrics is None else metrics.count_encoded)
        edge = Edge.open(settings, engine)
        try:
            stations.load(settings.store, settings.stations)
            with (
                stations,
                _exposed(metrics, settings, StateCollector(engine)),
            ):
                edge.set_serving()
                announce(edge.address)
                stop.wait()
                edge.drain(settings.drain_timeout_s)
        finally:
            edge.close()


@contextmanager
def _exposed(metrics: Metrics | None, settings: Settings, state: StateCollector) -> Iterator[None]:
    """Serve the metrics meanwhile, where there are any."""
    if metrics is None or settings.metrics_port is None:
        yield
        return
    metrics.watch(state)
    host = loopback(settings.address).strip("[]")
    with exposed(metrics, host=host, port=settings.metrics_port) as address:
        log.info("metrics_exposed", address=address)
        yield


@dataclass(frozen=True, slots=True)
class Edge:
    """The gRPC server with its services, listening on an address."""

    server: grpc.Server
    engine: Engine
    inspection: InspectionService
    writers: ReferenceWriters
    health: health.HealthServicer
    address: str

    @classmethod
    def open(cls, settings: Settings, engine: Engine) -> Edge:
        """Listen; health says NOT_SERVING until told otherwise.

        Raises
        ------
        AddressError
            If the address is taken, or no loopback address.
        """
        host = loopback(settings.address)
        n_threads = most_calls(settings)
        server = grpc.server(
            ThreadPoolExecutor(n_threads, thread_name_prefix="call"),
            interceptors=[ErrorInterceptor(*SERVICES)],
            options=_options(settings),
            maximum_concurrent_rpcs=n_threads,
        )
        checks = health.HealthServicer()
        for name in ("", *SERVICES):
            checks.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        inspection = InspectionService(engine)
        inspection_service_pb2_grpc.add_InspectionServiceServicer_to_server(inspection, server)
        writers = ReferenceWriters(engine.stations)
        reference_service_pb2_grpc.add_ReferenceServiceServicer_to_server(ReferenceService(engine, writers), server)
        grpc_inference_service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(OpenInferenceService(engine), server)
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        reflection.enable_server_reflection(
            (SERVICE, OPEN_INFERENCE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        try:
            port = server.add_insecure_port(f"{host}:{settings.port}")
        except RuntimeError as error:
            message = f"{host}:{settings.port}: cannot be listened on: is another server running there?"
            raise AddressError(message) from error
        server.start()
        log.info("bound", address=f"{host}:{port}")
        return cls(server, engine, inspection, writers, checks, f"{host}:{port}")

    def set_serving(self) -> None:
        """Let health say SERVING."""
        for name in ("", *SERVICES):
            self.health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", address=self.address)

    def drain(self, timeout_s: float) -> None:
        """Let health say NOT_SERVING, tell every stream, and wait until everything accepted is answered."""
        self.health.enter_graceful_shutdown()
        log.info("draining", timeout_s=timeout_s)
        n_open = self.engine.calls.drain(timeout_s)
        log.info("drained", n_cut=n_open)

    def close(self) -> None:
        """Close every connection."""
        self.server.stop(STOP_GRACE_S).wait()
        self.inspection.close()
        self.writers.close()
        log.info("stopped")


def loopback(address: str) -> str:
    """Return the host part of a loopback address, in brackets where it has colons.

    Raises
    ------
    AddressError
        If it is another address: beyond this machine miwake speaks only with TLS and credentials, which this release
        does not have.
    """
    try:
        parsed = ipaddress.ip_address("127.0.0.1" if address == "localhost" else address)
    except ValueError as error:
        message = f"{address}: expected an IP address such as 127.0.0.1"
        raise AddressError(message) from error
    if not parsed.is_loopback:
        message = f"{address}: expected a loopback address; others need TLS and credentials, which do not exist yet"
        raise AddressError(message)
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)


def most_calls(settings: Settings) -> int:
    """Return how many calls can be open: as many as there are threads."""
    return settings.max_streams + OTHER_CALLS


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        # Without it a second server on the port starts silently and takes a share of the clients.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Past the first, gRPC cancels some of the calls that it has not handed over yet, past the second all; its own
        # bound of 1,000 cuts callers who come back all at once.
        ("grpc.server.max_pending_requests", most_calls(settings)),
        ("grpc.server.max_pending_requests_hard_limit", 2 * most_calls(settings)),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.keepalive_time_ms", round(1e3 * settings.keepalive_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        # The one that closes the connection of a frozen client; keepalive_timeout_ms does not.
        ("grpc.http2.ping_timeout_ms", round(1e3 * settings.ping_timeout_s)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_INTERVAL_MS),
    ]
