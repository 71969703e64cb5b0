"""The gRPC server with its services: from settings to an address that answers, drains and closes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from miwake.inference import grpc_inference_service_pb2, grpc_inference_service_pb2_grpc
from miwake.inspection.v1 import (
    index_service_pb2,
    index_service_pb2_grpc,
    inspection_service_pb2,
    inspection_service_pb2_grpc,
    reference_service_pb2,
    reference_service_pb2_grpc,
)
from miwake.server.access import Access, AccessInterceptor, Tokens
from miwake.server.certificates import server_credentials
from miwake.server.errors import AddressError
from miwake.server.index_service import IndexService
from miwake.server.interceptor import ErrorInterceptor
from miwake.server.listening import listened_host
from miwake.server.open_inference import OpenInferenceService
from miwake.server.rebuilds import Rebuilds
from miwake.server.reference_service import ReferenceService
from miwake.server.references import ReferenceWriters
from miwake.server.service import InspectionService

if TYPE_CHECKING:
    from miwake.server.engine import Engine
    from miwake.server.settings import Settings
    from miwake.server.workers.part import Part

log = structlog.get_logger()

SERVICE = inspection_service_pb2.DESCRIPTOR.services_by_name["InspectionService"].full_name

OPEN_INFERENCE = grpc_inference_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name

REFERENCES = reference_service_pb2.DESCRIPTOR.services_by_name["ReferenceService"].full_name

INDEXES = index_service_pb2.DESCRIPTOR.services_by_name["IndexService"].full_name

SERVICES = (SERVICE, REFERENCES, INDEXES, OPEN_INFERENCE)
"""What this server serves beside health and reflection; health answers for each, and for the whole by an empty name."""

OTHER_CALLS = 64
"""Threads beyond those of streams and of other calls: health, reflection, telling callers that there are too many."""

HANDSHAKE_TIMEOUT_MS = 3000
"""A connection that says nothing for this long is closed."""

LOOKAHEAD_BYTES = 256 * 1024
"""Of one stream, beyond the message that is waited for: 250 MB a second where a round trip takes a millisecond."""

LEAST_PING_INTERVAL_MS = 5000
"""Clients that ask for a sign more often than this are disconnected."""

STOP_GRACE_S = 1.0
"""After draining: for the last statuses to leave. Only health watchers are still there then."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The gRPC server with its services, listening on an address."""

    server: grpc.Server
    engine: Engine
    inspection: InspectionService
    writers: ReferenceWriters
    rebuilds: Rebuilds
    health: health.HealthServicer
    address: str

    @classmethod
    def open(cls, settings: Settings, engine: Engine, part: Part) -> Edge:
        """Listen; health says NOT_SERVING until told otherwise.

        Parameters
        ----------
        settings : Settings
        engine : Engine
        part : Part
            What this process is of the server.

        Raises
        ------
        AddressError
            If the address is taken, or beyond the loopback without TLS and credentials.
        CredentialsError
            If a certificate or the tokens cannot be used.
        """
        host = listened_host(settings)
        credentials = server_credentials(settings)
        access = Access(None if settings.token_file is None else Tokens(settings.token_file))
        n_threads = most_calls(settings)
        server = grpc.server(
            ThreadPoolExecutor(n_threads, thread_name_prefix="call"),
            interceptors=[AccessInterceptor(access), ErrorInterceptor(*SERVICES, max_calls=settings.max_calls)],
            options=_options(settings, shares_port=part.is_worker),
            maximum_concurrent_rpcs=n_threads,
        )
        checks = health.HealthServicer()
        for name in ("", *SERVICES):
            checks.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        inspection = InspectionService(engine)
        inspection_service_pb2_grpc.add_InspectionServiceServicer_to_server(inspection, server)
        writers = ReferenceWriters(engine.stations)
        reference_service_pb2_grpc.add_ReferenceServiceServicer_to_server(
            ReferenceService(engine, writers, access), server
        )
        rebuilds = Rebuilds(engine.stations, settings.store, server=part.server)
        index_service_pb2_grpc.add_IndexServiceServicer_to_server(IndexService(engine, rebuilds), server)
        grpc_inference_service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(OpenInferenceService(engine), server)
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        address = f"{host}:{settings.port}"
        try:
            port = (
                server.add_insecure_port(address)
                if credentials is None
                else server.add_secure_port(address, credentials)
            )
        except RuntimeError as error:
            message = f"{host}:{settings.port}: cannot be listened on: is another server running there?"
            raise AddressError(message) from error
        server.start()
        log.info("bound", address=f"{host}:{port}", tls=credentials is not None, tokens=settings.token_file is not None)
        return cls(server, engine, inspection, writers, rebuilds, checks, f"{host}:{port}")

    def set_serving(self) -> None:
        """Let health say SERVING."""
        for name in ("", *SERVICES):
            self.health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", address=self.address)

    def drain(self, timeout_s: float) -> None:
        """Let health say NOT_SERVING, end rebuilds, tell the streams, and wait until everything is answered."""
        self.health.enter_graceful_shutdown()
        log.info("draining", timeout_s=timeout_s)
        self.rebuilds.close()
        n_open = self.engine.calls.drain(timeout_s)
        log.info("drained", n_cut=n_open)

    def close(self) -> None:
        """Close every connection."""
        self.server.stop(STOP_GRACE_S).wait()
        self.inspection.close()
        self.writers.close()
        self.rebuilds.close()
        log.info("stopped")


def most_calls(settings: Settings) -> int:
    """Return how many calls can be open: as many as there are threads."""
    return settings.max_streams + settings.max_calls + OTHER_CALLS


def _options(settings: Settings, *, shares_port: bool) -> list[tuple[str, int]]:
    return [
        # With it, where nobody holds the address, a second server on the port starts silently and takes a share.
        ("grpc.so_reuseport", int(shares_port)),
        # The first is where gRPC begins to refuse some, the second where it refuses all.
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Past the first, gRPC cancels some of the calls that it has not handed over yet, past the second all; its own
        # bound of 1,000 cuts callers who come back all at once.
        ("grpc.server.max_pending_requests", most_calls(settings)),
        ("grpc.server.max_pending_requests_hard_limit", 2 * most_calls(settings)),
        # What a caller may send that nobody has read yet: left to itself gRPC takes megabytes from each.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", LOOKAHEAD_BYTES),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.keepalive_time_ms", round(1e3 * settings.keepalive_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        # The one that closes the connection of a frozen client; keepalive_timeout_ms does not.
        ("grpc.http2.ping_timeout_ms", round(1e3 * settings.ping_timeout_s)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_INTERVAL_MS),
    ]
